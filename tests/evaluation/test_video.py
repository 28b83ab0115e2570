"""Recording an episode of a fixed task, without a display."""

from __future__ import annotations

import io
import subprocess
from pathlib import Path
from typing import Any

import gymnasium as gym
import imageio_ffmpeg
import numpy as np
import pytest
from conftest import python
from PIL import Image
from stable_baselines3 import PPO

from sb3_lander import Task, evaluate
from sb3_lander.envs.registration import SuccessWrapper
from sb3_lander.evaluation.tensorboard import add_to_tensorboard
from sb3_lander.evaluation.video import Recording, record_episode

ENV_ID = "LunarLanderContinuous-v3"
TASK = Task(ENV_ID, 3)


@pytest.fixture(scope="module")
def model() -> PPO:
    return PPO("MlpPolicy", gym.make(ENV_ID), seed=1, device="cpu", policy_kwargs={"net_arch": [8]})


@pytest.fixture(scope="module")
def recording(model: PPO, tmp_path_factory: pytest.TempPathFactory) -> Recording:
    return record_episode(model, TASK, tmp_path_factory.mktemp("video") / "flight.mp4")


def read(path: Path) -> tuple[str, np.ndarray]:
    """Return what ffmpeg says of a 600 x 400 video, and its frames."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-i", str(path), "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    done = subprocess.run(command, capture_output=True, check=True)
    said = next(line for line in done.stderr.decode().splitlines() if "Video: h264" in line)
    return said, np.frombuffer(done.stdout, np.uint8).reshape(-1, 400, 600, 3)


def test_the_flight_is_the_one_that_an_evaluation_reports(model: PPO, recording: Recording) -> None:
    report = evaluate(model, [Task(ENV_ID, seed) for seed in (5, 3, 9)])
    assert recording.episode == report.episodes[0]


def test_the_mp4_has_a_frame_after_the_reset_and_after_each_step_in_real_time(recording: Recording) -> None:
    said, frames = read(recording.path)
    assert len(frames) == recording.n_frames == recording.episode.length + 1
    assert recording.fps == 50
    assert " yuv420p(" in said
    assert ", 600x400," in said
    assert ", 50 fps," in said


def test_the_first_frame_is_what_the_simulator_draws_after_the_reset(recording: Recording) -> None:
    env = gym.make(ENV_ID, render_mode="rgb_array")
    env.reset(seed=TASK.seed)
    drawn: Any = env.render()
    env.close()
    difference = np.abs(read(recording.path)[1][0].astype(int) - drawn.astype(int))
    assert difference.mean() < 1  # compression is lossy


def test_the_gif_is_small_and_as_long_as_the_flight(recording: Recording) -> None:
    with Image.open(io.BytesIO(recording.gif)) as gif:
        assert gif.size == recording.size == (300, 200)
        lasted = 0
        for index in range(gif.n_frames):
            gif.seek(index)
            lasted += gif.info["duration"]
    # Frames that show the same picture are one frame that lasts longer.
    assert lasted == pytest.approx(1000 * recording.n_frames / 50, abs=40)


def test_a_limit_ends_the_video_and_not_the_episode(model: PPO, recording: Recording, tmp_path: Path) -> None:
    short = record_episode(model, TASK, tmp_path / "short.mp4", max_frames=10, fps=30)
    said, frames = read(short.path)
    assert len(frames) == short.n_frames == 10
    assert ", 30 fps," in said
    assert short.episode == recording.episode


def test_a_wrapper_of_the_model_is_applied(model: PPO, recording: Recording, tmp_path: Path) -> None:
    wrapped = record_episode(model, TASK, tmp_path / "wrapped.mp4", env_wrapper=SuccessWrapper, max_frames=2)
    assert wrapped.episode == recording.episode


def test_a_name_or_a_folder_that_cannot_work_is_refused_before_any_work(model: PPO, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"must end in \.mp4, got .*flight\.avi"):
        record_episode(model, TASK, tmp_path / "flight.avi")
    with pytest.raises(FileNotFoundError, match=r"no folder .*nowhere for the video flight\.mp4"):
        record_episode(model, TASK, tmp_path / "nowhere" / "flight.mp4")


def test_nothing_is_left_of_a_recording_that_fails(model: PPO, tmp_path: Path) -> None:
    class Stop(gym.Wrapper[Any, Any, Any, Any]):
        def step(self, action: Any) -> Any:
            raise RuntimeError("stopped")

    with pytest.raises(RuntimeError, match="stopped"):
        record_episode(model, TASK, tmp_path / "flight.mp4", env_wrapper=Stop)
    assert list(tmp_path.iterdir()) == []


def test_tensorboard_gets_scalars_and_the_animated_gif(recording: Recording, tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    entry = (7, {"evaluation/mean_return": 1.5}, {"evaluation/worst": recording})
    add_to_tensorboard(tmp_path / "log", [entry, (9, {"evaluation/mean_return": 2.5}, {})])
    events = EventAccumulator(str(tmp_path / "log")).Reload()
    assert [(e.step, e.value) for e in events.Scalars("evaluation/mean_return")] == [(7, 1.5), (9, 2.5)]
    (image,) = events.Images("evaluation/worst")
    assert (image.step, image.width, image.height) == (7, 300, 200)
    assert image.encoded_image_string == recording.gif


def test_no_display_is_needed(tmp_path: Path) -> None:
    code = """
import gymnasium as gym
from stable_baselines3 import PPO
from sb3_lander import Task
from sb3_lander.evaluation.video import record_episode
model = PPO("MlpPolicy", gym.make("LunarLanderContinuous-v3"), device="cpu")
print(record_episode(model, Task("LunarLanderContinuous-v3", 0), "flight.mp4", max_frames=2).n_frames)
"""
    done = python(code=code, cwd=tmp_path)
    assert done.status == 0, done.output
    assert done.output.splitlines()[-1] == "2"
