"""EnvPoolVecEnv keeps the contract of SB3's DummyVecEnv."""

from __future__ import annotations

import copy
import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch as th
from gymnasium import spaces
from gymnasium.wrappers import FrameStackObservation, TimeLimit
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.monitor import Monitor, load_results
from stable_baselines3.common.vec_env import VecFrameStack, VecMonitor, VecNormalize, is_vecenv_wrapped

from sb3_lander.envs.envpool_vec_env import EnvPoolVecEnv
from sb3_lander.envs.registration import SuccessWrapper

pytestmark = [
    # Box2D's bindings are made with SWIG, whose types lack __module__ in Python 3.12's eyes.
    pytest.mark.filterwarnings("ignore:builtin type .* has no __module__ attribute:DeprecationWarning"),
]

LANDER = "LunarLanderContinuous-v3"
TASKS = [LANDER, "BipedalWalker-v3", "CartPole-v1", "Pendulum-v1"]
every_task = pytest.mark.parametrize("task", TASKS)


def random_actions(env: EnvPoolVecEnv, steps: int, seed: int = 0) -> list[np.ndarray]:
    env.action_space.seed(seed)
    return [np.stack([env.action_space.sample() for _ in range(env.num_envs)]) for _ in range(steps)]


def play(env: EnvPoolVecEnv, steps: int = 150, actions: list[np.ndarray] | None = None) -> list[Any]:
    """Reset, step, and return every array and info that came back, times aside."""
    seen: list[Any] = [env.reset()]
    for action in actions if actions is not None else random_actions(env, steps):
        observations, rewards, dones, infos = env.step(action)
        for info in infos:
            info.get("episode", {}).pop("t", None)
        seen.append((observations, rewards, dones, infos))
    return seen


def assert_same(one: Any, other: Any) -> None:
    np.testing.assert_equal(one, other)


def is_same(one: Any, other: Any) -> bool:
    try:
        assert_same(one, other)
    except AssertionError:
        return False
    return True


@every_task
def test_spaces_shapes_and_types_are_those_of_dummy_vec_env(task: str) -> None:
    env, dummy = EnvPoolVecEnv(task, 3, seed=0), make_vec_env(task, 3)
    dummy.action_space.seed(0)
    env.action_space.seed(0)
    assert env.observation_space == dummy.observation_space
    assert env.action_space == dummy.action_space
    assert env.metadata == dummy.metadata
    first, expected_first = env.reset(), dummy.reset()
    assert (first.shape, first.dtype) == (expected_first.shape, expected_first.dtype)
    actions = [env.action_space.sample() for _ in range(3)]
    for got, expected in zip(env.step(actions)[:3], dummy.step(np.stack(actions))[:3], strict=True):
        assert (got.shape, got.dtype) == (expected.shape, expected.dtype)
    assert env.reset_infos == dummy.reset_infos
    env.close()
    dummy.close()


@every_task
def test_infos_are_those_of_monitor_in_dummy_vec_env(task: str) -> None:
    env, dummy = EnvPoolVecEnv(task, 2, seed=0), make_vec_env(task, 2, seed=0)
    ends = []
    for venv in (env, dummy):
        venv.reset()
        venv.action_space.seed(0)
        while True:
            infos = venv.step(np.stack([venv.action_space.sample() for _ in range(2)]))[3]
            for info in infos:
                assert set(info) in (
                    {"TimeLimit.truncated"},
                    {"TimeLimit.truncated", "terminal_observation", "episode"},
                    {"TimeLimit.truncated", "terminal_observation", "episode", "is_success"},
                )
            if ended := [info for info in infos if "episode" in info]:
                ends.append(ended[0])
                break
    for key in ("r", "l", "t"):
        assert type(ends[0]["episode"][key]) is type(ends[1]["episode"][key])
    assert ("is_success" in ends[0]) == (gym.spec(task).reward_threshold is not None)
    assert ends[0]["terminal_observation"].shape == env.observation_space.shape
    env.close()


@every_task
def test_same_seed_gives_the_same_run_and_another_seed_another_one(task: str) -> None:
    runs = [play(EnvPoolVecEnv(task, 3, seed=seed)) for seed in (5, 5, 6)]
    assert_same(runs[0], runs[1])
    assert not is_same(runs[0], runs[2])


@every_task
@pytest.mark.parametrize("threads", [2, 5])
def test_the_run_does_not_depend_on_the_number_of_threads(task: str, threads: int) -> None:
    assert_same(
        play(EnvPoolVecEnv(task, 5, seed=1, num_threads=1)),
        play(EnvPoolVecEnv(task, 5, seed=1, num_threads=threads)),
    )


@every_task
def test_seed_then_reset_gives_what_the_constructor_gives(task: str) -> None:
    fresh = play(EnvPoolVecEnv(task, 3, seed=11))
    used = EnvPoolVecEnv(task, 3, seed=4)
    play(used)
    assert used.seed(11) == [11, 12, 13]
    assert_same(play(used), fresh)


@every_task
def test_a_seed_is_used_once_and_a_plain_reset_goes_on_to_new_episodes(task: str) -> None:
    env = EnvPoolVecEnv(task, 2, seed=3)
    first, second = env.reset(), env.reset()
    assert not is_same(first, second)
    again = EnvPoolVecEnv(task, 2, seed=3)
    assert_same([again.reset(), again.reset()], [first, second])


def test_env_i_of_seed_s_plays_the_episodes_of_seed_s_plus_i_whatever_its_neighbours_do() -> None:
    three, one = EnvPoolVecEnv(LANDER, 3, seed=20), EnvPoolVecEnv(LANDER, 1, seed=22)
    actions = random_actions(three, 400)
    together, alone = play(three, actions=actions), play(one, actions=[action[2:] for action in actions])
    assert_same(together[0][2], alone[0][0])
    for many, single in zip(together[1:], alone[1:], strict=True):
        assert_same([part[2] for part in many], [part[0] for part in single])
    assert sum(step[2][0] for step in alone[1:]) > 2


def test_without_a_seed_numpys_global_generator_decides_as_in_make_vec_env() -> None:
    starts = []
    for global_seed in (0, 0, 1):
        np.random.seed(global_seed)
        starts.append(EnvPoolVecEnv("CartPole-v1", 2).reset())
    assert_same(starts[0], starts[1])
    assert not is_same(starts[0], starts[2])


@pytest.mark.parametrize("seed", [0, 2**31 - 1, 2**32 - 1])
def test_every_seed_that_sb3_can_draw_is_accepted(seed: int) -> None:
    assert len(np.unique(EnvPoolVecEnv("CartPole-v1", 4, seed=seed).reset()[:, 0])) == 4


def test_each_cart_moves_by_its_own_velocity_through_many_episodes() -> None:
    """CartPole's Euler step is x' = x + 0.02 v: a mixed-up simulator or row would break it."""
    env = EnvPoolVecEnv("CartPole-v1", 16, seed=0)
    before, episodes = env.reset(), 0
    for action in random_actions(env, 300):
        after, _, dones, infos = env.step(action)
        ends = np.stack([info.get("terminal_observation", row) for info, row in zip(infos, after, strict=True)])
        np.testing.assert_allclose(ends[:, 0], before[:, 0] + 0.02 * before[:, 1], atol=1e-5)
        is_over = (np.abs(ends[:, 0]) > 2.4) | (np.abs(ends[:, 2]) > 12 * 2 * np.pi / 360)
        assert_same(dones, is_over)
        assert np.all(np.abs(after[dones]) <= 0.05), "a new episode starts within 0.05 of upright"
        before, episodes = after, episodes + int(dones.sum())
    assert episodes > 100


def test_what_a_step_returned_is_not_overwritten_later() -> None:
    env = EnvPoolVecEnv("CartPole-v1", 8, seed=0)
    kept, copies = [], []
    env.reset()
    for action in random_actions(env, 100):
        observations, rewards, dones, infos = env.step(action)
        terminals = [info["terminal_observation"] for info in infos if "terminal_observation" in info]
        kept.append((observations, rewards, dones, terminals))
        copies.append(tuple(np.array(part, copy=True) for part in kept[-1]))
        assert len({id(info) for info in infos}) == 8
    assert_same([tuple(map(np.array, step)) for step in kept], copies)


def test_episode_info_holds_the_sum_of_rewards_and_the_number_of_steps() -> None:
    env = EnvPoolVecEnv(LANDER, 4, seed=0, success_threshold=-120.0)
    env.reset()
    rewards_of: list[list[float]] = [[] for _ in range(4)]
    outcomes = set()
    for action in random_actions(env, 600):
        _, rewards, dones, infos = env.step(action)
        for i in range(4):
            rewards_of[i].append(float(rewards[i]))
            if dones[i]:
                assert infos[i]["episode"]["r"] == pytest.approx(sum(rewards_of[i]), abs=1e-4)
                assert infos[i]["episode"]["l"] == len(rewards_of[i])
                assert infos[i]["is_success"] is (sum(rewards_of[i]) >= -120.0)
                outcomes.add(infos[i]["is_success"])
                rewards_of[i] = []
    assert outcomes == {True, False}


def test_the_time_limit_truncates_every_env_and_starts_a_new_episode() -> None:
    env = EnvPoolVecEnv("Pendulum-v1", 3, seed=0)
    env.reset()
    for step, action in enumerate(random_actions(env, 400), start=1):
        observations, _, dones, infos = env.step(action)
        assert dones.tolist() == [step % 200 == 0] * 3
        for row, info in zip(observations, infos, strict=True):
            assert info["TimeLimit.truncated"] == (step % 200 == 0)
            if step % 200 == 0:
                assert info["episode"]["l"] == 200
                assert not is_same(row, info["terminal_observation"])
                assert abs(row[2]) <= 1.0, "a pendulum starts with a velocity within 1"


def test_an_episode_that_ends_by_itself_on_the_last_allowed_step_is_not_truncated() -> None:
    def first_end(limit: int) -> dict[str, Any]:
        env = EnvPoolVecEnv(LANDER, 1, seed=0, env_kwargs={"max_episode_steps": limit})
        steps = play(env, actions=actions)[1:]
        return next(infos[0] for _, _, dones, infos in steps if dones[0])

    actions = random_actions(EnvPoolVecEnv(LANDER, 1), 1000)
    crash = first_end(1000)
    length = crash["episode"]["l"]
    assert_same(first_end(length), crash)
    assert not crash["TimeLimit.truncated"]
    short = first_end(length - 1)
    assert short["TimeLimit.truncated"]
    assert short["episode"]["l"] == length - 1


class _RewardsBeforeBootstrap(BaseCallback):
    def __init__(self) -> None:
        super().__init__()
        self.rewards: list[np.ndarray] = []
        self.terminals: list[np.ndarray] = []

    def _on_step(self) -> bool:
        self.rewards.append(self.locals["rewards"].copy())
        infos = self.locals["infos"]
        if infos[0]["TimeLimit.truncated"]:
            self.terminals = [info["terminal_observation"] for info in infos]
        return True


def test_ppo_bootstraps_from_the_terminal_observation_at_the_time_limit() -> None:
    env = EnvPoolVecEnv("Pendulum-v1", 2, seed=0)
    model = PPO("MlpPolicy", env, n_steps=200, batch_size=400, n_epochs=1, learning_rate=0.0, gamma=0.9, device="cpu")
    seen = _RewardsBeforeBootstrap()
    model.learn(400, callback=seen)
    values = model.policy.predict_values(th.as_tensor(np.stack(seen.terminals))).detach().numpy()[:, 0]
    added = model.rollout_buffer.rewards - np.stack(seen.rewards)
    np.testing.assert_allclose(added[199], 0.9 * values, atol=1e-5)
    assert np.all(values != 0)
    assert_same(added[:199], np.zeros((199, 2), np.float32))


@every_task
def test_ppo_learns_and_is_evaluated_without_a_warning(task: str) -> None:
    env = EnvPoolVecEnv(task, 4)
    model = PPO("MlpPolicy", env, n_steps=64, batch_size=64, n_epochs=1, seed=0, device="cpu")
    model.learn(512)
    returns, lengths = evaluate_policy(
        model, EnvPoolVecEnv(task, 4, env_kwargs={"max_episode_steps": 50}), 6, return_episode_rewards=True
    )
    assert len(returns) == len(lengths) == 6
    assert max(lengths) <= 50


def test_ppo_gives_the_same_weights_for_the_same_seed() -> None:
    def weights(seed: int) -> np.ndarray:
        model = PPO("MlpPolicy", EnvPoolVecEnv("CartPole-v1", 4), n_steps=32, batch_size=64, seed=seed, device="cpu")
        return th.nn.utils.parameters_to_vector(model.learn(256).policy.parameters()).detach().numpy()

    assert_same(weights(1), weights(1))
    assert not is_same(weights(1), weights(2))


def test_sb3s_vec_env_wrappers_work_on_it() -> None:
    env = VecFrameStack(VecNormalize(EnvPoolVecEnv(LANDER, 3, seed=0)), 2)
    assert env.reset().shape == (3, 16)
    for _ in range(200):
        observations, _, dones, infos = env.step(np.zeros((3, 2), np.float32))
        for i in np.flatnonzero(dones):
            assert infos[i]["terminal_observation"].shape == (16,)
            assert_same(observations[i, :8], np.zeros(8, np.float32))
    with pytest.warns(UserWarning, match="already wrapped with a `Monitor`"):
        VecMonitor(EnvPoolVecEnv(LANDER, 1))


def test_it_answers_what_wraps_it() -> None:
    env = EnvPoolVecEnv(LANDER, 2)
    assert env.env_is_wrapped(Monitor) == [True, True]
    assert env.env_is_wrapped(TimeLimit, indices=0) == [True]
    assert env.env_is_wrapped(SuccessWrapper) == [True, True]
    assert env.env_is_wrapped(FrameStackObservation) == [False, False]
    assert EnvPoolVecEnv("Pendulum-v1", 1).env_is_wrapped(SuccessWrapper) == [False]
    assert not is_vecenv_wrapped(env, VecMonitor)


def test_attributes_are_answered_where_there_is_an_answer() -> None:
    env = EnvPoolVecEnv(LANDER, 3)
    assert env.get_attr("spec") == [gym.spec(LANDER)] * 3
    assert env.get_attr("render_mode", [0, -1]) == [None, None]
    assert not env.has_attr("dummy")
    env.set_attr("dummy", 12)
    env.set_attr("dummy", 13, indices=1)
    assert env.get_attr("dummy") == [12, 13, 12]
    with pytest.raises(AttributeError, match=r"'lander'.*live in C\+\+.*spec"):
        env.get_attr("lander")
    for fixed in ("gravity", "spec", "max_episode_steps"):
        with pytest.raises(AttributeError, match=f"'{fixed}'.*fixed"):
            env.set_attr(fixed, 1)
    with pytest.raises(AttributeError, match="'compute_reward'"):
        env.env_method("compute_reward")
    with pytest.raises(ValueError, match="take no options"):
        env.set_options({"wind": 1})
    env.set_options()


@every_task
def test_images_are_drawn_with_rgb_array_and_tiled(task: str) -> None:
    env = EnvPoolVecEnv(task, 2, seed=0, render_mode="rgb_array")
    with pytest.raises(RuntimeError, match="reset"):
        env.get_images()
    env.reset()
    images = env.get_images()
    height, width, channels = images[0].shape
    assert channels == 3
    assert images[0].std() > 0
    tiled = env.render()
    assert tiled.shape in ((2 * height, width, 3), (height, 2 * width, 3))
    assert_same(env.env_method("render", indices=1)[0], images[1])
    with pytest.warns(UserWarning, match="render mode"):
        env.render("something_else")


def test_images_show_the_running_simulator_after_an_episode_has_ended() -> None:
    env = EnvPoolVecEnv("CartPole-v1", 1, seed=0, render_mode="rgb_array")
    env.reset()
    done = False
    while not done:
        done = bool(env.step(np.array([0]))[2][0])
    start = env.get_images()[0]
    for _ in range(4):
        env.step(np.array([0]))
    assert not is_same(env.get_images()[0], start)


def test_without_a_render_mode_images_are_none_with_a_warning() -> None:
    with pytest.warns(UserWarning, match="rgb_array"):
        assert EnvPoolVecEnv("CartPole-v1", 2).get_images() == [None, None]


def test_monitor_files_hold_the_episodes(tmp_path: Path) -> None:
    env = EnvPoolVecEnv("CartPole-v1", 3, seed=0, monitor_dir=str(tmp_path))
    episodes = [info["episode"] for _, _, _, infos in play(env, 200)[1:] for info in infos if "episode" in info]
    env.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"{i}.monitor.csv" for i in range(3)]
    results = load_results(str(tmp_path))
    assert sorted(results["r"]) == sorted(episode["r"] for episode in episodes)
    assert sorted(results["l"]) == sorted(episode["l"] for episode in episodes)
    assert results["t"].is_monotonic_increasing


@pytest.mark.parametrize("view", ["list", "float64", "strided", "read-only"])
def test_actions_may_have_any_layout_and_number_type(view: str) -> None:
    actions = np.random.default_rng(0).uniform(-1, 1, (50, 4, 2)).astype(np.float32)
    forms = {
        "list": actions.tolist(),
        "float64": actions.astype(np.float64),
        "strided": np.repeat(actions, 2, axis=2)[:, :, ::2],
        "read-only": np.broadcast_to(actions, actions.shape),
    }
    expected = play(EnvPoolVecEnv(LANDER, 4, seed=0), actions=list(actions))
    assert_same(play(EnvPoolVecEnv(LANDER, 4, seed=0), actions=list(forms[view])), expected)


def test_actions_may_be_overwritten_while_the_step_runs() -> None:
    env, other = EnvPoolVecEnv(LANDER, 4, seed=0), EnvPoolVecEnv(LANDER, 4, seed=0)
    env.reset()
    other.reset()
    actions = np.ones((4, 2), np.float32)
    env.step_async(actions)
    actions[:] = -1.0
    assert_same(env.step_wait(), other.step(np.ones((4, 2))))


def test_calls_out_of_order_and_wrong_shapes_are_refused() -> None:
    env = EnvPoolVecEnv(LANDER, 2, seed=0)
    with pytest.raises(RuntimeError, match=r"reset\(\) before step"):
        env.step(np.zeros((2, 2)))
    env.reset()
    for shape in [(2,), (3, 2), (2, 3)]:
        with pytest.raises(ValueError, match=r"expected \(2, 2\)"):
            env.step(np.zeros(shape))
    env.step_async(np.zeros((2, 2)))
    with pytest.raises(RuntimeError, match="step_wait"):
        env.step_async(np.zeros((2, 2)))
    assert env.reset().shape == (2, 8)
    env.step(np.zeros((2, 2)))
    env.close()
    env.close()
    with pytest.raises(RuntimeError, match="reset"):
        env.step(np.zeros((2, 2)))
    with pytest.raises(RuntimeError, match=r"step_wait\(\) without step_async\(\), or after close\(\)"):
        env.step_wait()


@pytest.mark.parametrize("actions", [[2, 0], [0, -1], [0.0, 1.0], [True, False], [2**32, 0], [float("nan"), 0]])
def test_discrete_actions_that_are_no_integers_in_range_are_refused_as_gymnasium_does(actions: list[Any]) -> None:
    dummy, env = make_vec_env("CartPole-v1", 2, env_kwargs={"render_mode": None}), EnvPoolVecEnv("CartPole-v1", 2)
    dummy.reset()
    env.reset()
    with pytest.raises(AssertionError, match="invalid"):
        dummy.step(np.array(actions))
    with pytest.raises(ValueError, match="CartPole-v1 takes integers from 0 to 1"):
        env.step(np.array(actions))
    assert env.step(np.array([0, 1]))[0].shape == (2, 4)
    dummy.close()


@pytest.mark.parametrize("copies", [copy.copy, copy.deepcopy, pickle.dumps])
def test_a_copy_is_made_before_the_first_reset_or_refused(copies: Callable[[Any], Any], tmp_path: Path) -> None:
    env = EnvPoolVecEnv("CartPole-v1", 2, seed=3)
    copied = copies(env)
    if isinstance(copied, bytes):
        copied = pickle.loads(copied)
    assert_same(copied.reset(), env.reset())
    for refused in (env, EnvPoolVecEnv("CartPole-v1", 2, monitor_dir=str(tmp_path))):
        with pytest.raises(TypeError, match="cannot be copied or pickled once it is reset or has monitor files"):
            copies(refused)
        refused.close()


@pytest.mark.parametrize("task", ["CliffWalking-v1", "Catch-v0", "Blackjack-v1"])
def test_a_task_without_a_time_limit_runs_until_its_episodes_end(task: str) -> None:
    env = EnvPoolVecEnv(task, 3, seed=0)
    play(env, 100)
    assert env.max_episode_steps == 2**31 - 1


@pytest.mark.parametrize("task", ["HalfCheetah-v4", "Ant-v5", "Hopper-v3"])
@pytest.mark.filterwarnings("ignore:.*is out of date:DeprecationWarning")
def test_a_task_that_gymnasium_cannot_make_here_has_envpools_spaces(task: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import envpool

    monkeypatch.setitem(sys.modules, "mujoco", None)
    pool_spec = envpool.make_spec(task)
    env = EnvPoolVecEnv(task, 2, seed=0)
    assert env.observation_space == pool_spec.gymnasium_observation_space
    assert env.action_space == pool_spec.gymnasium_action_space
    assert env.spec is gym.spec(task)
    seen = play(env, 20)
    assert seen[-1][0].shape == (2, *env.observation_space.shape)
    assert seen[-1][0].dtype == env.observation_space.dtype
    assert not seen[-1][3][0]["TimeLimit.truncated"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"task_id": "LunarLanderContinous-v3"},
            "no task 'LunarLanderContinous-v3'.*LunarLanderContinuous-v3",
        ),
        ({"task_id": "Nothing-v0"}, "no task 'Nothing-v0'"),
        ({"task_id": "FetchReach-v4"}, "FetchReach-v4.*Dict"),
        ({"n_envs": 0}, "n_envs=0"),
        ({"num_threads": 0}, "num_threads=0"),
        ({"render_mode": "human"}, "render_mode='human'"),
        ({"env_kwargs": {"enable_wind": True}}, "enable_wind cannot be given.*max_episode_steps"),
        ({"env_kwargs": {"seed": 1}}, "seed cannot be given"),
        ({"env_kwargs": {"max_episode_steps": 0}}, "max_episode_steps=0"),
        ({"env_kwargs": {"max_episode_steps": 2**31}}, "max_episode_steps=2147483648.*1 to 2147483647 steps"),
        ({"env_kwargs": {"max_episode_steps": "many"}}, "max_episode_steps='many'"),
    ],
)
def test_bad_arguments_are_refused_by_name(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        EnvPoolVecEnv(**{"task_id": LANDER, "n_envs": 2, **arguments})


def test_a_missing_envpool_is_one_error_that_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "envpool", None)
    with pytest.raises(ImportError, match=r'envpool is not installed: pip install "sb3-lander\[fast\]"'):
        EnvPoolVecEnv(LANDER, 2)


def test_discrete_observations_are_served_too() -> None:
    env = EnvPoolVecEnv("FrozenLake-v1", 3, seed=0)
    assert isinstance(env.observation_space, spaces.Discrete)
    for step in play(env, 50)[1:]:
        assert all(env.observation_space.contains(state) for state in step[0])
