"""BatchedSubprocVecEnv keeps the contract of SB3's DummyVecEnv, and gives its results."""

from __future__ import annotations

import copy
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from conftest import python, wait_until_gone
from gymnasium import spaces
from gymnasium.wrappers import FrameStackObservation, OrderEnforcing
from stable_baselines3 import PPO
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.monitor import Monitor, load_results
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv, VecNormalize

from sb3_lander import BatchedSubprocVecEnv, SuccessWrapper

LANDER = "LunarLanderContinuous-v3"


class Probe(gym.Env[Any, Any]):
    """An env that says what it was told: its observations are of every kind, its episodes have three steps."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 7}  # noqa: RUF012 - gymnasium's own form

    def __init__(self, observation_space: spaces.Space[Any], number: int = 0, render_mode: str | None = None) -> None:
        self.observation_space, self.action_space = copy.deepcopy(observation_space), spaces.Discrete(2)
        self.number, self.render_mode, self.steps, self.told = number, render_mode, 0, None

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        if seed is not None:
            self.observation_space.seed(seed)
        self.steps = 0
        return self.observation_space.sample(), {"seed": seed, "options": options}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        if action == 2:
            raise LookupError(f"env {self.number} knows no 2")
        self.steps += 1
        info = {"action": action} if action else {}
        return self.observation_space.sample(), 0.1 * self.number, self.steps == 3, self.number == 1, info

    def render(self) -> Any:
        return np.full((2, 3, 3), self.number, np.uint8)

    def pid(self, add: int = 0, *, name: int = 0) -> int:
        return os.getpid() + add + name

    def give_what_cannot_be_pickled(self) -> Any:
        return lambda: None

    def die(self) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


BOX = spaces.Box(-1, 1, (2,), np.float32)
OBSERVATIONS: dict[str, spaces.Space[Any]] = {
    "box": BOX,
    "image": spaces.Box(0, 255, (4, 4, 1), np.uint8),
    "discrete": spaces.Discrete(5),
    "multi-discrete": spaces.MultiDiscrete([3, 4]),
    "multi-binary": spaces.MultiBinary(6),
    "dict": spaces.Dict({"position": BOX, "count": spaces.Discrete(4)}),
    "tuple": spaces.Tuple((BOX, spaces.Discrete(3))),
}


def _same(made: list[Probe]) -> Probe:
    made[:] = made or [Probe(BOX)]
    return made[0]


def probes(n_envs: int, space: spaces.Space[Any] = BOX, **kwargs: Any) -> list[Callable[[], Probe]]:
    return [partial(Probe, space, i, **kwargs) for i in range(n_envs)]


@pytest.fixture
def opened() -> Iterator[Callable[..., BatchedSubprocVecEnv]]:
    """Make VecEnvs that are closed at the test's end."""
    made: list[BatchedSubprocVecEnv] = []

    def make(*args: Any, **kwargs: Any) -> BatchedSubprocVecEnv:
        made.append(BatchedSubprocVecEnv(*args, **kwargs))
        return made[-1]

    yield make
    for env in made:
        env.close()


def play(env: VecEnv, actions: list[Any], seed: int | None = 3) -> list[Any]:
    """Reset, step, and return every array and info that came back, times aside."""
    env.seed(seed)
    seen: list[Any] = [(env.reset(), copy.deepcopy(list(env.reset_infos)))]
    for action in actions:
        observations, rewards, dones, infos = env.step(action)
        for info in infos:
            info.get("episode", {}).pop("t", None)
        seen.append((observations, rewards, dones, list(infos), copy.deepcopy(list(env.reset_infos))))
    return seen


def assert_identical(one: Any, other: Any) -> None:
    """Compare values, containers and number types."""
    # DummyVecEnv's dict is an OrderedDict, SubprocVecEnv's is not.
    assert type(one) is type(other) or (isinstance(one, dict) and isinstance(other, dict))
    if isinstance(one, np.ndarray):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)
    elif isinstance(one, dict):
        # Not their order: importing rl_zoo3 brings a TimeLimit that puts its key last.
        assert one.keys() == other.keys()
        for key in one:
            assert_identical(one[key], other[key])
    elif isinstance(one, (list, tuple)):
        assert len(one) == len(other)
        for mine, theirs in zip(one, other, strict=True):
            assert_identical(mine, theirs)
    else:
        assert one == other


@pytest.mark.parametrize("env_id", [LANDER, "CartPole-v1", "Pendulum-v1"])
@pytest.mark.parametrize("workers", [1, 2, 5])
def test_the_results_are_those_of_dummy_vec_env_bit_for_bit(env_id: str, workers: int) -> None:
    runs = []
    for cls, kwargs in ((DummyVecEnv, {}), (BatchedSubprocVecEnv, {"n_workers": workers})):
        options = {"render_mode": None, **({"enable_wind": True} if env_id == LANDER else {})}
        env = make_vec_env(env_id, 5, seed=3, env_kwargs=options, vec_env_cls=cls, vec_env_kwargs=kwargs)
        actions = [np.stack([env.action_space.sample() for _ in range(5)]) for _ in range(250)]
        runs.append([play(env, actions), env.observation_space, env.action_space, env.metadata])
        env.close()
    assert_identical(*runs)
    assert sum(step[2].sum() for step in runs[0][0][1:]) >= 5


@pytest.mark.parametrize("name", OBSERVATIONS)
def test_every_kind_of_observation_comes_back_as_from_dummy_vec_env(
    name: str, opened: Callable[..., BatchedSubprocVecEnv]
) -> None:
    dummy, env = DummyVecEnv(probes(3, OBSERVATIONS[name])), opened(probes(3, OBSERVATIONS[name]), 2)
    actions = [np.array([0, 1, i % 2]) for i in range(7)]
    assert_identical(play(env, actions), play(dummy, actions))


@pytest.mark.parametrize("method", multiprocessing.get_all_start_methods())
def test_every_start_method_gives_the_same(method: str, opened: Callable[..., BatchedSubprocVecEnv]) -> None:
    env = opened(probes(3), 2, start_method=method)
    actions = [np.array([0, 1, 0])] * 5
    assert_identical(play(env, actions), play(DummyVecEnv(probes(3)), actions))
    assert len(set(env.env_method("pid"))) == 2


@pytest.mark.parametrize("form", ["list", "float64", "int32", "strided"])
def test_an_action_reaches_the_env_with_the_type_that_was_given(
    form: str, opened: Callable[..., BatchedSubprocVecEnv]
) -> None:
    actions = np.array([[0, 1], [1, 1], [1, 0]])[:, :2]
    given: Any = {
        "list": actions.tolist(),
        "float64": actions.astype(np.float64),
        "int32": actions.astype(np.int32),
        "strided": np.repeat(actions, 2, axis=1)[:, ::2],
    }[form]
    assert_identical(play(opened(probes(2)), given), play(DummyVecEnv(probes(2)), given))


def test_what_a_step_returned_is_not_overwritten_later(opened: Callable[..., BatchedSubprocVecEnv]) -> None:
    env = opened(probes(4), 2)
    kept, copies = [], []
    env.reset()
    for _ in range(8):
        kept.append(env.step(np.ones(4, np.int64)))
        copies.append(copy.deepcopy(kept[-1]))
        assert len({id(info) for info in kept[-1][3]}) == 4
    assert_identical(kept, copies)


def test_actions_may_be_overwritten_while_the_step_runs(opened: Callable[..., BatchedSubprocVecEnv]) -> None:
    env, actions = opened(probes(2)), np.ones(2, np.int64)
    env.reset()
    env.step_async(actions)
    actions[:] = 0
    assert [info["action"] for info in env.step_wait()[3]] == [1, 1]


def test_seeds_and_options_are_used_once(opened: Callable[..., BatchedSubprocVecEnv]) -> None:
    env = opened(probes(3), 2)
    assert env.seed(7) == [7, 8, 9]
    env.set_options([{"a": 1}, {}, {"b": 2}])
    env.reset()
    assert env.reset_infos == [
        {"seed": 7, "options": {"a": 1}},
        {"seed": 8, "options": None},
        {"seed": 9, "options": {"b": 2}},
    ]
    env.reset()
    assert env.reset_infos == [{"seed": None, "options": None}] * 3


def test_attributes_and_methods_are_those_of_each_env(opened: Callable[..., BatchedSubprocVecEnv]) -> None:
    env = opened(probes(5), 2)
    assert env.get_attr("number") == [0, 1, 2, 3, 4]
    assert env.get_attr("number", [3, 0, -1, 3]) == [3, 0, 4, 3]
    assert env.get_attr("number", 2) == [2]
    env.set_attr("number", 9, indices=[1, 4])
    assert env.get_attr("number") == [0, 9, 2, 3, 9]
    pids = env.env_method("pid")
    assert len(set(pids)) == 2
    assert os.getpid() not in pids
    assert env.env_method("pid", 1, indices=0, name=2) == [pids[0] + 3]
    assert env.has_attr("number")
    assert not env.has_attr("nothing")
    with pytest.raises(AttributeError, match="nothing"):
        env.get_attr("nothing")
    with pytest.raises(Exception, match="pickle"):
        env.env_method("give_what_cannot_be_pickled")
    assert env.get_attr("number", 0) == [0]


def test_it_answers_what_wraps_it(opened: Callable[..., BatchedSubprocVecEnv]) -> None:
    env = make_vec_env(LANDER, 2, wrapper_class=SuccessWrapper, vec_env_cls=opened)
    assert env.env_is_wrapped(Monitor) == [True, True]
    assert env.env_is_wrapped(SuccessWrapper, indices=1) == [True]
    assert env.env_is_wrapped(OrderEnforcing) == [True, True]
    assert env.env_is_wrapped(FrameStackObservation) == [False, False]


def test_images_come_from_every_env_with_rgb_array(opened: Callable[..., BatchedSubprocVecEnv]) -> None:
    env = opened(probes(3, render_mode="rgb_array"), 2)
    assert env.render_mode == "rgb_array"
    assert [image.mean() for image in env.get_images()] == [0, 1, 2]
    assert env.render().shape == (4, 6, 3)
    without = opened(probes(2))
    with pytest.warns(UserWarning, match="only 'rgb_array' gives images"):
        assert without.get_images() == [None, None]


def test_monitor_files_hold_the_episodes(tmp_path: Path) -> None:
    env = make_vec_env(
        "CartPole-v1",
        4,
        seed=0,
        monitor_dir=str(tmp_path),
        vec_env_cls=BatchedSubprocVecEnv,
        env_kwargs={"render_mode": None},
    )
    actions = [np.array([i % 2, 0, 1, 0]) for i in range(60)]
    lengths = [info["episode"]["l"] for step in play(env, actions)[1:] for info in step[3] if "episode" in info]
    env.close()
    assert sorted(load_results(str(tmp_path))["l"]) == sorted(lengths)
    assert len(lengths) > 10


@pytest.mark.parametrize("name", ["box", "discrete", "dict"])
def test_ppo_learns_the_same_as_on_dummy_vec_env(name: str, opened: Callable[..., BatchedSubprocVecEnv]) -> None:
    weights = []
    for cls in (DummyVecEnv, opened):
        env = VecNormalize(cls(probes(4, OBSERVATIONS[name])), norm_obs=False)
        policy = "MultiInputPolicy" if name == "dict" else "MlpPolicy"
        model = PPO(policy, env, n_steps=16, batch_size=32, n_epochs=1, seed=1, device="cpu")
        weights.append([p.detach().numpy() for p in model.learn(64).policy.parameters()])
    assert_identical(*weights)


def test_an_exception_in_an_env_is_raised_here_with_its_traceback_there(
    opened: Callable[..., BatchedSubprocVecEnv],
) -> None:
    env = opened(probes(4), 2)
    env.reset()
    with pytest.raises(LookupError, match="env 3 knows no 2") as caught:
        env.step(np.array([0, 0, 0, 2]))
    told = str(caught.value.__cause__)
    assert f"in env 3, process {env.env_method('pid', indices=3)[0]}" in told
    assert 'raise LookupError(f"env {self.number} knows no 2")' in told
    env.seed(1)
    assert_identical(env.reset(), play(DummyVecEnv(probes(4)), [], seed=1)[0][0])


def fails() -> gym.Env[Any, Any]:
    raise ConnectionRefusedError("no simulator answers")


@pytest.mark.parametrize("method", ["forkserver", "fork"])
def test_an_env_that_cannot_be_made_is_that_error(method: str) -> None:
    before = len(multiprocessing.active_children())
    with pytest.raises(ConnectionRefusedError, match="no simulator answers") as caught:
        BatchedSubprocVecEnv([*probes(2), fails], start_method=method)
    assert "in env 2" in str(caught.value.__cause__)
    assert len(multiprocessing.active_children()) == before


def test_a_killed_process_is_one_clear_error_and_no_hang(opened: Callable[..., BatchedSubprocVecEnv]) -> None:
    env = opened(probes(4), 2)
    env.reset()
    pid = env.env_method("pid", indices=3)[0]
    env.step_async(np.zeros(4, np.int64))
    env.step_wait()
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(RuntimeError, match=rf"process {pid} of envs 2 to 3 died \(SIGKILL\)"):
        env.step(np.zeros(4, np.int64))
    with pytest.raises(RuntimeError, match="is closed"):
        env.step(np.zeros(4, np.int64))
    env.close()


def test_a_process_that_dies_within_a_call_is_noticed(opened: Callable[..., BatchedSubprocVecEnv]) -> None:
    env = opened(probes(2), 2)
    with pytest.raises(RuntimeError, match=r"of envs 0 to 0 died \(SIGKILL\)"):
        env.env_method("die", indices=0)
    assert env.closed


def test_calls_out_of_order_and_after_the_end_are_refused() -> None:
    env = BatchedSubprocVecEnv(probes(2))
    with pytest.raises(RuntimeError, match=r"step_wait\(\) without step_async\(\)"):
        env.step_wait()
    env.reset()
    with pytest.raises(ValueError, match="3 actions for 2 envs"):
        env.step(np.zeros(3, np.int64))
    env.step_async(np.zeros(2, np.int64))
    for call in (partial(env.step_async, np.zeros(2, np.int64)), partial(env.get_attr, "number")):
        with pytest.raises(RuntimeError, match=r"step_wait\(\) is due first"):
            call()
    assert env.reset().shape == (2, 2)
    env.step_async(np.zeros(2, np.int64))
    env.close()
    env.close()
    for call in (env.reset, env.step_wait, partial(env.step, np.zeros(2, np.int64)), partial(env.get_attr, "number")):
        with pytest.raises(RuntimeError, match=r"close"):
            call()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"env_fns": []}, "at least 1 env"),
        ({"n_workers": 0}, "n_workers=0: give from 1 to 2"),
        ({"n_workers": 3}, "n_workers=3: give from 1 to 2"),
        ({"start_method": "thread"}, "start_method='thread': this system has"),
        ({"env_fns": probes(2, spaces.Text(4))}, "fixed shape"),
        ({"env_fns": [partial(_same, [])] * 2, "n_workers": 1}, "the same env twice"),
    ],
)
def test_bad_arguments_are_refused_by_name(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        BatchedSubprocVecEnv(**{"env_fns": probes(2), "n_workers": None, **arguments})


def test_it_cannot_be_copied(opened: Callable[..., BatchedSubprocVecEnv]) -> None:
    with pytest.raises(TypeError, match="cannot be copied or pickled"):
        copy.deepcopy(opened(probes(1)))


KILLED = """
import os, signal
from functools import partial
import gymnasium as gym
from sb3_lander import BatchedSubprocVecEnv

if __name__ == "__main__":
    env = BatchedSubprocVecEnv([partial(gym.make, "CartPole-v1")] * 4, 2, start_method="{method}")
    env.reset()
    {end}
"""


@pytest.mark.parametrize("method", multiprocessing.get_all_start_methods())
@pytest.mark.parametrize("end", ["os.kill(os.getpid(), signal.SIGKILL)", "pass"])
def test_processes_end_with_their_parent_and_leave_nothing_behind(method: str, end: str, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text("import os\nos.setpgid(0, 0)\nprint(os.getpid())\n" + KILLED.format(method=method, end=end))
    memory = set(Path("/dev/shm").iterdir()) if Path("/dev/shm").is_dir() else set()
    done = python("-u", script, cwd=tmp_path)
    wait_until_gone(int(done.output.split()[0]))
    assert "leaked" not in done.output
    assert "Traceback" not in done.output
    if memory or sys.platform.startswith("linux"):
        assert not {path for path in set(Path("/dev/shm").iterdir()) - memory if path.name.startswith("psm_")}
