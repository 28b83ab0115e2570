"""MirrorReplayBuffer: its mirror images are the simulator's own, and everything else is SB3's buffer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch as th
from gymnasium import spaces
from gymnasium.utils import seeding
from stable_baselines3 import DQN, SAC
from stable_baselines3.common.buffers import NStepReplayBuffer, ReplayBuffer
from stable_baselines3.common.type_aliases import ReplayBufferSamples
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

from sb3_lander.policies import MirrorReplayBuffer, NStepMirrorReplayBuffer

DISCRETE = "lunar_lander_discrete"
PENDULUM = {"obs_permutation": [0, 1, 2], "obs_sign": [1, -1, -1], "action_sign": [-1]}
N_STEPS = {"n_steps": 3, "gamma": 0.9}
SIZE = 600


class MirroredChance:
    """The chance of a lander's world that is the mirror image of another one's, from the same random numbers."""

    def __init__(self, chance: np.random.Generator) -> None:
        self._chance = chance
        self._drawn = 0

    def uniform(self, low: float, high: float, size: tuple[int] | None = None) -> Any:
        drawn = self._chance.uniform(low, high, size)
        if size is not None:  # the ground from left to right, and the height beyond its ends
            return np.append(drawn[-2::-1], drawn[-1])
        self._drawn += 1
        # The first push's x and y; then, in every step, an engine's scatter along the lander and across it.
        return -drawn if self._drawn == 1 or (self._drawn > 2 and self._drawn % 2 == 0) else drawn


def fly(buffer: ReplayBuffer, env: gym.Env[Any, Any], *, mirrored: bool) -> None:
    """Fill a buffer with flights at random, or with their mirror images as the simulator flies them."""
    chance = np.random.default_rng(0)
    while not buffer.full:
        flight = int(chance.integers(1000))
        # A flight's own generator, by which reset draws its world too.
        env.unwrapped.np_random = (
            MirroredChance(seeding.np_random(flight)[0]) if mirrored else seeding.np_random(flight)[0]
        )
        obs, _ = env.reset()
        done = False
        while not done and not buffer.full:
            if isinstance(env.action_space, spaces.Discrete):
                action: Any = chance.integers(4)
                action = (4 - action) % 4 if mirrored else action
            else:
                action = chance.uniform(-1, 1, 2).astype(np.float32) * ([1, -1] if mirrored else [1, 1])
            next_obs, reward, terminated, truncated, _ = env.step(action)
            # On the ground a flight ends: two worlds that bounce drift apart.
            done = terminated or truncated or bool(next_obs[6:].any())
            buffer.add(obs, next_obs, np.array(action), np.array(reward), np.array(done), [{}])
            obs = next_obs


def drawn(buffer: ReplayBuffer, env: VecNormalize | None = None) -> ReplayBufferSamples:
    np.random.seed(1)
    return buffer.sample(4096, env)


@pytest.mark.parametrize(
    ("ours", "theirs", "options"),
    [(MirrorReplayBuffer, ReplayBuffer, {}), (NStepMirrorReplayBuffer, NStepReplayBuffer, N_STEPS)],
)
@pytest.mark.parametrize(
    ("env_id", "mirror"), [("LunarLanderContinuous-v3", "lunar_lander"), ("LunarLander-v3", DISCRETE)]
)
def test_half_of_the_samples_are_what_the_simulator_does_in_the_mirrored_world(
    env_id: str, mirror: Any, ours: type[MirrorReplayBuffer], theirs: type[ReplayBuffer], options: dict[str, Any]
) -> None:
    with gym.make(env_id) as env:
        arguments: Any = (SIZE, env.observation_space, env.action_space, "cpu")
        buffers = (
            ours(*arguments, mirror=mirror, **options),
            theirs(*arguments, **options),
            theirs(*arguments, **options),
        )
        for buffer, mirrored in zip(buffers, (False, False, True), strict=True):
            fly(buffer, env, mirrored=mirrored)
    samples, here, there = map(drawn, buffers)
    assert here.next_observations[:, 6:].any(), "no lander has touched the ground"

    def rows(batch: ReplayBufferSamples) -> th.Tensor:
        return th.cat((batch.observations, batch.actions, batch.next_observations), dim=1)

    is_mirrored = (rows(samples) != rows(here)).any(1)
    # The simulator's own two worlds differ by up to this: it solves the joints of the legs one after the other.
    th.testing.assert_close(rows(samples)[is_mirrored], rows(there)[is_mirrored], atol=0.002, rtol=0.0)
    th.testing.assert_close(samples.rewards, there.rewards, atol=0.1, rtol=0.0)
    assert 0.4 < is_mirrored.float().mean() < 0.6
    assert (rows(here) - rows(there)).abs().amax(1).median() > 0.1
    assert th.equal(samples.rewards, here.rewards)
    assert th.equal(samples.dones, here.dones)
    assert samples.dones.any()
    assert samples.discounts is here.discounts is None or th.equal(samples.discounts, here.discounts)


@pytest.mark.parametrize(
    ("ours", "theirs", "options"),
    [
        (MirrorReplayBuffer, ReplayBuffer, {}),
        (
            MirrorReplayBuffer,
            ReplayBuffer,
            {"optimize_memory_usage": True, "replay_buffer_kwargs": {"handle_timeout_termination": False}},
        ),
        (NStepMirrorReplayBuffer, NStepReplayBuffer, {"replay_buffer_kwargs": N_STEPS}),
    ],
)
def test_without_a_mirror_a_training_is_bit_for_bit_that_on_sb3s_buffer(
    ours: type[MirrorReplayBuffer], theirs: type[ReplayBuffer], options: dict[str, Any]
) -> None:
    trained = []
    for buffer_class in (ours, theirs):
        env = VecNormalize(DummyVecEnv([lambda: gym.make("Pendulum-v1")] * 2))
        model = SAC("MlpPolicy", env, replay_buffer_class=buffer_class, seed=0, learning_starts=20, **options)
        model.learn(120)
        trained.append(th.cat([parameter.detach().flatten() for parameter in model.policy.parameters()]))
    assert th.equal(*trained)


@pytest.mark.parametrize("buffer_class", [MirrorReplayBuffer, NStepMirrorReplayBuffer])
def test_observations_are_mirrored_before_they_are_normalised(buffer_class: type[MirrorReplayBuffer]) -> None:
    env = VecNormalize(DummyVecEnv([lambda: gym.make("Pendulum-v1")]), clip_obs=100.0)
    buffer = buffer_class(100, env.observation_space, env.action_space, "cpu", mirror=PENDULUM)
    env.seed(0)
    env.action_space.seed(0)
    env.reset()
    obs = env.get_original_obs()
    for _ in range(100):
        action = env.action_space.sample()
        env.step(action[None])
        buffer.add(obs, env.get_original_obs(), action, env.get_original_reward(), np.array([False]), [{}])
        obs = env.get_original_obs()
    # With means of zero it would be the same either way round.
    env.obs_rms.mean = np.array([0.1, 0.4, -0.7])
    samples = drawn(buffer, env)
    raw = env.unnormalize_obs(samples.observations.numpy())
    stored = buffer.observations[:, 0]
    distance, mirrored_distance = (
        np.abs(raw[:, None] - image[None]).max(-1).min(1) for image in (stored, stored * [1, -1, -1])
    )
    assert np.minimum(distance, mirrored_distance) == pytest.approx(0.0, abs=1e-5)
    assert 0.3 < (distance > 1e-3).mean() < 0.6
    if buffer_class is MirrorReplayBuffer:
        rewards = env.normalize_reward(buffer.rewards[:, 0])
        assert set(samples.rewards[:, 0].tolist()) <= set(rewards.tolist())


def test_a_saved_buffer_goes_on_to_mirror(tmp_path: Path) -> None:
    options: dict[str, Any] = {"replay_buffer_class": MirrorReplayBuffer, "replay_buffer_kwargs": {"mirror": PENDULUM}}
    model = SAC("MlpPolicy", "Pendulum-v1", learning_starts=50, buffer_size=100, **options)
    model.learn(50)
    model.save(tmp_path / "model")
    model.save_replay_buffer(tmp_path / "buffer")
    loaded = SAC.load(tmp_path / "model", env=gym.make("Pendulum-v1"))
    assert type(loaded.replay_buffer) is MirrorReplayBuffer
    loaded.load_replay_buffer(tmp_path / "buffer")
    assert model.replay_buffer is not None
    assert loaded.replay_buffer is not None
    for here, there in zip(drawn(model.replay_buffer)[:5], drawn(loaded.replay_buffer)[:5], strict=True):
        assert th.equal(here, there)
    saved = (tmp_path / "buffer.pkl").read_bytes()
    assert b"sb3_lander.policies" in saved
    assert b"sb3_lander.policies." not in saved, "the file would not load once a module has moved"


def test_dqn_trains_on_mirrored_transitions() -> None:
    options: dict[str, Any] = {"replay_buffer_class": MirrorReplayBuffer, "replay_buffer_kwargs": {"mirror": DISCRETE}}
    DQN("MlpPolicy", "LunarLander-v3", learning_starts=10, buffer_size=100, **options).learn(50)


BOX = spaces.Box(-1, 1, (8,))
LEVERS = spaces.Box(-1, 1, (2,))


@pytest.mark.parametrize(
    ("observation_space", "action_space", "mirror", "message"),
    [
        (spaces.Dict(a=BOX), LEVERS, "lunar_lander", "mirror: needs a flat Box observation, got Dict"),
        (spaces.Box(0, 255, (8, 8, 3), np.uint8), LEVERS, "lunar_lander", "mirror: needs a flat Box observation"),
        (spaces.Box(-1, 1, (3,)), LEVERS, "lunar_lander", "the observation has 3"),
        (BOX, spaces.MultiBinary(2), "lunar_lander", "mirror: needs Box or Discrete actions, got MultiBinary"),
        (BOX, spaces.Discrete(4), "lunar_lander", "mirror: action_sign has 2 entries"),
        (BOX, LEVERS, DISCRETE, "mirror: action_sign has 4 entries"),
        (BOX, LEVERS, "moon", "mirror='moon' is unknown"),
    ],
)
def test_a_mirror_that_does_not_fit_is_refused(
    observation_space: spaces.Space, action_space: spaces.Space, mirror: Any, message: str
) -> None:
    for buffer_class in (MirrorReplayBuffer, NStepMirrorReplayBuffer):
        with pytest.raises(ValueError, match=message):
            buffer_class(10**12, observation_space, action_space, mirror=mirror)
