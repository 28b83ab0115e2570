"""SB3's EvalCallback for runs that may be killed: its files are whole, and what a kill took is made up for."""

from pathlib import Path
from typing import Any

import numpy as np
from stable_baselines3.common.callbacks import EvalCallback
from stable_baselines3.common.vec_env import VecEnv

from sb3_lander.runs.files import write_whole
from sb3_lander.runs.saving import save_model, save_vecnormalize


class WholeEvalCallback(EvalCallback):
    """Evaluates as SB3's ``EvalCallback`` does, with the files of the RL Zoo's runs, each whole at any moment.

    First ``evaluations.npz`` is written, then the best model. What a kill prevented at the step of a checkpoint is done
    when the training goes on from there: SB3 evaluates after it has saved, so by itself it would never come back to it.

    :param eval_env: The environments to evaluate on.
    :param folder: Where ``evaluations.npz`` and ``best_model.zip`` go; it must exist.
    :param vecnormalize: The ``.pkl`` for the normalisation statistics of the best model.
    :param options: Of ``EvalCallback``: ``eval_freq`` (calls between two evaluations), ``n_eval_episodes`` and so on.
    """

    def __init__(self, eval_env: VecEnv, folder: str | Path, vecnormalize: str | Path, **options: Any) -> None:
        super().__init__(eval_env, **options)
        self.file = Path(folder, "evaluations.npz")
        self._best_model, self._vecnormalize = Path(folder, "best_model.zip"), Path(vecnormalize)
        # SB3 writes it in place; it becomes the file once it is whole.
        self.log_path = str(self.file.with_name(".evaluations.part.npz"))

    def restore(self, step: int) -> None:
        """Take over the evaluations up to a step of an earlier life of the run, and go on with the same file."""
        try:
            with np.load(self.file) as stored:
                kept = stored["timesteps"] <= step
                lists = {name: stored[name][kept].tolist() for name in stored.files}
            self.evaluations_timesteps, self.evaluations_results = lists["timesteps"], lists["results"]
            self.evaluations_length, self.evaluations_successes = lists["ep_lengths"], lists.get("successes", [])
        except FileNotFoundError:
            return
        # numpy's readers fail in any way on half a file, which the Zoo's own command may leave.
        except Exception as error:
            print(f"note: {self.file} was cut short, its history begins anew ({error})")
            return
        self.best_mean_reward = max(self._means(), default=-np.inf)

    def _means(self) -> list[float]:
        return [float(np.mean(results)) for results in self.evaluations_results]

    def _on_training_start(self) -> None:
        # Only a training that goes on has had calls.
        if self.n_calls == 0 or self.n_calls % self.eval_freq != 0:
            return
        if self.num_timesteps not in self.evaluations_timesteps:
            print(f"Making up for the evaluation at {self.num_timesteps} steps")
            self._on_step()
        elif self.evaluations_timesteps[int(np.argmax(self._means()))] == self.num_timesteps:
            self._save_best()

    def _on_step(self) -> bool:
        known, best = len(self.evaluations_timesteps), self.best_mean_reward
        going_on = super()._on_step()
        if len(self.evaluations_timesteps) > known:
            part = Path(str(self.log_path))
            write_whole(self.file, lambda file: file.write(part.read_bytes()))
            part.unlink()
            if self.best_mean_reward > best:
                self._save_best()
        return going_on

    def _save_best(self) -> None:
        # The model comes last: where it stands, its statistics stand too.
        save_vecnormalize(self.model, self._vecnormalize)
        save_model(self.model, self._best_model)
