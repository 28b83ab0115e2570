"""RandomWeather against gymnasium's lander in the weather that was drawn."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from stable_baselines3.common.env_checker import check_env as check_env_for_sb3
from stable_baselines3.common.env_util import make_vec_env

from sb3_lander.envs import V3_ID, BatchedSubprocVecEnv, RandomWeather, SuccessWrapper, prefer_envpool
from sb3_lander.envs.selection import movable_dummy_vec_env

pytestmark = pytest.mark.filterwarnings("ignore:builtin type .* has no __module__ attribute:DeprecationWarning")

IDS = (V3_ID, "LunarLander-v3")


def weather(env: gym.Env[Any, Any], seed: int | None = None) -> tuple[float, float, float]:
    """Return the gravity, the wind and the turbulence of a reset."""
    told = env.reset(seed=seed)[1]["weather"]
    assert list(told) == ["gravity", "wind_power", "turbulence_power"]
    return tuple(told.values())


def flight(env: gym.Env[Any, Any], seed: int | None) -> list[tuple[Any, ...]]:
    """Return everything that an episode of random actions shows, without the weather."""
    observation, info = env.reset(seed=seed)
    env.action_space.seed(5)
    seen, over = [(observation.tolist(), {key: info[key] for key in info if key != "weather"})], False
    while not over:
        observation, reward, terminated, truncated, _ = env.step(env.action_space.sample())
        seen.append((observation.tolist(), float(reward), terminated, truncated))
        over = terminated or truncated
    return seen


@pytest.mark.parametrize("env_id", IDS)
def test_an_episode_is_that_of_gymnasium_in_the_weather_that_was_drawn(env_id: str) -> None:
    with RandomWeather(gym.make(env_id)) as ours:
        for seed in range(12):
            gravity, wind, turbulence = weather(ours, seed)
            powers: dict[str, Any] = {"wind_power": wind, "turbulence_power": turbulence}
            with gym.make(env_id, gravity=gravity, enable_wind=True, **powers) as theirs:
                assert flight(ours, seed) == flight(theirs, seed)


def test_resets_without_a_seed_leave_the_simulators_random_numbers_as_they_are() -> None:
    fixed = {"gravity": [-7.0, -7.0], "wind_power": [12.0, 12.0], "turbulence_power": [0.5, 0.5]}
    with (
        RandomWeather(gym.make(V3_ID), **fixed) as ours,
        gym.make(V3_ID, gravity=-7.0, enable_wind=True, wind_power=12.0, turbulence_power=0.5) as theirs,
    ):
        for seed in (3, None, None):
            assert flight(ours, seed) == flight(theirs, seed)


def test_a_seed_fixes_the_weather_whatever_was_drawn_before() -> None:
    with RandomWeather(gym.make(V3_ID)) as first, RandomWeather(gym.make(V3_ID)) as second:
        for _ in range(3):
            weather(second)
        assert [weather(first, seed) for seed in (7, None, None)] == [weather(second, seed) for seed in (7, None, None)]
        after = [weather(first) for _ in range(5)]
    assert len(set(after)) == 5
    assert all(one != other for before, now in pairwise(after) for one, other in zip(before, now, strict=True))


def test_draws_fill_the_ranges_and_stay_in_them() -> None:
    ranges = {"gravity": (-12.0, -2.0), "wind_power": (5.0, 20.0), "turbulence_power": (0.0, 1.0)}
    with RandomWeather(gym.make(V3_ID), **ranges) as env:
        drawn, grounds = [], []
        for seed in range(400):
            drawn.append(weather(env, seed))
            # The first random numbers of the simulator.
            grounds.append(env.unwrapped.sky_polys[0][0][1])
    for column, (lowest, highest) in zip(np.array(drawn).T, ranges.values(), strict=True):
        assert lowest <= column.min() <= lowest + 0.03 * (highest - lowest)
        assert highest >= column.max() >= highest - 0.03 * (highest - lowest)
    # The three are drawn apart, and apart from the terrain.
    correlations = np.corrcoef([*np.array(drawn).T, grounds])
    assert np.abs(correlations - np.eye(4)).max() < 0.15


def test_extremes_draws_the_ends_as_often_as_it_is_told() -> None:
    ranges: dict[str, Any] = {"gravity": (-11.0, -2.0), "wind_power": (5.0, 20.0), "turbulence_power": (0.5, 1.0)}
    with RandomWeather(gym.make(V3_ID), **ranges, extremes=0.3) as env:
        drawn = np.array([weather(env, seed) for seed in range(400)])
        assert weather(env, 7) == tuple(drawn[7])
    for column, (lowest, highest) in zip(drawn.T, ranges.values(), strict=True):
        # About 60 of 400 are expected at each end; the seeds make it the same each time.
        assert all(36 <= np.sum(column == end) <= 86 for end in (lowest, highest))
        assert np.unique(column).size > 200
    with RandomWeather(gym.make(V3_ID), **ranges, extremes=1.0) as env:
        assert {weather(env, seed)[0] for seed in range(20)} == {-11.0, -2.0}


def test_the_strongest_gravity_is_one_that_gymnasium_takes() -> None:
    with RandomWeather(gym.make(V3_ID), gravity=[-12.0, -12.0]) as env:
        gravity, _, _ = weather(env, 0)
    assert gravity == pytest.approx(-12.0)
    gym.make(V3_ID, gravity=gravity).close()


def test_the_last_step_tells_the_weather_too() -> None:
    with RandomWeather(gym.make(V3_ID, max_episode_steps=5)) as env:
        _, reset_info = env.reset(seed=1)
        infos = [env.step(np.zeros(2, np.float32))[4] for _ in range(5)]
    assert infos[-1]["weather"] == reset_info["weather"]
    assert all("weather" not in info for info in infos[:-1])


def test_what_gymnasium_was_given_is_kept_and_the_rest_is_drawn_as_without() -> None:
    with RandomWeather(gym.make(V3_ID)) as env:
        gravity, wind, turbulence = weather(env, 4)
    kept: list[tuple[dict[str, Any], tuple[float, float, float]]] = [
        ({"gravity": -3.0}, (-3.0, wind, turbulence)),
        ({"enable_wind": True, "wind_power": 6.0}, (gravity, 6.0, 1.5)),
        ({"enable_wind": False}, (gravity, 0.0, 0.0)),
        ({"gravity": -3.0, "enable_wind": True, "wind_power": 6.0, "turbulence_power": 0.1}, (-3.0, 6.0, 0.1)),
    ]
    for given, expected in kept:
        with RandomWeather(gym.make(V3_ID, **given)) as env:
            assert weather(env, 4) == expected
    with RandomWeather(gym.make(V3_ID, enable_wind=False, gravity=-10.0)) as env, gym.make(V3_ID) as plain:
        assert flight(env, 4) == flight(plain, 4)


@pytest.mark.parametrize("env_id", IDS)
def test_gymnasium_makes_it_again_from_its_spec(env_id: str) -> None:
    with RandomWeather(gym.make(env_id), gravity=[-5.0, -4.0]) as env, gym.make(env.spec) as again:
        assert isinstance(again, RandomWeather)
        assert again.spec == env.spec
        assert weather(again, 3) == weather(env, 3)
        assert -5.0 <= weather(again, 3)[0] <= -4.0


@pytest.mark.parametrize("env_id", IDS)
@pytest.mark.filterwarnings("ignore:.*is different from the unwrapped version:UserWarning")
def test_both_environment_checkers_pass(env_id: str) -> None:
    check_env(RandomWeather(gym.make(env_id)))
    check_env_for_sb3(RandomWeather(gym.make(env_id)), skip_render_check=True)


@pytest.mark.parametrize(
    ("ranges", "message"),
    [
        ({"gravity": [-13.0, -2.0]}, r"gravity=\[-13.0, -2.0\] must be a list of the lowest and the highest, within "),
        ({"extremes": 1.5}, r"extremes=1.5 must be a number from 0 to 1"),
        ({"extremes": "often"}, r"extremes='often' must be a number from 0 to 1"),
        ({"gravity": -10.0}, r"gravity=-10.0 must be .* within \[-12, 0\]"),
        ({"wind_power": [20.0, 0.0]}, r"wind_power=\[20.0, 0.0\] must be .* within \[0, 20\]"),
        ({"wind_power": "05"}, "wind_power='05' must be"),
        ({"turbulence_power": [0.0, 1.0, 2.0]}, r"turbulence_power=\[0.0, 1.0, 2.0\] must be .* within \[0, 2\]"),
        ({"turbulence_power": [0.0, float("nan")]}, r"turbulence_power=\[0.0, nan\] must be"),
    ],
)
def test_a_range_that_gymnasium_would_not_take_is_refused(ranges: dict[str, Any], message: str) -> None:
    with gym.make(V3_ID) as env, pytest.raises(ValueError, match=message):
        RandomWeather(env, **ranges)


def test_another_environment_is_refused() -> None:
    with gym.make("CartPole-v1") as env, pytest.raises(ValueError, match=r"is for gymnasium's LunarLander, not for"):
        RandomWeather(env)


def test_envs_of_a_vec_env_have_weathers_of_their_own_in_processes_too() -> None:
    def make() -> gym.Env[Any, Any]:
        return RandomWeather(SuccessWrapper(gym.make(V3_ID, max_episode_steps=10)))

    told = []
    for venv in (BatchedSubprocVecEnv([make] * 4, n_workers=2), make_vec_env(make, 4)):
        venv.seed(11)
        venv.reset()
        first = [info["weather"] for info in venv.reset_infos]
        for _ in range(10):
            _, _, dones, infos = venv.step(np.zeros((4, 2), np.float32))
        assert dones.all()
        assert [info["weather"] for info in infos] == first
        assert all("is_success" in info for info in infos)
        told.append([first, [info["weather"] for info in venv.reset_infos]])
        venv.close()
    assert told[0] == told[1]
    assert len({str(one) for part in told[0] for one in part}) == 8


def test_training_envs_in_weather_run_in_several_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sb3_lander.envs.selection.usable_cores", lambda: [0, 1])
    monkeypatch.setattr("sb3_lander.envs.batched_subproc_vec_env.usable_cores", lambda: [0, 1])
    options: Any = {"wrapper_class": RandomWeather, "vec_env_cls": movable_dummy_vec_env, "monitor_dir": str(tmp_path)}
    moved = prefer_envpool(make_vec_env(V3_ID, 16, seed=7, **options), training=True)
    assert capsys.readouterr().out == (
        "Environments: gymnasium BatchedSubprocVecEnv, 16 in 2 processes "
        "(EnvPool does not have the wrapper RandomWeather)\n"
    )
    moved.reset()
    assert len({info["weather"]["gravity"] for info in moved.reset_infos}) == 16
    moved.close()
