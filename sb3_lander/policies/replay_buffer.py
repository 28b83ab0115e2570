"""MirrorReplayBuffer: a replay buffer that gives back half of what it samples as its mirror image."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch as th
from gymnasium import spaces
from stable_baselines3.common.buffers import NStepReplayBuffer, ReplayBuffer
from stable_baselines3.common.preprocessing import get_action_dim
from stable_baselines3.common.type_aliases import ReplayBufferSamples
from stable_baselines3.common.vec_env import VecNormalize

from sb3_lander.policies.symmetry import MirrorSymmetry

__all__ = ["MirrorReplayBuffer", "NStepMirrorReplayBuffer"]


class MirrorReplayBuffer(ReplayBuffer):
    """SB3's replay buffer, of whose samples each is, with probability one half, the mirror image of what was stored.

    For the ``replay_buffer_class`` of SAC, TQC, TD3, DDPG, CrossQ, DQN and QR-DQN. The mirror image of a transition is
    as true as the transition where the task looks the same in a mirror, so actor and critic learn the symmetry from
    twice the data. It stores nothing more than SB3's buffer, and with ``mirror=None`` it is SB3's buffer.

    The arguments that are not described here are SB3's.

    :param observation_space: A flat Box, of shape ``(obs_dim,)``.
    :param action_space: A Box, or Discrete, whose actions change place by ``action_permutation``.
    :param mirror: As the policy's: a name such as ``"lunar_lander"``, or a mapping with ``obs_permutation``,
        ``obs_sign``, ``action_sign`` and optionally ``action_permutation``, see
        :class:`~sb3_lander.policies.MirrorSymmetry`.
        ``method`` means nothing here. None for no mirror.
    :raises ValueError: If the mapping is no mirror, or does not fit the spaces.
    """

    def __init__(
        self,
        buffer_size: int,
        observation_space: spaces.Space[Any],
        action_space: spaces.Space[Any],
        *args: Any,
        mirror: str | Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        # First: the base class allocates the whole buffer.
        self.symmetry = None if mirror is None else _checked_symmetry(mirror, observation_space, action_space)
        super().__init__(buffer_size, observation_space, action_space, *args, **kwargs)

    def _get_samples(self, batch_inds: np.ndarray, env: VecNormalize | None = None) -> ReplayBufferSamples:
        if self.symmetry is None:
            return super()._get_samples(batch_inds, env)
        chosen = np.random.randint(2, size=(len(batch_inds), 1)).astype(bool)
        normalizer: Any = _MirrorThenNormalize(self.symmetry, chosen, env)
        samples = super()._get_samples(batch_inds, normalizer)
        actions = samples.actions
        permutation = self.symmetry.action_permutation.to(actions.device)
        if isinstance(self.action_space, spaces.Discrete):
            mirrored = permutation[actions]
        else:
            # Stored as the policy scales them, to -1..1: the bounds are their own mirror image.
            mirrored = actions[:, permutation] * self.symmetry.action_sign.to(actions.device)
        return samples._replace(actions=th.where(self.to_torch(chosen), mirrored, actions))


class NStepMirrorReplayBuffer(MirrorReplayBuffer, NStepReplayBuffer):
    """:class:`MirrorReplayBuffer` on SB3's buffer for n-step returns, with its arguments ``n_steps`` and ``gamma``."""


class _MirrorThenNormalize:
    """What SB3's buffers take for the ``VecNormalize``: mirrors the raw observations, whose zero is the mirror's."""

    def __init__(self, symmetry: MirrorSymmetry, chosen: np.ndarray, env: VecNormalize | None) -> None:
        self._symmetry, self._chosen, self._env = symmetry, chosen, env

    def normalize_obs(self, obs: np.ndarray) -> Any:
        obs = np.where(self._chosen, self._symmetry.mirror_obs(th.from_numpy(obs)).numpy(), obs)
        return obs if self._env is None else self._env.normalize_obs(obs)

    def normalize_reward(self, reward: np.ndarray) -> np.ndarray:
        return reward if self._env is None else self._env.normalize_reward(reward)


def _checked_symmetry(
    mirror: str | Mapping[str, Any], observation_space: spaces.Space[Any], action_space: spaces.Space[Any]
) -> MirrorSymmetry:
    if not isinstance(action_space, (spaces.Box, spaces.Discrete)):
        raise ValueError(f"mirror: needs Box or Discrete actions, got {action_space}")
    symmetry = MirrorSymmetry.from_spec(mirror)
    n_outputs = int(action_space.n) if isinstance(action_space, spaces.Discrete) else get_action_dim(action_space)
    symmetry.check_spaces(observation_space, action_space, n_outputs)
    return symmetry


# Saved models and buffers name the classes by this path: it must not follow the file.
MirrorReplayBuffer.__module__ = NStepMirrorReplayBuffer.__module__ = "sb3_lander.policies"
