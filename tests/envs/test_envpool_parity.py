"""EnvPool's simulators do what gymnasium's do: the same returns and lengths, the same reward of each step."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import VecEnv

from sb3_lander.envs.envpool_vec_env import EnvPoolVecEnv

pytestmark = pytest.mark.filterwarnings("ignore:builtin type .* has no __module__ attribute:DeprecationWarning")

N_ENVS = 20
Policy = Callable[[np.ndarray], np.ndarray]


def steer(observations: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return what gymnasium's own ``lunar_lander.heuristic`` wants to do, for many observations: turn and hover."""
    x, y, vx, vy, angle, omega, left, right = observations.T
    touches = (left + right) > 0
    target = np.clip(0.5 * x + vx, -0.4, 0.4)
    turn = np.where(touches, 0.0, 0.5 * (target - angle) - omega)
    hover = np.where(touches, -0.5 * vy, 0.5 * (0.55 * np.abs(x) - y) - 0.5 * vy)
    return turn, hover


def land(observations: np.ndarray) -> np.ndarray:
    """Do that with the engines' power."""
    turn, hover = steer(observations)
    return np.clip(np.stack([20 * hover - 1, -20 * turn], axis=1), -1, 1)


def land_discretely(observations: np.ndarray) -> np.ndarray:
    """Do it with four actions, as the heuristic does where the lander is not continuous."""
    turn, hover = steer(observations)
    conditions = [(hover > np.abs(turn)) & (hover > 0.05), turn < -0.05, turn > 0.05]
    return np.select(conditions, [2, 3, 1], default=0)


def walk(observations: np.ndarray) -> np.ndarray:
    """Stumble and fall after about 83 steps: a fixed linear policy with the weights of seed 10."""
    weights = np.random.default_rng(10).normal(size=(24, 4))
    return np.clip(observations @ weights, -1, 1)


def balance(observations: np.ndarray) -> np.ndarray:
    """Push towards the side the pole falls to, without damping: it swings up and falls."""
    return (observations[:, 2] > 0).astype(np.int64)


def swing(observations: np.ndarray) -> np.ndarray:
    """Add energy below, hold above."""
    cosine, sine, velocity = observations.T
    hold = -8 * np.arctan2(sine, cosine) - 2 * velocity
    return np.clip(np.where(cosine > 0.7, hold, 2 * np.sign(velocity)), -2, 2)[:, None]


POLICIES: dict[str, Policy] = {
    "LunarLanderContinuous-v3": land,
    "LunarLander-v3": land_discretely,
    "BipedalWalker-v3": walk,
    "CartPole-v1": balance,
    "Pendulum-v1": swing,
}


def episodes(env: VecEnv, policy: Policy, each: int) -> np.ndarray:
    """Return and length of the first ``each`` episodes of every env, shape ``(n_envs * each, 2)``.

    A fixed number from each env, since taking the first to finish would favour short episodes.
    """
    results: list[list[tuple[float, int]]] = [[] for _ in range(env.num_envs)]
    observations = env.reset()
    while min(map(len, results)) < each:
        observations, _, dones, infos = env.step(policy(observations))
        for i in np.flatnonzero(dones):
            results[i].append((infos[i]["episode"]["r"], infos[i]["episode"]["l"]))
    env.close()
    return np.array([result for of_env in results for result in of_env[:each]], float)


@pytest.mark.parametrize("task", POLICIES)
def test_a_fixed_policy_has_gymnasiums_mean_return_and_length_within_four_standard_errors(task: str) -> None:
    """400 episodes against 140: equal simulators differ that much in fewer than 1 of 1000 such comparisons."""
    fast = episodes(EnvPoolVecEnv(task, N_ENVS, seed=0), POLICIES[task], 20)
    slow = episodes(make_vec_env(task, N_ENVS, seed=1000), POLICIES[task], 7)
    difference = fast.mean(axis=0) - slow.mean(axis=0)
    error = np.sqrt(fast.var(axis=0, ddof=1) / len(fast) + slow.var(axis=0, ddof=1) / len(slow))
    assert np.all(np.abs(difference) <= 4 * error), f"{difference} against standard errors of {error}"


def explore(rng: np.random.Generator, observations: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return actions that mostly land, and the fuel that each costs."""
    is_random = rng.random((len(observations), 1)) < 0.1
    actions = np.where(is_random, rng.uniform(-1.5, 1.5, (len(observations), 2)), land(observations))
    main, lateral = np.clip(actions, -1, 1).T
    side = np.abs(lateral)
    return actions, 0.30 * np.where(main > 0, 0.5 + 0.5 * main, 0) + 0.03 * np.where(side > 0.5, side, 0)


def explore_discretely(rng: np.random.Generator, observations: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Do the same with four actions, whose engines have full power."""
    is_random = rng.random(len(observations)) < 0.3
    actions = np.where(is_random, rng.integers(4, size=len(observations)), land_discretely(observations))
    return actions, np.array([0.0, 0.03, 0.30, 0.03])[actions]


@pytest.mark.parametrize(
    ("task", "act"), [("LunarLanderContinuous-v3", explore), ("LunarLander-v3", explore_discretely)]
)
def test_the_landers_reward_is_the_change_of_its_shaping_less_its_fuel(
    task: str, act: Callable[[np.random.Generator, np.ndarray], tuple[np.ndarray, np.ndarray]]
) -> None:
    """The formula of ``gymnasium/envs/box2d/lunar_lander.py``, from consecutive observations and the action."""

    def shaping(observations: np.ndarray) -> np.ndarray:
        x, y, vx, vy, angle, _, left, right = observations.astype(np.float64).T
        return -100 * np.hypot(x, y) - 100 * np.hypot(vx, vy) - 100 * np.abs(angle) + 10 * (left + right)

    env = EnvPoolVecEnv(task, N_ENVS, seed=0)
    rng = np.random.default_rng(0)
    before, checked, touching, endings = env.reset(), 0, 0, set()
    for _ in range(700):
        actions, fuel = act(rng, before)
        after, rewards, dones, _ = env.step(actions)
        expected = shaping(after) - shaping(before) - fuel
        # The simulators hold the state in float64, the observations in float32.
        np.testing.assert_allclose(rewards[~dones], expected[~dones], atol=1e-3)
        endings |= set(rewards[dones].tolist())
        before, checked, touching = after, checked + int((~dones).sum()), touching + int((after[:, 6] > 0).sum())
    assert checked > 10_000
    assert touching > 100
    assert endings == {-100.0, 100.0}


@pytest.mark.parametrize("task", ["LunarLanderContinuous", "LunarLander"])
def test_v2_and_v3_are_the_same_simulator(task: str) -> None:
    runs = []
    for version in ("v2", "v3"):
        env = EnvPoolVecEnv(f"{task}-{version}", 2, seed=0)
        env.action_space.seed(0)
        first = env.reset()
        steps = [env.step(np.stack([env.action_space.sample() for _ in range(2)])) for _ in range(200)]
        runs.append([first, *(observations for observations, *_ in steps)])
        env.close()
    np.testing.assert_array_equal(*runs)


def test_actions_beyond_the_bounds_act_as_the_bounds() -> None:
    runs = []
    for scale in (1.0, 30.0):
        env = EnvPoolVecEnv("LunarLanderContinuous-v3", 2, seed=0)
        env.reset()
        runs.append([env.step(scale * np.array([[1.0, -1.0], [-1.0, 1.0]]))[0] for _ in range(40)])
    np.testing.assert_array_equal(runs[0], runs[1])
