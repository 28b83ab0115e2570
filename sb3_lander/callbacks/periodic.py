"""PeriodicCallback: something done at every multiple of so many environment steps."""

from pathlib import Path

from stable_baselines3.common.callbacks import BaseCallback

from sb3_lander.agents.environment import EnvWrapper


class PeriodicCallback(BaseCallback):
    """Does something at the first step at or past each multiple of ``every`` environment steps.

    Multiples, and not a count since the start, so that a training that is resumed keeps to the same steps. Files go to
    ``folder``: the RL Zoo's run folder, if the training is the Zoo's and none was given. The Zoo's manager sets
    ``env_wrapper`` to what the entry of that name puts around an environment.
    """

    env_wrapper: EnvWrapper | None = None

    def __init__(self, every: int, folder: str | Path | None = None, verbose: int = 0) -> None:
        super().__init__(verbose)
        if every < 1:
            raise ValueError(f"every={every} must be at least 1 environment step")
        self.every = every
        self.folder = None if folder is None else Path(folder)
        self._passed = 0

    def _init_callback(self) -> None:
        if self.folder is not None:
            self.folder.mkdir(parents=True, exist_ok=True)

    def _on_training_start(self) -> None:
        self._passed = self.num_timesteps // self.every

    def _on_step(self) -> bool:
        passed, self._passed = self._passed, self.num_timesteps // self.every
        return self._passed == passed or self._on_multiple()

    def _on_multiple(self) -> bool:
        raise NotImplementedError

    def _env_id(self) -> str:
        (spec,) = self.training_env.get_attr("spec", indices=[0])
        if spec is None:
            raise ValueError(f"{type(self).__name__} needs environments that gymnasium's registry knows")
        return str(spec.id)
