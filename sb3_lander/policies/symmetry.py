"""MirrorSymmetry: which observations and actions change sign or place when the world is seen in a mirror."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch as th
from gymnasium import spaces
from torch import nn

__all__ = ["METHODS", "SYMMETRIES", "MirrorSymmetry"]

# (x, y, vx, vy, angle, angular velocity, left leg, right leg): the terrain and the start are drawn symmetrically,
# so the mirrored task is as likely as the task.
_LANDER = {"obs_permutation": [0, 1, 2, 3, 4, 5, 7, 6], "obs_sign": [-1, 1, -1, 1, -1, -1, 1, 1]}

SYMMETRIES: dict[str, dict[str, Any]] = {
    # Main engine, lateral engine.
    "lunar_lander": {**_LANDER, "action_sign": [1, -1]},
    # No engine, left, main, right engine: the two side engines change places.
    "lunar_lander_discrete": {**_LANDER, "action_sign": [1, 1, 1, 1], "action_permutation": [0, 3, 2, 1]},
    # The hull, then five entries for each leg, then the lidar. The legs change places; nothing changes sign.
    # By average, since each stride crosses the seam of the halves.
    "bipedal_walker": {
        "obs_permutation": [*range(4), *range(9, 14), *range(4, 9), *range(14, 24)],
        "obs_sign": [1] * 24,
        "action_sign": [1] * 4,
        "action_permutation": [2, 3, 0, 1],
        "method": "average",
    },
}
"""The mirror symmetries known by name, as the plain mappings that a YAML file could also hold."""

METHODS = ("half", "average")
_KEYS = ("obs_permutation", "obs_sign", "action_sign", "action_permutation", "method")


def _involution(key: str, permutation: Sequence[int], sign: Sequence[float]) -> tuple[list[int], list[float]]:
    """Check that ``M v = sign * v[permutation]`` is its own inverse, as a mirror is.

    :raises ValueError: If it is not, or a list holds anything else than indices, or +1 and -1.
    """
    permutation, sign = list(permutation), [float(s) for s in sign]
    if sorted(permutation) != list(range(len(permutation))):
        raise ValueError(f"mirror: {key}_permutation={permutation} must hold each of 0..{len(permutation) - 1} once")
    if any(s not in (1.0, -1.0) for s in sign):
        raise ValueError(f"mirror: {key}_sign={sign} must hold only 1 and -1")
    if len(sign) != len(permutation):
        raise ValueError(
            f"mirror: {key}_sign has {len(sign)} entries but {key}_permutation has {len(permutation)}: "
            "they must be as long as each other"
        )
    for i, j in enumerate(permutation):
        if permutation[j] != i or sign[i] != sign[j]:
            raise ValueError(
                f"mirror: {key} entries {i} and {j} do not swap back: mirroring twice must change nothing, "
                f"but {key}_permutation={permutation} with {key}_sign={sign} does"
            )
    return permutation, sign


class MirrorSymmetry(nn.Module):
    r"""A mirror :math:`M` that makes an actor exactly equivariant and a critic exactly invariant.

    With :math:`M_o\,o = \mathrm{sign}_o \cdot o[\mathrm{perm}_o]` and likewise :math:`M_a` on actions, the wrapped
    networks satisfy :math:`\mu(M_o o) = M_a\,\mu(o)` and :math:`V(M_o o) = V(o)` whatever their weights. Two methods:

    - ``"half"`` maps every observation into one half of the space (the larger of :math:`o` and :math:`M_o o` in
      lexicographic order), and maps the action back. It costs next to nothing. On an observation that is its own mirror
      image the action is projected onto the actions that are theirs.
    - ``"average"`` runs the networks on both and averages. It costs twice the arithmetic, and has no seam.

    The idea is symmetry in the network architecture of Abdolhosseini et al., *On Learning Symmetric Locomotion* (2019).

    :param obs_permutation: For each entry of the mirrored observation, the original's entry it is; length ``obs_dim``.
    :param obs_sign: +1 or -1 for each observation entry; length ``obs_dim``.
    :param action_sign: +1 or -1 for each entry of the actor's output; length ``action_dim``.
    :param action_permutation: As ``obs_permutation``, for the actor's output; the identity by default.
    :param method: ``"half"`` or ``"average"``.
    :raises ValueError: If a list is no permutation or no sign, or if mirroring twice would change anything.
    """

    obs_permutation: th.Tensor
    obs_sign: th.Tensor
    action_permutation: th.Tensor
    action_sign: th.Tensor
    _order: th.Tensor
    _flips: th.Tensor

    def __init__(
        self,
        *,
        obs_permutation: Sequence[int],
        obs_sign: Sequence[float],
        action_sign: Sequence[float],
        action_permutation: Sequence[int] | None = None,
        method: str = "half",
    ) -> None:
        super().__init__()
        if method not in METHODS:
            raise ValueError(f"mirror: method={method!r} is unknown, choose one of {', '.join(METHODS)}")
        if action_permutation is None:
            action_permutation = list(range(len(action_sign)))
        obs_p, obs_s = _involution("obs", obs_permutation, obs_sign)
        act_p, act_s = _involution("action", action_permutation, action_sign)
        if obs_p == list(range(len(obs_p))) and all(s == 1.0 for s in obs_s):
            raise ValueError("mirror: it changes no observation, so it is no mirror: leave it out (mirror=None)")
        self.method = method
        # Not persistent: the constructor's arguments make them again, and a saved policy keeps SB3's own keys.
        self.register_buffer("obs_permutation", th.tensor(obs_p), persistent=False)
        self.register_buffer("obs_sign", th.tensor(obs_s), persistent=False)
        self.register_buffer("action_permutation", th.tensor(act_p), persistent=False)
        self.register_buffer("action_sign", th.tensor(act_s), persistent=False)
        self.register_buffer("_flips", self.action_sign < 0, persistent=False)
        self._permutes_action = act_p != list(range(len(act_p)))
        # An entry that the mirror negates in place decides alone wherever it is not zero, so it is asked first.
        negated = [i for i, (p, s) in enumerate(zip(obs_p, obs_s, strict=True)) if p == i and s < 0]
        self._decider = negated[0] if negated else None
        order = negated + [i for i in range(len(obs_p)) if i not in negated]
        self.register_buffer("_order", th.tensor(order), persistent=False)

    @classmethod
    def from_spec(cls, spec: str | Mapping[str, Any]) -> MirrorSymmetry:
        """Make the symmetry from its name or from a plain mapping (as YAML gives it).

        :param spec: A name in :data:`SYMMETRIES`, or a mapping with the constructor's arguments as keys.
        :raises ValueError: If the name or a key is unknown, or a key is missing.
        """
        if isinstance(spec, str):
            if spec not in SYMMETRIES:
                raise ValueError(f"mirror={spec!r} is unknown, choose one of {', '.join(SYMMETRIES)} or give a mapping")
            spec = SYMMETRIES[spec]
        if not isinstance(spec, Mapping):
            raise ValueError(f"mirror={spec!r} must be a name ({', '.join(SYMMETRIES)}) or a mapping")
        wrong = {"unknown": sorted(set(spec) - set(_KEYS)), "missing": sorted(set(_KEYS[:3]) - set(spec))}
        if any(wrong.values()):
            found = ", ".join(f"{what} keys {keys}" for what, keys in wrong.items() if keys)
            raise ValueError(f"mirror: {found}; valid: {_KEYS}")
        return cls(**spec)

    def check_spaces(
        self, observation_space: spaces.Space[Any], action_space: spaces.Space[Any], n_outputs: int
    ) -> None:
        """Refuse spaces that this mirror does not map onto themselves.

        :param n_outputs: Width of the actor's output: the action's entries, or the number of logits.
        :raises ValueError: If a length is wrong, the observation is not a flat Box, or action bounds are lopsided.
        """
        if not isinstance(observation_space, spaces.Box) or len(observation_space.shape) != 1:
            raise ValueError(f"mirror: needs a flat Box observation, got {observation_space}")
        if observation_space.shape[0] != len(self.obs_sign):
            raise ValueError(
                f"mirror: obs_permutation and obs_sign have {len(self.obs_sign)} entries, "
                f"the observation has {observation_space.shape[0]}"
            )
        if n_outputs != len(self.action_sign):
            raise ValueError(
                f"mirror: action_sign has {len(self.action_sign)} entries, the actor's output has {n_outputs}"
            )
        sign, permutation = self.action_sign.numpy(), self.action_permutation.numpy()
        if isinstance(action_space, spaces.Box):
            low, high = action_space.low.ravel(), action_space.high.ravel()
            mirrored_low = np.where(sign > 0, low[permutation], -high[permutation])
            mirrored_high = np.where(sign > 0, high[permutation], -low[permutation])
            if not (np.array_equal(mirrored_low, low) and np.array_equal(mirrored_high, high)):
                raise ValueError(f"mirror: the action bounds low={low}, high={high} are not their own mirror image")
        elif (sign < 0).any():
            raise ValueError(f"mirror: action_sign must be 1 throughout for {action_space}; use action_permutation")

    def mirror_obs(self, obs: th.Tensor) -> th.Tensor:
        """Return the mirror image of the observations.

        :param obs: Shape ``(batch, obs_dim)``.
        """
        return obs.index_select(1, self.obs_permutation) * self.obs_sign

    def mirror_action(self, action: th.Tensor, *, signed: bool = True) -> th.Tensor:
        """Return the mirror image of the actions, or of anything else with an entry for each action.

        :param action: Shape ``(batch, action_dim)``.
        :param signed: False for what only changes place, such as a standard deviation.
        """
        if self._permutes_action:
            action = action.index_select(1, self.action_permutation)
        return action * self.action_sign if signed else action

    def side(self, obs: th.Tensor) -> th.Tensor:
        """Tell which observations lie in the kept half: 1, in the mirrored one: -1, on the seam: 0.

        :param obs: Shape ``(batch, obs_dim)``.
        :return: Shape ``(batch, 1)``.
        """
        # An exported graph holds one branch for every later input, so it must not see this shortcut.
        if self._decider is not None and not th.compiler.is_compiling():
            decider = obs[:, self._decider : self._decider + 1]
            if bool(decider.all()):
                return decider.sign()
        difference = (obs - self.mirror_obs(obs)).sign()[:, self._order]
        first = (difference != 0).to(obs.dtype).argmax(dim=1, keepdim=True)
        return difference.gather(1, first)

    def fold(self, obs: th.Tensor) -> tuple[th.Tensor, th.Tensor | None]:
        """Map the observations to those that the networks see.

        :param obs: Shape ``(batch, obs_dim)``.
        :return: The observations for the networks, shape ``(batch, obs_dim)`` or, for ``"average"``,
            ``(2 * batch, obs_dim)``, and what :meth:`unfold` needs to map the output back.
        """
        if self.method == "average":
            return th.cat((obs, self.mirror_obs(obs))), None
        side = self.side(obs)
        return th.where(side < 0, self.mirror_obs(obs), obs), side

    def unfold(self, output: th.Tensor, side: th.Tensor | None, *, signed: bool = True) -> th.Tensor:
        """Map an output of the actor on folded observations back to the original ones.

        :param output: One row for each folded observation, ``action_dim`` wide.
        :param side: What :meth:`fold` returned.
        :param signed: False for what only changes place, such as a standard deviation.
        :return: Shape ``(batch, action_dim)``.
        """
        if side is None:
            # Not chunk(2), which would bind an exported graph to one batch size.
            pair = output.reshape(2, -1, output.shape[1])
            return 0.5 * (pair[0] + self.mirror_action(pair[1], signed=signed))
        if not self._permutes_action:
            # An entry that keeps its sign is multiplied by 1; one that changes it by the side, so by 0 on the seam.
            return output * th.where(self._flips, side, 1.0) if signed else output
        mirrored = self.mirror_action(output, signed=signed)
        return th.where(side > 0, output, th.where(side < 0, mirrored, 0.5 * (output + mirrored)))

    def unfold_value(self, value: th.Tensor) -> th.Tensor:
        """Map the critic's output on folded observations back to the original ones: shape ``(batch, 1)``."""
        return value if self.method == "half" else value.view(2, -1, 1).mean(0)

    def symmetric_log_std(self, log_std: th.Tensor) -> th.Tensor:
        """Average a log std of shape ``(action_dim,)`` over the actions that the mirror swaps."""
        if not self._permutes_action:
            return log_std
        return 0.5 * (log_std + log_std[self.action_permutation])


# Saved replay buffers name the class by this path: it must not follow the file.
MirrorSymmetry.__module__ = "sb3_lander.policies"
