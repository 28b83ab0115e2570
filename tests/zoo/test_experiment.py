"""The experiment manager: which environments it makes, and how tuning keeps our policy."""

from __future__ import annotations

import argparse
import importlib.util
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import optuna
import pytest
import torch
import yaml
from rl_zoo3.exp_manager import ExperimentManager
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import EvalCallback
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv, VecEnv

from sb3_lander.runs.entries import default_config
from sb3_lander.runs.run import Run
from sb3_lander.zoo.hook import register
from sb3_lander.zoo.manager import LanderExperimentManager

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*LunarLanderContinuous-v2 is out of date:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning"),
]

V2 = "--algo ppo --env LunarLanderContinuous-v2"
SMALL = {"n_envs": 2, "n_steps": 32, "batch_size": 32, "n_epochs": 1}


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Callable[..., LanderExperimentManager]]:
    """Return a factory of experiment managers, as ``rl_zoo3.train`` makes them."""
    register()

    def make(env_id: str = "LunarLanderContinuous-v2", **kwargs: Any) -> LanderExperimentManager:
        hyperparams = {**SMALL, **kwargs.pop("hyperparams", {})}
        made = ExperimentManager(
            argparse.Namespace(num_threads=1),
            "ppo",
            env_id,
            str(tmp_path),
            hyperparams=hyperparams,
            verbose=0,
            **kwargs,
        )
        assert isinstance(made, LanderExperimentManager)
        return made

    threads = torch.get_num_threads()
    yield make
    torch.set_num_threads(threads)


def training_env(made: LanderExperimentManager) -> VecEnv:
    results = made.setup_experiment()
    assert results is not None
    env = results[0].get_env()
    assert env is not None
    return env


@pytest.mark.parametrize(("command", "envs"), [("", 3), ("--n-eval-envs 2", 2), ("--n-eval-envs=1", 1)])
def test_the_episodes_of_an_evaluation_are_played_side_by_side_unless_told_otherwise(
    command: str, envs: int, manager: Callable[..., LanderExperimentManager], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["train", *command.split()])
    asked = {"n_eval_envs": envs} if command else {}
    made = manager(n_eval_episodes=3, eval_freq=64, n_timesteps=64, **asked)
    training_env(made).close()
    (callback,) = [c for c in made.callbacks if isinstance(c, EvalCallback)]
    assert callback.eval_env.num_envs == envs


def test_subproc_really_uses_subprocesses(manager: Callable[..., LanderExperimentManager]) -> None:
    env = training_env(manager(vec_env_type="subproc", eval_freq=-1))
    assert isinstance(env.unwrapped, SubprocVecEnv)
    assert env.num_envs == 2
    env.close()


def test_training_uses_envpool_where_it_is_installed_and_evaluation_never(
    manager: Callable[..., LanderExperimentManager],
) -> None:
    made = manager()
    env = training_env(made)
    expected = "EnvPoolVecEnv" if importlib.util.find_spec("envpool") else "DummyVecEnv"
    assert type(env.unwrapped).__name__ == expected
    for training_unlogged, training_class in ((made.create_envs(2, no_log=True), expected),):
        assert type(training_unlogged.unwrapped).__name__ == training_class
        training_unlogged.close()
    evaluation = made.create_envs(2, eval_env=True)
    assert type(evaluation.unwrapped) is DummyVecEnv
    evaluation.close()
    env.close()


@pytest.mark.parametrize(("given", "threads"), [(-1, 1), (2, 2)])
def test_torch_runs_on_one_thread_unless_the_user_says_otherwise(tmp_path: Path, given: int, threads: int) -> None:
    before = torch.get_num_threads()
    register()
    try:
        torch.set_num_threads(2)
        args = argparse.Namespace(num_threads=given)
        ExperimentManager(args, "ppo", "LunarLanderContinuous-v3", str(tmp_path))
        assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)


def test_an_algorithm_that_we_have_no_file_for_keeps_the_zoos(tmp_path: Path) -> None:
    register()
    made = ExperimentManager(argparse.Namespace(num_threads=1), "dqn", "LunarLanderContinuous-v3", str(tmp_path))
    assert made.config.endswith("rl_zoo3/hyperparams/dqn.yml")


# ------------------------------------------------------------------------------------------------- tuning


def test_every_trial_keeps_the_arguments_of_our_policy_and_both_trials_can_be_trained(
    zoo: Callable[..., str], tmp_path: Path
) -> None:
    search = "-n 256 --n-evaluations 1 --eval-episodes 1 --no-optim-plots --seed 0 -params n_envs:2"
    zoo(f"train {V2} -optimize --n-trials 2 --storage s.log --study-name s --optimization-log-path trials", search)
    backend = optuna.storages.journal.JournalFileBackend(str(tmp_path / "s.log"))
    study = optuna.load_study(storage=optuna.storages.JournalStorage(backend), study_name="s")
    assert len(study.trials) == 2
    entry = yaml.safe_load(default_config("ppo").read_text())["LunarLanderContinuous-v2"]["policy_kwargs"]
    kept = {key: value for key, value in entry.items() if key not in ("net_arch", "activation_fn")}
    assert {"mirror", "value_scale", "fast"} <= kept.keys()
    for trial in study.trials:
        searched = PPO.load(tmp_path / f"trials/trial_{trial.number}/best_model.zip", device="cpu")
        assert type(searched.policy).__name__ == "SeparateActorCriticPolicy"
        widths = {"tiny": [64], "small": [64, 64], "medium": [256, 256]}[trial.params["net_arch"]]
        expected = {**kept, "net_arch": {"pi": widths, "vf": widths}}
        assert expected.items() <= searched.policy_kwargs.items()

        trained = "-n 64 --eval-freq -1 -params n_envs:2 n_steps:32 n_epochs:1 batch_size:32"
        zoo(f"train {V2} --trial-id {trial.number} --storage s.log --study-name s --uuid", trained)
        newest = max(
            (tmp_path / "logs/ppo").glob("LunarLanderContinuous-v2_*-*"), key=lambda path: path.stat().st_mtime
        )
        run = Run.load(newest)
        assert run.config["policy_kwargs"] == {**expected, "activation_fn": trial.params["activation_fn"]}
        assert run.config["learning_rate"] == trial.params["learning_rate"]
        assert "!!python/name" not in next(newest.glob("*/config.yml")).read_text()


@pytest.mark.filterwarnings("ignore:You have specified a mini-batch size:UserWarning")
@pytest.mark.parametrize(("sampler", "pruner"), [("random", "halving"), ("tpe", "none")])
def test_the_zoos_search_runs_trials_side_by_side(
    zoo: Callable[..., str], tmp_path: Path, sampler: str, pruner: str
) -> None:
    search = f"-optimize --n-trials 3 --n-jobs 2 --sampler {sampler} --pruner {pruner} --storage s.log --study-name s"
    zoo(f"train {V2}", search, "-n 256 --n-evaluations 2 --eval-episodes 1 --no-optim-plots -params n_envs:2")
    backend = optuna.storages.journal.JournalFileBackend(str(tmp_path / "s.log"))
    study = optuna.load_study(storage=optuna.storages.JournalStorage(backend), study_name="s")
    assert len(study.trials) == 3
    assert {trial.state.name for trial in study.trials} <= {"COMPLETE", "PRUNED"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--trial-id 0", "--trial-id needs --storage and --study-name"),
        ("--trial-id 0 --storage missing.log --study-name s", "no Optuna storage missing.log"),
        ("--trial-id 0 --storage s.log --study-name other", "s.log has no study 'other'"),
        ("--trial-id 5 --storage s.log --study-name s", "study 's' in s.log has no trial 5"),
    ],
)
def test_a_trial_that_does_not_exist_is_one_error_before_anything_is_written(
    zoo: Callable[..., str], tmp_path: Path, arguments: str, message: str
) -> None:
    backend = optuna.storages.journal.JournalFileBackend(str(tmp_path / "s.log"))
    optuna.create_study(storage=optuna.storages.JournalStorage(backend), study_name="s")
    before = sorted(tmp_path.iterdir())
    with pytest.raises(ValueError, match=message):
        zoo("train", V2, arguments)
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize(("n_envs", "highest"), [(64, 8), (16, 10), (1, 12), (4096, 5)])
def test_a_trials_rollout_has_at_most_16384_steps(
    manager: Callable[..., LanderExperimentManager], n_envs: int, highest: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = manager()
    made.n_envs = n_envs
    sampled: list[Any] = []
    monkeypatch.setattr(
        ExperimentManager,
        "objective",
        lambda self, trial: sampled.append(trial.suggest_int("n_steps_pow", 5, 12)) or 0.0,
    )
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    trial = study.ask()
    made.objective(trial)
    assert trial.distributions == {"n_steps_pow": optuna.distributions.IntDistribution(5, highest)}
    assert trial.params["n_steps_pow"] == sampled[0]
