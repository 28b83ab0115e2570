"""MirrorSymmetry: checks of its arguments, and exactness on and off the seam."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch as th
from gymnasium import spaces

from sb3_lander.policies.symmetry import METHODS, SYMMETRIES, MirrorSymmetry

LANDER = SYMMETRIES["lunar_lander"]
SWAP = {
    "obs_permutation": [1, 0],
    "obs_sign": [1, 1],
    "action_sign": [1, 1, 1],
    "action_permutation": [0, 2, 1],
}


def lander_observations() -> th.Tensor:
    """Random observations, some with x = 0 (the seam's next entries decide) and one that is its own mirror image."""
    obs = th.randn(64, 8, generator=th.Generator().manual_seed(0))
    obs[:8, 0] = 0.0
    obs[:4, 2] = 0.0
    obs[:2, 4] = 0.0
    obs[0] = th.tensor([0.0, 1.0, 0.0, -1.0, 0.0, 0.0, 1.0, 1.0])
    return obs


def test_the_mirrored_lander_has_its_sides_and_legs_swapped() -> None:
    mirror = MirrorSymmetry.from_spec("lunar_lander")
    obs = th.tensor([[0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 1.0, 0.0]])
    assert th.equal(mirror.mirror_obs(obs), th.tensor([[-0.1, 0.2, -0.3, 0.4, -0.5, -0.6, 0.0, 1.0]]))
    assert th.equal(mirror.mirror_action(th.tensor([[0.7, 0.8]])), th.tensor([[0.7, -0.8]]))


def test_the_two_landers_are_mirrored_alike_but_for_their_actions() -> None:
    mirror = MirrorSymmetry.from_spec("lunar_lander_discrete")
    obs = lander_observations()
    assert th.equal(mirror.mirror_obs(obs), MirrorSymmetry.from_spec("lunar_lander").mirror_obs(obs))
    assert th.equal(mirror.mirror_action(th.tensor([[0.1, 0.2, 0.3, 0.4]])), th.tensor([[0.1, 0.4, 0.3, 0.2]]))


@pytest.mark.parametrize("action", range(4))
def test_the_simulator_answers_a_mirrored_action_with_the_mirrored_flight(action: int) -> None:
    """On average over 200 starts each, since a start is as likely as its mirror image."""
    mirror = MirrorSymmetry.from_spec("lunar_lander_discrete")
    env = gym.make("LunarLander-v3")

    def flights(action: int, first_seed: int) -> th.Tensor:
        ends = []
        for seed in range(first_seed, first_seed + 200):
            env.reset(seed=seed)
            ends.append([env.step(action)[0] for _ in range(8)][-1])
        return th.tensor(np.array(ends))

    logits = th.eye(4)[[action]]
    mirrored = flights(int(mirror.mirror_action(logits).argmax()), 1000)
    difference = mirror.mirror_obs(flights(action, 0)).mean(0) - mirrored.mean(0)
    error = (2 * mirrored.var(0) / len(mirrored)).sqrt()
    assert (difference.abs() <= 4 * error).all(), f"{difference} against standard errors of {error}"
    if action in (1, 3):
        assert (mirrored.mean(0)[5] / error[5]).abs() > 10, "a side engine turns the lander, so the test can fail"
    env.close()


def test_the_simulator_walks_the_same_with_the_walkers_legs_exchanged() -> None:
    """The same walk, told with its legs under each other's name, is the mirrored one, to the last bit."""
    mirror = MirrorSymmetry.from_spec("bipedal_walker")
    actions = th.rand(40, 4, generator=th.Generator().manual_seed(0)) * 2 - 1

    def walk(actions: th.Tensor, *, exchange: bool) -> tuple[th.Tensor, list[float]]:
        env = gym.make("BipedalWalker-v3")
        env.reset(seed=0)
        walker: Any = env.unwrapped
        if exchange:
            walker.legs, walker.joints = (parts[2:] + parts[:2] for parts in (walker.legs, walker.joints))
        steps = [env.step(action) for action in actions.numpy()]
        env.close()
        return th.tensor(np.array([step[0] for step in steps])), [float(step[1]) for step in steps]

    seen, rewards = walk(actions, exchange=False)
    mirrored, as_much = walk(mirror.mirror_action(actions), exchange=True)
    assert th.equal(mirrored, mirror.mirror_obs(seen))
    assert as_much == pytest.approx(rewards)
    assert not th.allclose(mirrored, seen, atol=0.1), "the legs move differently, so the test can fail"


@pytest.mark.parametrize("method", METHODS)
def test_any_function_becomes_exactly_equivariant_and_invariant(method: str) -> None:
    mirror = MirrorSymmetry.from_spec({**LANDER, "method": method})
    weights = th.randn(8, 2, generator=th.Generator().manual_seed(1))
    obs = lander_observations()

    def actor(o: th.Tensor) -> th.Tensor:
        folded, side = mirror.fold(o)
        return mirror.unfold((folded[:, :, None] * weights).sum(1).tanh(), side)

    def critic(o: th.Tensor) -> th.Tensor:
        return mirror.unfold_value((mirror.fold(o)[0][:, :, None] * weights[:, :1]).sum(1).exp())

    mirrored = mirror.mirror_obs(obs)
    assert th.equal(actor(mirrored), mirror.mirror_action(actor(obs)))
    assert th.equal(critic(mirrored), critic(obs))
    assert actor(obs)[0, 1] == 0.0, "an observation that is its own mirror image must not steer to either side"
    assert actor(obs).std() > 0.1


def test_actions_that_swap_place_are_equivariant_too() -> None:
    mirror = MirrorSymmetry.from_spec(SWAP)
    obs = th.tensor([[1.0, 2.0], [2.0, 1.0], [3.0, 3.0]])

    def actor(o: th.Tensor) -> th.Tensor:
        folded, side = mirror.fold(o)
        return mirror.unfold(th.cat((folded.sum(1, keepdim=True), folded), dim=1), side)

    expected = actor(obs)[:, [0, 2, 1]]
    assert th.equal(actor(mirror.mirror_obs(obs)), expected)
    assert th.equal(mirror.symmetric_log_std(th.tensor([0.0, 1.0, 3.0])), th.tensor([0.0, 2.0, 2.0]))


class Fold(th.nn.Module):
    """The fold as a module of its own, for torch.export."""

    def __init__(self) -> None:
        super().__init__()
        self.mirror = MirrorSymmetry.from_spec("lunar_lander")

    def forward(self, obs: th.Tensor) -> th.Tensor:
        return self.mirror.fold(obs)[0]


def test_an_exported_graph_folds_as_eager_mode_does_on_and_off_the_seam() -> None:
    fold = Fold()
    exported = th.export.export(fold, (th.ones(64, 8),)).module()
    obs = lander_observations()
    assert th.equal(exported(obs), fold(obs))


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("moon", "mirror='moon' is unknown"),
        (3, "must be a name"),
        ({**LANDER, "sign": [1]}, r"mirror: unknown keys \['sign'\]; valid"),
        ({"obs_sign": [1]}, r"mirror: missing keys \['action_sign', 'obs_permutation'\]; valid"),
        ({**LANDER, "method": "fold"}, "method='fold'"),
        ({**LANDER, "obs_sign": [-1, 1, -1, 1, -1, -1, 1]}, "7 entries"),
        ({**LANDER, "obs_sign": [-1, 1, -1, 1, -1, -1, 1, 2]}, "only 1 and -1"),
        ({**LANDER, "obs_sign": [-1, 1, -1, 1, -1, -1, 1, -1]}, "do not swap back"),
        ({**LANDER, "obs_permutation": [0, 1, 2, 3, 4, 5, 6, 6]}, "each of 0..7 once"),
        ({**LANDER, "obs_permutation": [1, 2, 0, 3, 4, 5, 6, 7]}, "do not swap back"),
        ({**LANDER, "obs_permutation": list(range(8)), "obs_sign": [1] * 8}, "changes no observation"),
    ],
)
def test_a_mapping_that_is_no_mirror_is_refused(spec: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MirrorSymmetry.from_spec(spec)  # type: ignore[arg-type]  # wrong types are the point


@pytest.mark.parametrize(
    ("observation_space", "action_space", "n_outputs", "message"),
    [
        (spaces.Box(-1, 1, (7,)), spaces.Box(-1, 1, (2,)), 2, "the observation has 7"),
        (spaces.Box(-1, 1, (8, 1)), spaces.Box(-1, 1, (2,)), 2, "flat Box"),
        (spaces.Discrete(8), spaces.Box(-1, 1, (2,)), 2, "flat Box"),
        (spaces.Box(-1, 1, (8,)), spaces.Box(-1, 1, (3,)), 3, "actor's output has 3"),
        (
            spaces.Box(-1, 1, (8,)),
            spaces.Box(np.array([0, -1]), np.array([1, 2])),
            2,
            "not their own mirror image",
        ),
        (spaces.Box(-1, 1, (8,)), spaces.Discrete(2), 2, "action_permutation"),
    ],
)
def test_spaces_that_do_not_fit_the_mirror_are_refused(
    observation_space: spaces.Space, action_space: spaces.Space, n_outputs: int, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        MirrorSymmetry.from_spec("lunar_lander").check_spaces(observation_space, action_space, n_outputs)
