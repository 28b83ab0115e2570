"""The RL Zoo's experiment manager for this package's environment ids."""

import copy
import inspect
import math
import sys
import warnings
from pathlib import Path
from typing import Any

import gymnasium as gym
import optuna
import torch
from rl_zoo3.exp_manager import ExperimentManager
from rl_zoo3.utils import ALGOS, get_wrapper_class
from stable_baselines3.common import callbacks as sb3_callbacks
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv

from sb3_lander.callbacks.checkpoint import CheckpointCallback
from sb3_lander.callbacks.eval_callback import WholeEvalCallback
from sb3_lander.callbacks.periodic import PeriodicCallback
from sb3_lander.envs.processes import PRELOADED, prepare_processes
from sb3_lander.envs.selection import movable_dummy_vec_env
from sb3_lander.runs import entries
from sb3_lander.runs.archive import check_whole
from sb3_lander.runs.files import write_whole
from sb3_lander.runs.saving import save_model, save_vecnormalize
from sb3_lander.zoo import checks


class LanderExperimentManager(ExperimentManager):
    """The Zoo's ``ExperimentManager`` with this package's files, which finds mistakes before they cost a run.

    Without ``--conf-file`` it reads this package's YAML. It checks an entry before anything is written. A tuning trial
    keeps the entry's other ``policy_kwargs``, in the search and in ``--trial-id``. EnvPool is told which environments
    are for training. Every model is saved whole, see :mod:`sb3_lander.runs.saving`. The episodes of an evaluation are
    played side by side, unless ``--n-eval-envs`` says otherwise. And torch runs on one thread, since these networks are
    too small to share, unless ``--num-threads`` says otherwise. The parameters are those of ``ExperimentManager``.
    """

    def __init__(self, args: Any, algo: str, env_id: str, *rest: Any, **kwargs: Any) -> None:
        given = inspect.signature(ExperimentManager.__init__).bind(self, args, algo, env_id, *rest, **kwargs).arguments
        super().__init__(args, algo, env_id, *rest, **kwargs)
        # An algorithm without one cannot act in the environment: the check of its actions then has the word.
        if given.get("config") is None and entries.has_entry(algo, env_id):
            self.config = str(entries.default_config(algo))
        if not any(word.startswith("--n-eval-envs") for word in sys.argv):
            self.n_eval_envs = max(self.n_eval_envs, self.n_eval_episodes)
        if self.trial_id is not None:
            self.trial_id = _TrialId(self.trial_id)
        self._vec_env_wrappers: dict[bool, Any] = {}
        self._entry: dict[str, Any] = {}
        # They differ on purpose where EnvPool trains; prefer_envpool has said so in a line of its own.
        warnings.filterwarnings("ignore", "Training and eval env are not of the same type")
        if getattr(args, "num_threads", -1) <= 0 and torch.get_num_threads() != 1:
            torch.set_num_threads(1)
            print("Using one torch thread (these networks are small; --num-threads overrides)")

    def read_hyperparameters(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Read and check the entry; nothing exists on disk yet when this raises.

        :raises ValueError: On an entry, a trial or a trained agent that cannot work.
        """
        if self.trained_agent:
            check_whole(self.trained_agent)
        if self.config.endswith((".yml", ".yaml")):
            self._entry = entries.read_entry(self.config, self.env_name.gym_id)
        if self.trial_id is not None and not (self.storage and self.study_name):
            raise ValueError("--trial-id needs --storage and --study-name")
        hyperparams, saved = super().read_hyperparameters()
        checks.check(hyperparams, ALGOS[self.algo])
        self._check_policy(hyperparams)
        return entries.Hyperparameters(copy.deepcopy(hyperparams)), saved

    def _check_policy(self, hyperparams: dict[str, Any]) -> None:
        """Build the environment, the policy and the replay buffer once and drop them."""
        env_kwargs = self.env_kwargs or hyperparams.get("env_kwargs", {})
        if self.eval_env_kwargs != env_kwargs:
            self._make_env(hyperparams, self.eval_env_kwargs).close()
        env = self._make_env(hyperparams, env_kwargs)
        env.close()
        # Unknown wrappers and frame stacking may change the spaces; a string of Python is the Zoo's to read.
        known_wrapper = all(name in entries.PREFER_ENVPOOL for name, _ in entries.vec_env_wrappers(hyperparams))
        if known_wrapper and not _can_act(self.algo, env):
            valid = ", ".join(algo for algo in ALGOS if _can_act(algo, env))
            raise ValueError(
                f"{self.algo} cannot act in {self.env_name.gym_id}: its actions are {env.action_space}; valid: {valid}"
            )
        policy_class = checks.policy_class(hyperparams["policy"], ALGOS[self.algo])
        buffer_class = checks.replay_buffer_class(hyperparams)
        if known_wrapper and not hyperparams.get("frame_stack"):
            spaces = env.observation_space, env.action_space
            if not isinstance(hyperparams.get("policy_kwargs"), str):
                checks.build_policy(hyperparams, policy_class, *spaces)
            if buffer_class is not None and not isinstance(hyperparams.get("replay_buffer_kwargs"), str):
                checks.build_replay_buffer(hyperparams, buffer_class, *spaces)

    def _make_env(self, hyperparams: dict[str, Any], env_kwargs: dict[str, Any]) -> gym.Env[Any, Any]:
        try:
            env = gym.make(self.env_name.gym_id, **env_kwargs)
        except TypeError as error:
            raise ValueError(f"env_kwargs {env_kwargs} do not suit {self.env_name.gym_id}: {error}") from error
        wrapper = get_wrapper_class(hyperparams)
        return env if wrapper is None else wrapper(env)

    def load_trial(
        self, storage: str, study_name: str, trial_id: int | None = None, convert: bool = True
    ) -> dict[str, Any]:
        """Return a trial's hyperparameters, merged into the entry's, see :func:`~sb3_lander.runs.entries.merge_kwargs`.

        :raises ValueError: If the storage, the study or the trial does not exist.
        """
        if storage.endswith(".log") and not Path(storage).is_file():
            raise ValueError(f"no Optuna storage {storage}")
        try:
            found: dict[str, Any] = super().load_trial(storage, study_name, trial_id, convert)
        except KeyError as error:
            raise ValueError(f"{storage} has no study {study_name!r}") from error
        except IndexError as error:
            raise ValueError(f"study {study_name!r} in {storage} has no trial {trial_id}; they count from 0") from error
        merged = entries.merge_kwargs(self._entry, found)
        activation = merged.get("policy_kwargs", {}).get("activation_fn")
        if isinstance(activation, type) and str(self._entry.get("policy")).startswith("sb3_lander."):
            merged["policy_kwargs"]["activation_fn"] = activation.__name__.lower()  # config.yml stays plain
        return merged

    def _preprocess_hyperparams(self, hyperparams: dict[str, Any]) -> Any:
        wrappers = entries.vec_env_wrappers(hyperparams)
        ours = [name for name, _ in wrappers if name in entries.PREFER_ENVPOOL]
        if ours:
            for training in (True, False):
                told = [
                    {name: options | ({"training": training} if name in ours else {})} for name, options in wrappers
                ]
                self._vec_env_wrappers[training] = get_wrapper_class({"vec_env_wrapper": told}, "vec_env_wrapper")
        if (buffer_class := checks.replay_buffer_class(hyperparams)) is not None:
            hyperparams["replay_buffer_class"] = buffer_class
        return super()._preprocess_hyperparams(hyperparams)

    def create_envs(self, n_envs: int, eval_env: bool = False, no_log: bool = False) -> VecEnv:
        """Create the environments as the Zoo does; EnvPool serves only those for training, logged or not."""
        prepare_processes(("rl_zoo3.exp_manager", *PRELOADED))
        manager = copy.copy(self)  # trials run in parallel threads and share this object
        manager.vec_env_wrapper = self._vec_env_wrappers.get(not eval_env, self.vec_env_wrapper)
        if manager.vec_env_class is DummyVecEnv and not eval_env:
            manager.vec_env_class = movable_dummy_vec_env  # type: ignore[assignment] # it is only called
        return ExperimentManager.create_envs(manager, n_envs, eval_env, no_log)

    def create_callbacks(self) -> None:
        """Create the callbacks as the Zoo does; those that save do it whole, and ours learn the run's folder."""
        save_freq, given = self.save_freq, len(self.callbacks)
        super().create_callbacks()  # type: ignore[no-untyped-call]  # the Zoo's is untyped
        for i, callback in enumerate(self.callbacks):
            if i >= given and isinstance(callback, sb3_callbacks.CheckpointCallback):
                self.callbacks[i] = CheckpointCallback(save_freq, None, self.save_replay_buffer, self.save_path)
            elif i >= given and isinstance(callback, sb3_callbacks.EvalCallback):
                same = {name: getattr(callback, name) for name in ("eval_freq", "n_eval_episodes", "deterministic")}
                statistics = Path(self.params_path, "vecnormalize.pkl")
                self.callbacks[i] = WholeEvalCallback(callback.eval_env, self.save_path, statistics, **same)
            elif isinstance(callback, PeriodicCallback):
                callback.folder = callback.folder or Path(self.save_path)
                callback.env_wrapper = self.env_wrapper

    def save_trained_model(self, model: BaseAlgorithm) -> None:
        """Save the model at the end as the Zoo does, whole."""
        print(f"Saving to {self.save_path}")
        save_vecnormalize(model, Path(self.params_path, "vecnormalize.pkl"))
        if self.save_replay_buffer and isinstance(model, OffPolicyAlgorithm):
            print("Saving replay buffer")
            write_whole(Path(self.save_path, "replay_buffer.pkl"), model.save_replay_buffer)
        # The model comes last: it says that the run has ended.
        save_model(model, Path(self.save_path, f"{self.env_name}.zip"))

    def objective(self, trial: optuna.Trial) -> float:
        """Run one trial of the Zoo's search, see :class:`_NarrowedTrial`."""
        narrowed: Any = _NarrowedTrial(trial, self.n_envs)
        return super().objective(narrowed if issubclass(ALGOS[self.algo], OnPolicyAlgorithm) else trial)


def _can_act(algo: str, env: gym.Env[Any, Any]) -> bool:
    """Tell whether an algorithm supports the environment's actions; SB3 checks that before it builds a model."""
    algo_class: Any = ALGOS[algo]
    try:
        algo_class(next(iter(algo_class.policy_aliases)), env, device="cpu", _init_setup_model=False)
    except AssertionError:
        return False
    return True


class _TrialId(int):
    """A trial's number that is true in a condition: the Zoo ignores ``--trial-id 0`` otherwise."""

    def __bool__(self) -> bool:
        return True


class _NarrowedTrial:
    """An Optuna trial that keeps the Zoo's rollouts and minibatches in a range that suits many environments.

    The Zoo samples up to 4096 steps *per environment*: with 64 of them one rollout would be 262,144 steps,
    more than a short trial's whole budget, and up to 65,536 minibatches in each epoch. Here a rollout has at
    most 16,384 steps, and a minibatch at least 256. Trials stay loadable by ``--trial-id``.
    """

    def __init__(self, trial: optuna.Trial, n_envs: int) -> None:
        self._trial = trial
        self._log2_envs = math.ceil(math.log2(n_envs))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._trial, name)

    def suggest_int(self, name: str, low: int, high: int, **kwargs: Any) -> int:
        """Suggest as Optuna does, from a narrower range for ``n_steps_pow`` and ``batch_size_pow``."""
        if name == "n_steps_pow":
            high = max(low, min(high, 14 - self._log2_envs))
        elif name == "batch_size_pow":
            low = min(high, 8)
        return self._trial.suggest_int(name, low, high, **kwargs)
