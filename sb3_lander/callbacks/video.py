"""VideoCallback: an episode of a fixed task as MP4 and in TensorBoard, now and then."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stable_baselines3.common.logger import TensorBoardOutputFormat

from sb3_lander.callbacks.periodic import PeriodicCallback
from sb3_lander.evaluation.task import Task
from sb3_lander.evaluation.tensorboard import summary
from sb3_lander.evaluation.video import record_episode


class VideoCallback(PeriodicCallback):
    """Record one episode of a fixed task now and then: as MP4, and in TensorBoard's images tab.

    The episode is played in an environment of its own; the training's environments and random numbers are not touched.
    The first one is recorded before the training starts, so that whatever prevents videos shows at once.

    :param every: Environment steps between two videos.
    :param seed: The task's reset seed, the same for every video.
    :param env_kwargs: Keyword arguments of the task's environment.
    :param max_frames: Frames of a video at most.
    :param fps: Frames per second.
    :param folder: The MP4s go to ``videos`` in it; when None in the Zoo's run folder, the logger's, or the working one.
    :param verbose: 1 for a line at each video.
    :raises ValueError: When the training starts, if the environment cannot be made anew or rendered.
    """

    def __init__(
        self,
        every: int = 100_000,
        seed: int = 0,
        env_kwargs: Mapping[str, Any] | None = None,
        max_frames: int = 400,
        fps: float = 30.0,
        folder: str | Path | None = None,
        verbose: int = 0,
    ) -> None:
        super().__init__(every, folder, verbose)
        self.seed, self.env_kwargs = seed, dict(env_kwargs or {})
        self.max_frames, self.fps = max_frames, fps

    def _on_training_start(self) -> None:
        super()._on_training_start()
        self._videos = (self.folder or Path(self.logger.dir or ".")) / "videos"
        self._videos.mkdir(parents=True, exist_ok=True)
        self._on_multiple()

    def _on_multiple(self) -> bool:
        task, path = Task(self._env_id(), self.seed, self.env_kwargs), self._videos / f"step_{self.num_timesteps}.mp4"
        recording = record_episode(
            self.model, task, path, env_wrapper=self.env_wrapper, fps=self.fps, max_frames=self.max_frames
        )
        for output in self.logger.output_formats:
            if isinstance(output, TensorBoardOutputFormat):
                # Into the file that SB3 writes: of several files at a time TensorBoard follows only the newest.
                file: Any = output.writer.file_writer
                file.add_summary(summary({}, {"video/episode": recording}), self.num_timesteps)
        if self.verbose >= 1:
            print(f"Recorded {recording.path}: return {recording.episode.episode_return:.1f}")
        return True
