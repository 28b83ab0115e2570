"""CheckpointCallback: checkpoints that are whole at any moment, the newest few of them."""

from pathlib import Path
from typing import Any

from sb3_lander.callbacks.periodic import PeriodicCallback
from sb3_lander.runs import normalization
from sb3_lander.runs.files import write_whole
from sb3_lander.runs.run import checkpoints
from sb3_lander.runs.saving import save_model, save_vecnormalize


class CheckpointCallback(PeriodicCallback):
    """Save checkpoints that are whole at any moment: model, optimizer, step count and normalisation statistics.

    They have the names of SB3's ``CheckpointCallback``, so that the Zoo's ``enjoy --checkpoint``, our
    ``evaluate --checkpoints`` and our ``resume`` find them.

    :param every: Environment steps between two checkpoints.
    :param keep: How many of the newest stay; all when None. ``best_model.zip`` is never among them and always stays.
    :param save_replay_buffer: Save the replay buffer of an off-policy algorithm too; only the newest one stays.
    :param folder: Where they go; the run folder in a training of the RL Zoo.
    :param verbose: 1 for a line at each checkpoint.
    :raises ValueError: If ``every`` or ``keep`` is below 1, or no folder is known when the training starts.
    """

    def __init__(
        self,
        every: int = 100_000,
        keep: int | None = 5,
        save_replay_buffer: bool = False,
        folder: str | Path | None = None,
        verbose: int = 0,
    ) -> None:
        super().__init__(every, folder, verbose)
        if keep is not None and keep < 1:
            raise ValueError(f"keep={keep} must be at least 1, or None for all")
        self.keep, self.save_replay_buffer = keep, save_replay_buffer

    def _on_training_start(self) -> None:
        super()._on_training_start()
        if self.folder is None:
            raise ValueError("CheckpointCallback needs folder=..., outside of the RL Zoo's trainings")

    def _on_multiple(self) -> bool:
        assert self.folder is not None
        model: Any = self.model
        folder, step = self.folder, self.num_timesteps
        # The model comes last: where it stands, what belongs to it stands too.
        save_vecnormalize(model, folder / f"rl_model_vecnormalize_{step}_steps.pkl")
        if self.save_replay_buffer and getattr(model, "replay_buffer", None) is not None:
            write_whole(folder / f"rl_model_replay_buffer_{step}_steps.pkl", model.save_replay_buffer)
        save_model(model, folder / f"rl_model_{step}_steps.zip")
        if self.verbose >= 1:
            print(f"Saved checkpoint at {step} steps")
        saved = checkpoints(folder)
        outdated = [old.replay_buffer for old in saved[:-1]]
        for old in saved[: -self.keep] if self.keep is not None else ():
            outdated += [old.model, old.vecnormalize, normalization.beside(old.model)]
        for file in filter(None, outdated):
            file.unlink(missing_ok=True)
        return True
