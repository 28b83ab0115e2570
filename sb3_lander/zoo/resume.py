"""Continue an interrupted run of the RL Zoo from the newest of its models that is whole."""

import argparse
import csv
import functools
import importlib
import io
import itertools
import json
import math
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
import yaml
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import CheckpointCallback, EvalCallback
from stable_baselines3.common.logger import configure
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from stable_baselines3.common.utils import set_random_seed
from stable_baselines3.common.vec_env import VecEnv, VecNormalize
from torch.utils.tensorboard import SummaryWriter

from sb3_lander.callbacks.eval_callback import WholeEvalCallback
from sb3_lander.runs.archive import check_whole, read_settings
from sb3_lander.runs.files import write_text
from sb3_lander.runs.run import Checkpoint, Run
from sb3_lander.zoo.hook import register
from sb3_lander.zoo.manager import LanderExperimentManager

# The experiment manager's arguments that the Zoo's command line has too, three of them by another name.
_SAME = ["n_timesteps", "eval_freq", "save_freq", "env_kwargs", "eval_env_kwargs", "truncate_last_trajectory", "seed"]
_SAME += ["log_interval", "save_replay_buffer", "verbose", "n_eval_envs", "device"]
_ARGUMENTS = {"n_eval_episodes": "eval_episodes", "vec_env_type": "vec_env", "show_progress": "progress"}
_ARGUMENTS |= dict(zip(_SAME, _SAME, strict=True))


def resume(path: str | Path) -> None:
    """Continue a run to its original budget, in the same folder.

    Schedules go on where they were. What was logged after the checkpoint is taken out of the monitor files and hidden
    in TensorBoard, since these steps are made again. This unpickles the run's files, as the Zoo's own commands do.

    :param path: The run folder.
    :raises FileNotFoundError: If it is no run of the Zoo.
    :raises ValueError: If the run has reached its budget and saved its last model.
    :raises OSError: If the folder cannot be written.
    """
    run = Run.load(path)
    for module in run.args.get("gym_packages") or ():
        importlib.import_module(module)
    register()
    checkpoint = newest_checkpoint(run)
    given = int(run.args.get("n_timesteps", -1))
    budget = given if given > 0 else int(float(run.config["n_timesteps"]))
    # A run that was killed between its last step and its last file is resumed for that file.
    if checkpoint is not None and checkpoint.step >= budget and run.final_model is not None:
        raise ValueError(f"{run.path} has reached its budget of {budget} steps: there is nothing to resume")
    # As the Zoo's command does, but not the same numbers again.
    set_random_seed((int(run.args["seed"]) + (checkpoint.step if checkpoint else 0)) % 2**32)
    if run.args.get("num_threads", -1) > 0:
        torch.set_num_threads(run.args["num_threads"])
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder, "config.yml")
        config.write_text(yaml.safe_dump({run.env_id: run.config}))
        manager: Any = _ResumingManager(run, checkpoint, str(config))
        model, _ = manager.setup_experiment()
    print(f"Resuming {run.path} at {model.num_timesteps} of {budget} steps")
    manager.learn(model)
    manager.save_trained_model(model)


def newest_checkpoint(run: Run) -> Checkpoint | None:
    """Return the whole model (a checkpoint, the best or the final one) with the most steps, and name damaged ones."""
    for candidate in sorted(_candidates(run), key=lambda c: c.step, reverse=True):
        if run.config.get("normalize") and candidate.vecnormalize is None:
            print(f"note: {candidate.model} has no normalisation statistics, so it is left out")
            continue
        try:
            check_whole(candidate.model)
        except ValueError as error:
            print(f"note: {error}; an earlier one is taken")
            continue
        return candidate
    return None


def _candidates(run: Run) -> Iterator[Checkpoint]:
    yield from run.checkpoints
    for model in (run.best_model, run.final_model):
        if model is not None:
            try:
                step = int(read_settings(model)["num_timesteps"])
            except (KeyError, TypeError, ValueError) as error:
                print(f"note: {model} cannot be resumed from: {error}")
                continue
            yield Checkpoint(step, model, run.vecnormalize)


class _ResumingManager(LanderExperimentManager):
    """The experiment manager for a run folder that exists."""

    def __init__(self, run: Run, checkpoint: Checkpoint | None, config: str) -> None:
        self._run, self._checkpoint = run, checkpoint
        options = {ours: run.args[zoos] for ours, zoos in _ARGUMENTS.items() if zoos in run.args}
        options |= {"log_folder": str(run.path.parent.parent), "config": config}
        options["tensorboard_log"] = run.args.get("tensorboard_log") or ""
        options["trained_agent"] = "" if checkpoint is None else str(checkpoint.model)
        super().__init__(argparse.Namespace(**run.args), run.algo, run.env_id, **options)
        self.save_path = str(run.path)
        self.params_path = str(run.path / str(self.env_name))

    def create_callbacks(self) -> None:
        super().create_callbacks()
        if self._checkpoint is None:
            return
        for callback in self.callbacks:
            if isinstance(callback, (EvalCallback, CheckpointCallback)):
                # They count calls: without this each interruption would put off the next evaluation.
                callback.n_calls = self._checkpoint.step // self.n_envs
            if isinstance(callback, WholeEvalCallback):
                callback.restore(self._checkpoint.step)

    def create_envs(self, n_envs: int, eval_env: bool = False, no_log: bool = False) -> VecEnv:
        if not eval_env:
            saved = -math.inf if self._checkpoint is None else self._checkpoint.model.stat().st_mtime
            _set_aside_monitors(self._run.path, saved)
        return super().create_envs(n_envs, eval_env, no_log)

    def _maybe_normalize(self, env: VecEnv, eval_env: bool) -> VecEnv:
        if self._checkpoint is None or self._checkpoint.vecnormalize is None:
            return super()._maybe_normalize(env, eval_env)
        normalized = VecNormalize.load(str(self._checkpoint.vecnormalize), env)
        if eval_env:
            normalized.training = normalized.norm_reward = False
        return normalized

    def _load_pretrained_agent(self, hyperparams: dict[str, Any], env: VecEnv) -> BaseAlgorithm:
        model = super()._load_pretrained_agent(hyperparams, env)
        assert self._checkpoint is not None
        if isinstance(model, OffPolicyAlgorithm):
            if self._checkpoint.replay_buffer is not None:
                model.load_replay_buffer(self._checkpoint.replay_buffer)
            elif model.replay_buffer is not None and model.replay_buffer.size() == 0:
                print("note: no replay buffer was saved (--save-replay-buffer), so it is filled anew")
        folder = self._run.tensorboard_folder(model.start_time / 1e9)
        if folder is not None:
            # It tells TensorBoard that what was logged after this step is made again.
            SummaryWriter(str(folder), purge_step=model.num_timesteps + 1).close()
            model.set_logger(configure(str(folder), ["stdout", "tensorboard"] if self.verbose else ["tensorboard"]))
        return model

    def _save_config(self, saved_hyperparams: dict[str, Any]) -> None:
        # The run's settings stay as they are; only the command is added to the one that began it.
        file = Path(self.params_path, "command.txt")
        before = file.read_text().splitlines() if file.is_file() else []
        write_text(file, "\n".join([*before, " ".join(sys.orig_argv), ""]))

    def learn(self, model: BaseAlgorithm) -> None:
        """Train for what is left of the budget."""
        used: Any = model
        if self._checkpoint is not None:
            self.n_timesteps -= model.num_timesteps
            learn = functools.partial(model.learn, reset_num_timesteps=False)
            used = SimpleNamespace(env=model.env, policy=model.policy, learn=learn)  # what the Zoo uses of a model
        super().learn(used)


def _set_aside_monitors(folder: Path, until: float) -> None:
    """Rename the monitor files, so that the new ones stand beside them, without the episodes that ended too late.

    SB3 and the Zoo read all files of a folder together. A run that was killed may have left half a line.
    """
    for file in sorted(folder.glob("*.monitor.csv")):
        header, _, table = file.read_text().partition("\n")
        try:
            start = json.loads(header.removeprefix("#"))["t_start"]
        except (ValueError, KeyError):
            start = math.inf
        whole = [row for row in csv.DictReader(io.StringIO(table)) if None not in row and None not in row.values()]
        kept = [row for row in whole if start + float(row["t"] or "inf") <= until]
        if not kept:
            file.unlink()
            continue
        write_text(file, "\n".join([header, ",".join(kept[0]), *(",".join(row.values()) for row in kept)]) + "\n")
        if ".part" not in file.name:
            rank = file.name.removesuffix(".monitor.csv")
            parts = (folder / f"{rank}.part{n}.monitor.csv" for n in itertools.count(1))
            os.replace(file, next(part for part in parts if not part.exists()))
