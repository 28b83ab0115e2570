"""Record one episode of a fixed task: an MP4 for people, and a small GIF for TensorBoard's images tab.

:func:`~sb3_lander.evaluation.evaluate` plays it, so the video shows the very flight of its report. No display needed.
"""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from PIL import Image
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.type_aliases import PolicyPredictor

from sb3_lander.agents.agent import Agent, ObsNormalizer
from sb3_lander.agents.environment import EnvWrapper
from sb3_lander.envs.registration import use_dummy_display_if_headless
from sb3_lander.evaluation.evaluator import as_agent, evaluate
from sb3_lander.evaluation.outcome import Episode
from sb3_lander.evaluation.report import EvaluationReport
from sb3_lander.evaluation.rollout import watched
from sb3_lander.evaluation.task import Task


@dataclass(frozen=True)
class Recording:
    """One episode, recorded.

    :param path: The MP4.
    :param episode: What came out of the episode.
    :param n_frames: Frames of the MP4: one after the reset and one after each step, up to the limit.
    :param fps: Frames per second of the MP4.
    :param gif: Every second frame at half the width and height, as an animated GIF that plays at the MP4's speed.
    :param size: Width and height of the GIF in pixels.
    """

    path: Path
    episode: Episode
    n_frames: int
    fps: float
    gif: bytes
    size: tuple[int, int]


def record_episode(
    model: Agent | BaseAlgorithm | PolicyPredictor,
    task: Task,
    path: str | Path,
    *,
    deterministic: bool = True,
    vec_normalize: ObsNormalizer | None = None,
    env_wrapper: EnvWrapper | None = None,
    success_threshold: float | None = None,
    batch_size: int = 32,
    fps: float | None = None,
    max_frames: int | None = None,
) -> Recording:
    """Play a task and record it.

    The environment is made for this call alone, so this may be called in the middle of a training.

    :param model: As for :func:`~sb3_lander.evaluation.evaluate`, which also explains the options that are not below:
        with the values of an evaluation the flight is the one that was evaluated.
    :param task: The episode to play.
    :param path: The MP4 to write; it appears once it is complete.
    :param fps: Frames per second; the environment's own ``render_fps``, and so real time, when None.
    :param max_frames: End the video, not the episode, after so many frames; no limit when None.
    :raises FileNotFoundError: If the folder of ``path`` does not exist.
    :raises ValueError: If ``path`` does not end in ``.mp4``, the environment cannot be rendered, or ``evaluate``
        refuses the model or the task.
    """
    path = Path(path)
    if path.suffix != ".mp4":
        raise ValueError(f"a video's name must end in .mp4, got {path}")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"no folder {path.parent} for the video {path.name}")
    use_dummy_display_if_headless()
    # The last suffix must stay: ffmpeg chooses the format by it.
    unfinished = path.with_name(f".{path.stem}.unfinished.mp4")
    film = _Film(unfinished, fps or 0.0, max_frames)
    agent = as_agent(model, task, env_wrapper, vec_normalize)
    try:
        report = evaluate(
            watched(agent, film.shoot),
            [Task(task.env_id, task.seed, {**task.env_kwargs, "render_mode": "rgb_array"})],
            deterministic=deterministic,
            success_threshold=success_threshold,
            n_envs=1,
            batch_size=batch_size,
        )
        film.close()
        unfinished.replace(path)
    finally:
        film.close()
        unfinished.unlink(missing_ok=True)
    gif, size = film.gif()
    return Recording(path, report.episodes[0], film.n_frames, film.fps, gif, size)


def extremes(report: EvaluationReport, k: int) -> dict[str, int]:
    """Return the seeds of the ``k`` worst, ``k`` median and ``k`` best episodes by return, each seed once.

    :return: Seeds by ``worst``, ``worst_2``, ..., ``best``, ``best_2``, ..., ``median``, ``median_2``, ...
    """
    ranked = [e.seed for e in sorted(report.episodes, key=lambda e: (e.episode_return, e.seed))]
    middle = max(0, (len(ranked) - k) // 2)
    found: dict[str, int] = {}
    for name, seeds in (("worst", ranked[:k]), ("best", ranked[::-1][:k]), ("median", ranked[middle : middle + k])):
        for i, seed in enumerate(seeds, start=1):
            if seed not in found.values():
                found[name if i == 1 else f"{name}_{i}"] = seed
    return found


def record_extremes(agent: Agent, report: EvaluationReport, k: int, folder: Path) -> dict[str, Recording]:
    """Record the ``k`` worst, median and best episodes of a report; see :func:`extremes` for their names."""
    found = {}
    for name, seed in extremes(report, k).items():
        task, file = Task(report.env_id, seed, report.env_kwargs), f"step_{agent.step}_{name}_seed_{seed}.mp4"
        found[name] = record_episode(agent, task, folder / file, deterministic=report.deterministic)
    return found


@dataclass
class _Film:
    """The frames of one episode, encoded as they come: 1,000 raw ones would take 720 MB."""

    path: Path
    fps: float
    max_frames: int | None
    n_frames: int = 0
    writer: Any = None
    small: list[Image.Image] = field(default_factory=list)

    def shoot(self, env: gym.Env[Any, Any]) -> None:
        """Add a frame, uint8 of shape ``(height, width, 3)``."""
        frame = env.render()
        if not isinstance(frame, np.ndarray):
            raise ValueError(f"{env} cannot be recorded: with render_mode='rgb_array' it renders {frame!r:.80}")
        if self.max_frames is not None and self.n_frames >= self.max_frames:
            return
        if self.writer is None:
            from moviepy.video.io import ffmpeg_writer

            self.fps = self.fps or float(env.metadata.get("render_fps", 30))
            open_writer: Any = ffmpeg_writer.FFMPEG_VideoWriter
            # moviepy asks for a format with transparency, which some players refuse; the last one counts.
            opaque, (height, width, _) = ["-pix_fmt", "yuv420p"], frame.shape
            self.writer = open_writer(str(self.path), (width, height), self.fps, threads=1, ffmpeg_params=opaque)
        self.writer.write_frame(frame)
        if self.n_frames % 2 == 0:
            self.small.append(Image.fromarray(frame).reduce(2).quantize(colors=64))
        self.n_frames += 1

    def close(self) -> None:
        """End the MP4; a second call does nothing."""
        if self.writer is not None:
            self.writer.close()
            self.writer = None

    def gif(self) -> tuple[bytes, tuple[int, int]]:
        """Return the animated GIF, and its size."""
        buffer = io.BytesIO()
        first, *others = self.small
        first.save(buffer, "GIF", save_all=True, append_images=others, duration=2000 / self.fps, loop=0)
        return buffer.getvalue(), first.size
