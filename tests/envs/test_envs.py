"""The environment ids, the success flag, and rendering without a display."""

from __future__ import annotations

import math
import os
import re
import sys
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from conftest import python
from gymnasium.utils.env_checker import check_env

from sb3_lander.envs.registration import (
    DISCRETE_V2_ID,
    DISCRETE_V3_ID,
    ENV_IDS,
    V2_ID,
    V3_ID,
    SuccessWrapper,
    register_envs,
    use_dummy_display_if_headless,
)

pytestmark = [
    pytest.mark.filterwarnings("ignore:builtin type .* has no __module__ attribute:DeprecationWarning"),
    pytest.mark.filterwarnings(r"ignore:.*The environment LunarLander\w*-v2 is out of date:DeprecationWarning"),
]


class Scripted(gym.Env[np.ndarray, int]):
    """Gives the rewards it was made with, one each step, and then ends as it was told."""

    observation_space = gym.spaces.Box(0, 1, (1,))
    action_space = gym.spaces.Discrete(2)

    def __init__(self, rewards: list[float], ends: str = "terminated") -> None:
        self.rewards, self.ends = rewards, ends

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        self.left = list(self.rewards)
        return np.zeros(1, np.float32), {}

    def step(self, action: int) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        reward = self.left.pop(0)
        is_over = not self.left
        return (
            np.zeros(1, np.float32),
            reward,
            is_over and self.ends == "terminated",
            is_over and self.ends != "terminated",
            {},
        )


def play(env: gym.Env[Any, Any]) -> tuple[list[float], list[dict[str, Any]]]:
    env.reset()
    rewards, infos, is_over = [], [], False
    while not is_over:
        _, reward, terminated, truncated, info = env.step(0)
        rewards.append(float(reward))
        infos.append(info)
        is_over = terminated or truncated
    return rewards, infos


@pytest.mark.parametrize("env_id", ENV_IDS)
def test_each_id_makes_its_lander_with_its_limit_and_threshold(env_id: str) -> None:
    env = gym.make(env_id)
    assert env.unwrapped.continuous is ("Continuous" in env_id)
    assert env.spec.max_episode_steps == 1000
    assert env.spec.reward_threshold == 200
    env.close()


@pytest.mark.parametrize("ids", [(V2_ID, V3_ID), (DISCRETE_V2_ID, DISCRETE_V3_ID)])
def test_v2_and_v3_are_the_same_simulator(ids: tuple[str, str]) -> None:
    runs = []
    for env_id in ids:
        env = gym.make(env_id)
        first, _ = env.reset(seed=3)
        env.action_space.seed(3)
        runs.append([first, *(env.step(env.action_space.sample())[0] for _ in range(60))])
        env.close()
    np.testing.assert_array_equal(runs[0], runs[1])


@pytest.mark.parametrize("env_id", ENV_IDS)
def test_registering_again_keeps_what_is_registered(env_id: str) -> None:
    spec = gym.registry[env_id]
    register_envs()
    assert gym.registry[env_id] is spec


@pytest.mark.parametrize(("rewards", "is_success"), [([50.0, 149.0], False), ([50.0, 150.0], True), ([300.0], True)])
@pytest.mark.parametrize("ends", ["terminated", "truncated"])
def test_success_is_a_return_of_at_least_the_threshold(rewards: list[float], is_success: bool, ends: str) -> None:
    given, infos = play(SuccessWrapper(Scripted(rewards, ends), threshold=200))
    assert given == rewards
    assert infos[-1]["is_success"] is is_success
    assert all("is_success" not in info for info in infos[:-1])


def test_the_return_starts_again_at_each_reset() -> None:
    env = SuccessWrapper(Scripted([150.0, 0.0]), threshold=200)
    env.reset()
    env.step(0)
    assert [play(env)[1][-1]["is_success"] for _ in range(2)] == [False, False]


def test_the_threshold_is_the_specs_own_by_default() -> None:
    env = SuccessWrapper(gym.make(V3_ID))
    assert env.threshold == 200.0
    env.close()


@pytest.mark.parametrize("threshold", [None, 150.0])
def test_gymnasium_makes_it_again_from_its_spec(threshold: float | None) -> None:
    env = SuccessWrapper(gym.make(V3_ID), threshold)
    again = gym.make(env.spec)
    assert isinstance(again, SuccessWrapper)
    assert again.threshold == (threshold or 200.0)
    assert again.spec == env.spec
    for made in (env, again):
        made.close()


@pytest.mark.filterwarnings("ignore:.*is different from the unwrapped version:UserWarning")
def test_gymnasiums_environment_checker_passes() -> None:
    check_env(SuccessWrapper(gym.make(V3_ID)))


WARNINGS_OF_MAKING = """
import warnings
from multiprocessing import get_context

def made(env_id):
    with warnings.catch_warnings(record=True) as seen:
        gym.make(env_id).close()
    return [str(warning.message) for warning in seen if "out of date" in str(warning.message)]

{first}
import gymnasium as gym, sb3_lander

if __name__ == "__main__":
    print("here", made("{env_id}"))
    with get_context("{method}").Pool(1) as pool:
        print("there", pool.map(made, ["{env_id}"])[0])
"""


@pytest.mark.parametrize(
    ("env_id", "method"), [(V2_ID, "spawn"), (V2_ID, "forkserver"), (V2_ID, "fork"), (DISCRETE_V2_ID, "spawn")]
)
def test_making_v2_does_not_advise_v3_in_any_process(env_id: str, method: str, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(WARNINGS_OF_MAKING.format(env_id=env_id, method=method, first=""))
    assert python(script, cwd=tmp_path).output.splitlines() == ["here []", "there []"]


COURSE = """
import sb3_lander
import gymnasium as gym
from stable_baselines3 import PPO
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.monitor import Monitor

env = gym.make("LunarLander-v2")
observation, info = env.reset()
observation, reward, terminated, truncated, info = env.step(env.action_space.sample())
env.close()

env = make_vec_env("LunarLander-v2", n_envs=16)
model = PPO(
    policy="MlpPolicy",
    env=env,
    n_steps=1024,
    batch_size=64,
    n_epochs=4,
    gamma=0.999,
    gae_lambda=0.98,
    ent_coef=0.01,
    verbose=1,
)
model.learn(total_timesteps={steps})
model.save("ppo-LunarLander-v2")

eval_env = Monitor(gym.make("LunarLander-v2", render_mode="rgb_array"))
mean_reward, std_reward = evaluate_policy(model, eval_env, n_eval_episodes=10, deterministic=True)
print(f"mean_reward={{mean_reward:.2f}} +/- {{std_reward}}")
"""


def test_the_deep_rl_courses_first_exercise_runs_with_one_import_more(tmp_path: Path) -> None:
    """The notebook of its unit 1, https://huggingface.co/learn/deep-rl-course/unit1/hands-on, with fewer steps."""
    done = python(cwd=tmp_path, code=COURSE.format(steps=16_384))
    assert done.status == 0, done.output
    assert "out of date" not in done.output
    (mean_return,) = re.findall(r"^mean_reward=(\S+) ", done.output, flags=re.MULTILINE)
    # Hardly trained, and without a seed, it may spin, which costs 100 a radian, so that no return is too low.
    assert -math.inf < float(mean_return) < 300
    played = python("-m sb3_lander evaluate ppo-LunarLander-v2.zip --episodes 3", cwd=tmp_path)
    assert played.status == 0, played.output
    assert "LunarLander-v3: 3 fixed tasks" in played.output


def test_other_old_ids_are_still_advised_against(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(WARNINGS_OF_MAKING.format(env_id="CartPole-v0", method="spawn", first=""))
    lines = python(script, cwd=tmp_path).output.splitlines()
    assert [line.count("CartPole-v0 is out of date") for line in lines] == [1, 1]


def test_v2_that_somebody_else_registered_first_is_left_to_gymnasium(tmp_path: Path) -> None:
    first = f'import gymnasium as gym; gym.register("{V2_ID}", "gymnasium.envs.box2d:LunarLander")'
    script = tmp_path / "script.py"
    script.write_text(WARNINGS_OF_MAKING.format(env_id=V2_ID, method="spawn", first=first))
    lines = python(script, cwd=tmp_path).output.splitlines()
    assert [line.count("is out of date") for line in lines] == [1, 1]


def test_the_silence_outlives_a_first_import_within_catch_warnings(tmp_path: Path) -> None:
    code = f"""
import warnings
with warnings.catch_warnings():
    import sb3_lander
import gymnasium, sb3_lander.zoo
sb3_lander.register_envs()
gymnasium.make("{V2_ID}").close()
"""
    assert "out of date" not in python(cwd=tmp_path, code=code).output


def test_an_env_without_a_threshold_is_refused_unless_one_is_given() -> None:
    with pytest.raises(ValueError, match="declares no reward_threshold"):
        SuccessWrapper(Scripted([1.0]))


@pytest.mark.parametrize(
    ("platform", "variables", "driver"),
    [
        ("linux", {}, "dummy"),
        ("linux", {"DISPLAY": ":0"}, None),
        ("linux", {"WAYLAND_DISPLAY": "wayland-0"}, None),
        ("linux", {"SDL_VIDEODRIVER": "offscreen"}, "offscreen"),
        ("darwin", {}, None),
    ],
)
def test_the_dummy_display_is_used_only_on_linux_without_a_display(
    monkeypatch: pytest.MonkeyPatch, platform: str, variables: dict[str, str], driver: str | None
) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(os, "environ", dict(os.environ))
    use_dummy_display_if_headless()
    assert os.environ.get("SDL_VIDEODRIVER") == driver
