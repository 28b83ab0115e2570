"""prefer_envpool: what moves to EnvPool, what stays on gymnasium, and what it says."""

from __future__ import annotations

import multiprocessing
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from conftest import ShortRun, python
from gymnasium.wrappers import ClipAction
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.monitor import Monitor, load_results
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv, VecEnv

from sb3_lander.envs.batched_subproc_vec_env import BatchedSubprocVecEnv
from sb3_lander.envs.registration import V3_ID, SuccessWrapper
from sb3_lander.envs.selection import SERVED_IDS, EnvPoolVecEnv, movable_dummy_vec_env, prefer_envpool

pytestmark = pytest.mark.filterwarnings("ignore:builtin type .* has no __module__ attribute:DeprecationWarning")


def made(env_id: str = V3_ID, n_envs: int = 2, **kwargs: Any) -> VecEnv:
    """Make envs as the Zoo does: from the spec, without a render mode."""
    env_kwargs = kwargs.pop("env_kwargs", {})
    return make_vec_env(lambda **given: gym.spec(env_id).make(**given), n_envs, env_kwargs=env_kwargs, **kwargs)


def the_line(capsys: pytest.CaptureFixture[str]) -> str:
    printed = capsys.readouterr()
    assert printed.err == ""
    assert printed.out.startswith("Environments: ")
    assert printed.out.count("\n") == 1
    return printed.out.strip()


def play(env: VecEnv, steps: int = 300) -> list[dict[str, Any]]:
    """Return the episodes, without their times."""
    env.action_space.seed(0)
    env.reset()
    episodes = []
    for _ in range(steps):
        infos = env.step(np.stack([env.action_space.sample() for _ in range(env.num_envs)]))[3]
        episodes += [info for info in infos if "episode" in info]
    for info in episodes:
        del info["episode"]["t"]
    return episodes


@pytest.mark.parametrize("env_id", SERVED_IDS)
def test_logged_training_envs_move_to_envpool(env_id: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old = made(env_id, 3, seed=7, monitor_dir=str(tmp_path))
    spaces = old.observation_space, old.action_space
    fast = prefer_envpool(old)
    assert type(fast) is EnvPoolVecEnv
    assert the_line(capsys) == f"Environments: EnvPool, 3 x {env_id} on {fast.num_threads} thread" + "s" * (
        fast.num_threads > 1
    )
    assert (fast.observation_space, fast.action_space) == spaces
    assert fast.get_attr("spec")[0].id == env_id
    assert fast.num_envs == 3
    fast.close()


def test_it_plays_as_envpool_does_with_the_same_seed() -> None:
    fast = prefer_envpool(made(n_envs=2, seed=7), training=True)
    direct = EnvPoolVecEnv(V3_ID, 2, seed=7)
    direct.success_threshold = None
    np.testing.assert_equal(play(fast), play(direct))


def test_moving_draws_nothing_from_numpys_global_generator() -> None:
    np.random.seed(0)
    old = made(seed=1)
    state = np.random.get_state()[1].copy()
    prefer_envpool(old, training=True)
    np.testing.assert_array_equal(np.random.get_state()[1], state)


def test_random_actions_keep_the_seed_that_make_vec_env_gave_them() -> None:
    old, twin = made(seed=7), made(seed=7)
    fast = prefer_envpool(old, training=True)
    np.testing.assert_array_equal(
        [fast.action_space.sample() for _ in range(3)], [twin.action_space.sample() for _ in range(3)]
    )


def test_the_monitor_files_go_on_with_their_own_headers(tmp_path: Path) -> None:
    old = made(n_envs=3, seed=0, monitor_dir=str(tmp_path))
    headers = {path.name: path.read_text() for path in tmp_path.iterdir()}
    fast = prefer_envpool(old)
    episodes = play(fast)
    assert sorted(headers) == [f"{i}.monitor.csv" for i in range(3)]
    for name, header in headers.items():
        assert (tmp_path / name).read_text().startswith(header)
    results = load_results(str(tmp_path))
    assert len(results) == len(episodes) > 5
    assert sorted(results["r"]) == sorted(info["episode"]["r"] for info in episodes)
    assert sorted(results["l"]) == sorted(info["episode"]["l"] for info in episodes)
    assert 0 < results["t"].max() < 600
    fast.close()


@pytest.mark.parametrize("threshold", [-200.0, 200.0])
def test_the_success_threshold_is_that_of_the_wrapper(threshold: float) -> None:
    old = made(seed=0, wrapper_class=SuccessWrapper, wrapper_kwargs={"threshold": threshold})
    for info in play(prefer_envpool(old, training=True)):
        assert info["is_success"] is (info["episode"]["r"] >= threshold)


def test_without_the_success_wrapper_there_is_no_flag() -> None:
    assert all("is_success" not in info for info in play(prefer_envpool(made(seed=0), training=True)))


def test_a_shorter_time_limit_moves_with_them(capsys: pytest.CaptureFixture[str]) -> None:
    fast = prefer_envpool(made(env_kwargs={"max_episode_steps": 40}), training=True)
    assert the_line(capsys).endswith(", episodes of at most 40 steps")
    assert [info["episode"]["l"] for info in play(fast, 90)] == [40] * 4


@pytest.mark.parametrize("first", ["sb3_lander.envs.selection", "rl_zoo3"])
def test_the_zoos_time_limit_is_known_whichever_is_imported_first(first: str, tmp_path: Path) -> None:
    code = f"""
import gymnasium as gym
from stable_baselines3.common.env_util import make_vec_env
early = make_vec_env(lambda: gym.spec("{V3_ID}").make(), 2)
import {first}, sb3_lander.envs.selection, rl_zoo3.gym_patches
late = make_vec_env(lambda: gym.spec("{V3_ID}").make(), 2)
for venv in early, late:
    moved = sb3_lander.envs.selection.prefer_envpool(venv, training=True)
    assert moved.env_is_wrapped(gym.wrappers.TimeLimit) == [True, True]
    print(type(moved).__name__)
"""
    done = python(cwd=tmp_path, code=code)
    assert [line for line in done.output.splitlines() if line.endswith("VecEnv")] == ["EnvPoolVecEnv"] * 2, done.output


def test_the_old_envs_are_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = []

    def close(wrapper: SuccessWrapper) -> None:
        closed.append(wrapper)

    monkeypatch.setattr(SuccessWrapper, "close", close)
    old = made(wrapper_class=SuccessWrapper)
    prefer_envpool(old, training=True)
    assert closed == old.envs


def changed(change: Callable[[gym.Env[Any, Any]], None]) -> VecEnv:
    venv = made()
    change(venv.envs[1])
    return venv


class Wrapped(gym.Wrapper[Any, Any, Any, Any]):
    """A wrapper that EnvPool knows nothing of."""


STAY: dict[str, tuple[Callable[[], VecEnv], str]] = {
    "one env": (lambda: made(n_envs=1), "a single env gains nothing from threads"),
    "subproc": (lambda: made(n_envs=1, vec_env_cls=SubprocVecEnv), "SubprocVecEnv was asked for"),
    "wind": (lambda: made(env_kwargs={"enable_wind": True}), "enable_wind=False, not True"),
    "gravity": (lambda: made(env_kwargs={"gravity": -5.0}), "gravity=-10.0, not -5.0"),
    "discrete": (lambda: made(env_kwargs={"continuous": False}), "continuous=True, not False"),
    "gravity changed later": (
        lambda: changed(lambda env: setattr(env.unwrapped, "gravity", -3.0)),
        "gravity=-10.0, not -3.0",
    ),
    "hardcore": (lambda: made("BipedalWalker-v3", env_kwargs={"hardcore": True}), "hardcore=False, not True"),
    "pendulum's gravity": (lambda: made("Pendulum-v1", env_kwargs={"g": 9.0}), "g=10.0, not 9.0"),
    "time limit": (lambda: made(env_kwargs={"max_episode_steps": 1500}), "at most 1000 steps, not [1500]"),
    "pictures": (lambda: made(env_kwargs={"render_mode": "rgb_array"}), "render_mode is 'rgb_array'"),
    "by name": (lambda: make_vec_env(V3_ID, 2), "render_mode is 'rgb_array'"),
    "wrapper": (lambda: made(wrapper_class=Wrapped), "does not have the wrapper Wrapped"),
    "gymnasium's wrapper": (lambda: made(wrapper_class=ClipAction), "does not have the wrapper ClipAction"),
    "unknown id": (lambda: made("MountainCarContinuous-v0"), "not MountainCarContinuous-v0"),
    "two ids": (
        lambda: DummyVecEnv(
            [lambda: Monitor(gym.make("CartPole-v1")), lambda: Monitor(gym.make("CartPole-v0", max_episode_steps=500))]
        ),
        "CartPole-v0, CartPole-v1",
    ),
    "no monitor": (lambda: DummyVecEnv([lambda: gym.make("CartPole-v1")] * 2), "exactly one Monitor"),
    "monitor's keywords": (
        lambda: made(monitor_kwargs={"info_keywords": ("is_success",)}),
        "the Monitor has options",
    ),
    "thresholds": (
        lambda: DummyVecEnv([lambda t=t: SuccessWrapper(Monitor(gym.make("CartPole-v1")), t) for t in (1.0, 2.0)]),
        "different success thresholds",
    ),
}


@pytest.mark.parametrize("case", STAY)
@pytest.mark.filterwarnings("ignore:.*CartPole-v0 is out of date")
def test_what_envpool_does_not_simulate_stays_on_gymnasium(case: str, capsys: pytest.CaptureFixture[str]) -> None:
    make, reason = STAY[case]
    venv = make()
    capsys.readouterr()
    assert prefer_envpool(venv, training=True) is venv
    line = the_line(capsys)
    assert line.startswith(f"Environments: gymnasium {type(venv).__name__} (")
    assert reason in line
    venv.close()


def test_evaluation_envs_stay_on_gymnasium(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    unlogged = made()
    assert prefer_envpool(unlogged) is unlogged
    assert "evaluation runs on gymnasium" in the_line(capsys)
    logged = made(monitor_dir=str(tmp_path))
    assert prefer_envpool(logged, training=False) is logged
    assert "evaluation runs on gymnasium" in the_line(capsys)
    logged.close()


def test_unlogged_envs_move_when_they_are_said_to_be_for_training(capsys: pytest.CaptureFixture[str]) -> None:
    assert isinstance(prefer_envpool(made(), training=True), EnvPoolVecEnv)
    assert "EnvPool, 2 x" in the_line(capsys)


def test_env_options_that_say_the_default_move_all_the_same() -> None:
    venv = made(env_kwargs={"enable_wind": False, "gravity": -10.0})
    assert isinstance(prefer_envpool(venv, training=True), EnvPoolVecEnv)


@pytest.mark.parametrize(
    ("python", "remedy"), [((3, 11, 0), 'pip install "sb3-lander[fast]"'), ((3, 10, 13), "it needs Python 3.11")]
)
def test_without_envpool_everything_stays_and_the_line_says_how_to_get_it(
    python: tuple[int, int, int], remedy: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "envpool", None)
    monkeypatch.setattr("sb3_lander.envs.envpool_task.sys", SimpleNamespace(version_info=python))
    venv = made(seed=0)
    assert prefer_envpool(venv, training=True) is venv
    assert the_line(capsys) == f"Environments: gymnasium DummyVecEnv (envpool is not installed: {remedy})"
    assert len(play(venv)) >= 2, "the envs that stay are still open"


@pytest.mark.parametrize(
    ("failure", "reason"),
    [
        (
            "ImportError('libEGL.so.1: cannot open shared object file: No such file or directory')",
            "envpool is installed, but the system library libEGL.so.1 is missing: "
            "on Debian or Ubuntu, apt-get install libegl1 libopengl0",
        ),
        (
            "ModuleNotFoundError('no dm_env', name='dm_env')",
            "envpool is installed, but importing it fails with ModuleNotFoundError: no dm_env",
        ),
        (
            "RuntimeError('an old numpy')",
            "envpool is installed, but importing it fails with RuntimeError: an old numpy",
        ),
    ],
)
def test_an_envpool_that_cannot_be_loaded_leaves_the_envs_as_they_are_and_the_line_says_what_is_missing(
    failure: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "envpool.py").write_text(f"raise {failure}")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "envpool", raising=False)
    venv = made(seed=0)
    assert prefer_envpool(venv, training=True) is venv
    assert the_line(capsys) == f"Environments: gymnasium DummyVecEnv ({reason})"
    assert len(play(venv)) >= 2


def movable(n_envs: int = 16, **kwargs: Any) -> VecEnv:
    return made(n_envs=n_envs, vec_env_cls=movable_dummy_vec_env, **kwargs)


WIND = {"enable_wind": True}


def test_training_envs_with_wind_run_in_a_process_for_each_core_and_play_as_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sb3_lander.envs.selection.usable_cores", lambda: [0, 1])
    monkeypatch.setattr("sb3_lander.envs.batched_subproc_vec_env.usable_cores", lambda: [0, 1])
    twin = made(n_envs=16, seed=7, env_kwargs=WIND, monitor_dir=str(tmp_path / "twin"))
    moved = prefer_envpool(movable(seed=7, env_kwargs=WIND, monitor_dir=str(tmp_path / "moved")), training=True)
    assert the_line(capsys) == (
        "Environments: gymnasium BatchedSubprocVecEnv, 16 in 2 processes (EnvPool has only enable_wind=False, not True)"
    )
    assert moved.action_space.sample().tolist() == twin.action_space.sample().tolist()
    episodes = play(moved, 150)
    np.testing.assert_equal(episodes, play(twin, 150))
    for venv in (moved, twin):
        venv.close()
    files = [load_results(str(tmp_path / name)) for name in ("moved", "twin")]
    assert sorted(files[0]["r"]) == sorted(files[1]["r"]) == sorted(info["episode"]["r"] for info in episodes)


@pytest.mark.parametrize("case", ["no envpool", "envpool: false"])
def test_without_envpool_the_envs_run_in_processes(
    case: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sb3_lander.envs.selection.usable_cores", lambda: [0, 1])
    monkeypatch.setitem(sys.modules, "envpool", None)
    moved = prefer_envpool(movable(), training=True, envpool=case == "no envpool")
    assert isinstance(moved, BatchedSubprocVecEnv)
    assert ("envpool is not installed" if case == "no envpool" else case) in the_line(capsys)
    moved.close()


@pytest.mark.parametrize("case", ["few envs", "one core", "evaluation", "daemon"])
def test_processes_are_not_started_where_they_bring_nothing_or_may_not(
    case: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sb3_lander.envs.selection.usable_cores", lambda: [0] if case == "one core" else [0, 1])
    if case == "daemon":
        monkeypatch.setitem(multiprocessing.current_process()._config, "daemon", True)
    venv = movable(8 if case == "few envs" else 16, env_kwargs=WIND)
    assert prefer_envpool(venv, training=case != "evaluation") is venv
    assert the_line(capsys).startswith("Environments: gymnasium DummyVecEnv (")
    venv.close()


def test_where_processes_do_not_start_one_goes_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(_: Any) -> None:
        raise OSError("no shared memory")

    monkeypatch.setattr("sb3_lander.envs.selection.usable_cores", lambda: [0, 1])
    monkeypatch.setattr("sb3_lander.envs.selection.BatchedSubprocVecEnv", refuse)
    moved = prefer_envpool(movable(env_kwargs=WIND, seed=3), training=True)
    assert "DummyVecEnv, as processes did not start: no shared memory (" in the_line(capsys)
    twin = made(n_envs=16, env_kwargs=WIND, seed=3)
    np.testing.assert_array_equal(moved.reset(), twin.reset())
    moved.close()
    twin.close()


def test_importing_and_staying_do_not_import_envpool() -> None:
    program = (
        "import sys; from stable_baselines3.common.env_util import make_vec_env;"
        "from sb3_lander.envs.selection import prefer_envpool;"
        "prefer_envpool(make_vec_env('CartPole-v1', 2)); print('envpool' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "False"


def test_the_literal_command_trains_on_envpool_and_evaluates_on_gymnasium(v2_run: ShortRun) -> None:
    lines = [line for line in v2_run.output.splitlines() if line.startswith("Environments:")]
    assert sorted(line.split(" on ")[0] for line in lines) == [
        "Environments: EnvPool, 32 x LunarLanderContinuous-v2",
        "Environments: gymnasium DummyVecEnv (evaluation runs",
    ]
    results = load_results(str(v2_run.folder))
    assert list(results.columns) == ["index", "r", "l", "t"]
    assert results["l"].sum() > 10_000, "most of the 16,384 steps belong to finished episodes"
