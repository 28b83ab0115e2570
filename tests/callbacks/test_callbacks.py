"""The callbacks, in Python with several algorithms, and in the RL Zoo's YAML."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from stable_baselines3 import PPO, SAC
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.logger import configure
from stable_baselines3.common.vec_env import SubprocVecEnv, VecNormalize
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from sb3_lander.benchmark.recipes import Recipe
from sb3_lander.callbacks import CheckpointCallback, StopWhenSolved, VideoCallback
from sb3_lander.runs.archive import check_whole

ENV = "LunarLanderContinuous-v3"


def ppo(env: Any = "Pendulum-v1", **options: Any) -> PPO:
    return PPO("MlpPolicy", env, **{"n_steps": 64, "batch_size": 64, "n_epochs": 1, **options})


def names(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


def test_the_newest_checkpoints_stay_and_each_is_whole(tmp_path: Path) -> None:
    (tmp_path / "best_model.zip").write_bytes(b"")
    ppo().learn(500, CheckpointCallback(100, keep=2, folder=tmp_path))
    assert names(tmp_path) == ["best_model.zip", "rl_model_400_steps.zip", "rl_model_500_steps.zip"]
    check_whole(tmp_path / "rl_model_500_steps.zip")
    loaded = PPO.load(tmp_path / "rl_model_500_steps.zip")
    assert loaded.num_timesteps == 500
    assert loaded.policy.optimizer.state_dict()["state"][0]["step"] == 7  # updates after 64, 128, ..., 448 steps


def test_checkpoints_fall_on_multiples_whatever_the_number_of_envs_and_the_start(tmp_path: Path) -> None:
    model = ppo(make_vec_env("Pendulum-v1", 3), n_steps=40, batch_size=60)
    model.learn(200, CheckpointCallback(100, keep=None, folder=tmp_path))
    model.learn(160, CheckpointCallback(100, keep=None, folder=tmp_path), reset_num_timesteps=False)
    assert [int(name.split("_")[2]) for name in names(tmp_path)] == [102, 201, 300, 402]


def test_a_checkpoint_has_its_normalisation_statistics(tmp_path: Path) -> None:
    env = VecNormalize(make_vec_env("Pendulum-v1"))
    ppo(env).learn(200, CheckpointCallback(100, keep=1, folder=tmp_path))
    assert names(tmp_path) == [
        "rl_model_200_steps.vecnormalize.npz",
        "rl_model_200_steps.zip",
        "rl_model_vecnormalize_200_steps.pkl",
    ]
    loaded = VecNormalize.load(str(tmp_path / "rl_model_vecnormalize_200_steps.pkl"), make_vec_env("Pendulum-v1"))
    # One more than the steps: the first observation counts, and so does the count's small start.
    assert loaded.obs_rms.count == pytest.approx(201, abs=0.01)


def test_only_the_newest_replay_buffer_stays(tmp_path: Path) -> None:
    model = SAC("MlpPolicy", "Pendulum-v1", learning_starts=1000, buffer_size=500)
    model.learn(300, CheckpointCallback(100, keep=3, save_replay_buffer=True, folder=tmp_path))
    assert [name for name in names(tmp_path) if "buffer" in name] == ["rl_model_replay_buffer_300_steps.pkl"]
    assert len([name for name in names(tmp_path) if name.endswith(".zip")]) == 3
    model.load_replay_buffer(tmp_path / "rl_model_replay_buffer_300_steps.pkl")


def test_checkpoints_need_a_folder_and_sensible_numbers() -> None:
    with pytest.raises(ValueError, match="needs folder="):
        ppo().learn(64, CheckpointCallback(100))
    with pytest.raises(ValueError, match="every=0 must be at least 1"):
        CheckpointCallback(0)
    with pytest.raises(ValueError, match="keep=0 must be at least 1"):
        CheckpointCallback(keep=0)


def test_videos_are_files_and_in_tensorboard_and_do_not_change_the_training(tmp_path: Path) -> None:
    def train(*callbacks: Any) -> PPO:
        model = ppo(make_vec_env(ENV, 2, seed=1, vec_env_cls=SubprocVecEnv), seed=1)
        model.set_logger(configure(str(tmp_path), ["tensorboard"]))
        model.learn(128, list(callbacks))
        model.env.close()
        return model

    with_videos = train(VideoCallback(100, seed=5, max_frames=40))
    plain = train()
    assert names(tmp_path / "videos") == ["step_0.mp4", "step_100.mp4"]
    for name, value in plain.policy.state_dict().items():
        assert value.equal(with_videos.policy.state_dict()[name])
    events = EventAccumulator(str(tmp_path), size_guidance={"images": 0})
    events.Reload()
    images = events.Images("video/episode")
    assert [image.step for image in images] == [0, 100]
    assert images[0].encoded_image_string.startswith(b"GIF89a")


def test_a_video_that_cannot_be_made_shows_before_the_training(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="nonsense"):
        ppo(ENV).learn(64, VideoCallback(folder=tmp_path, env_kwargs={"nonsense": 1}))


def test_success_is_told_once_and_stops_only_if_asked(capsys: pytest.CaptureFixture[str]) -> None:
    every_50 = {"threshold": -1e4, "every": 50, "episodes": 2, "consecutive": 2}
    model, callback = ppo(), StopWhenSolved(**every_50)
    model.learn(256, callback)
    assert (callback.solved_at, model.num_timesteps) == (100, 256)
    assert capsys.readouterr().out.count("Solved at 100 steps: 2 times in a row") == 1
    stopping = ppo()
    stopping.learn(256, StopWhenSolved(**every_50, stop=True))
    assert stopping.num_timesteps == 100
    never = StopWhenSolved(**{**every_50, "threshold": 0.0}, stop=True)
    ppo().learn(128, never)
    assert never.solved_at is None


def test_the_threshold_is_the_environments_own_where_it_has_one() -> None:
    callback = StopWhenSolved(every=1000)
    ppo(ENV).learn(64, callback)
    assert callback.threshold == 200
    with pytest.raises(ValueError, match="Pendulum-v1 declares no reward_threshold"):
        ppo().learn(64, StopWhenSolved())
    with pytest.raises(ValueError, match="at least 1"):
        StopWhenSolved(episodes=0)


def test_they_work_from_the_zoos_yaml_and_learn_the_runs_folder(zoo: Callable[..., str], tmp_path: Path) -> None:
    entry = Recipe("x", changes={"n_envs": 4, "n_steps": 64, "batch_size": 64, "n_epochs": 1}).entry(ENV)
    entry["callback"] = [
        {"sb3_lander.callbacks.VideoCallback": {"every": 1000, "max_frames": 10}},
        {"sb3_lander.callbacks.CheckpointCallback": {"every": 250, "keep": 2}},
        {"sb3_lander.callbacks.StopWhenSolved": {"threshold": -1e4, "every": 400, "episodes": 2, "stop": True}},
    ]
    (tmp_path / "entry.yml").write_text(yaml.safe_dump({ENV: entry}))
    output = zoo(f"train --algo ppo --env {ENV} -n 4000 --eval-freq 500 --eval-episodes 1 --conf-file entry.yml -tb tb")
    run = tmp_path / "logs" / "ppo" / f"{ENV}_1"
    assert "Solved at 1200 steps" in output
    assert names(run / "videos") == ["step_0.mp4", "step_1000.mp4"]
    assert [name for name in names(run) if name.endswith(".zip")] == [
        f"{ENV}.zip",
        "best_model.zip",
        "rl_model_1000_steps.zip",
        "rl_model_752_steps.zip",
    ]
    for model in run.glob("*.zip"):
        check_whole(model)
    events = EventAccumulator(str(next((tmp_path / "tb" / ENV).iterdir())))
    events.Reload()
    assert [image.step for image in events.Images("video/episode")] == [0, 1000]
    assert "solved/mean_return" in events.Tags()["scalars"]


def test_a_callback_of_the_user_is_not_replaced_by_save_freq(zoo: Callable[..., str], tmp_path: Path) -> None:
    entry = Recipe("x", changes={"n_envs": 4, "n_steps": 64, "batch_size": 64, "n_epochs": 1}).entry(ENV)
    own = {"save_freq": 50, "save_path": "own", "name_prefix": "mine"}
    entry["callback"] = {"stable_baselines3.common.callbacks.CheckpointCallback": own}
    (tmp_path / "entry.yml").write_text(yaml.safe_dump({ENV: entry}))
    zoo(f"train --algo ppo --env {ENV} -n 512 --eval-freq -1 --save-freq 256 --conf-file entry.yml")
    assert names(tmp_path / "own") == ["mine_200_steps.zip", "mine_400_steps.zip"]
    saved = [name for name in names(tmp_path / "logs" / "ppo" / f"{ENV}_1") if name.startswith("rl_model")]
    assert saved == ["rl_model_256_steps.zip", "rl_model_512_steps.zip"]
