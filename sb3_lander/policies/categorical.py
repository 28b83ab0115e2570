"""FastCategorical: SB3's categorical distribution with fewer kernels."""

from __future__ import annotations

import math

import torch as th
from stable_baselines3.common.distributions import CategoricalDistribution

from sb3_lander.policies.eager import is_plain_eager

__all__ = ["FastCategorical"]


class FastCategorical(CategoricalDistribution):
    """SB3's categorical distribution without the objects of ``torch.distributions`` in the training loop.

    Draws the same samples from the same random state. ``distribution`` is made only when somebody asks for it, or where
    torch is to do more than compute numbers and gradients (autocast, ``torch.func``, a compiler).
    """

    def __init__(self, action_dim: int) -> None:
        super().__init__(action_dim)
        self._logits = self._log_probs = th.empty(0)

    @property
    def distribution(self) -> th.distributions.Categorical:
        """The same distribution for those who need torch's object, such as TRPO's KL divergence."""
        return th.distributions.Categorical(logits=self._logits) if self._categorical is None else self._categorical

    @distribution.setter  # type: ignore[override]  # SB3 types it for all
    def distribution(self, value: th.distributions.Categorical | None) -> None:
        self._categorical = value

    def proba_distribution(self, action_logits: th.Tensor) -> FastCategorical:
        """Set the parameters.

        :param action_logits: Logarithms of the actions' probabilities but for a constant, shape ``(batch, n_actions)``.
        :raises ValueError: If one of them is no number.
        """
        self._logits, self._categorical = action_logits, None
        self._log_probs = action_logits.log_softmax(-1)
        # What torch refuses it is to refuse itself.
        if not is_plain_eager() or not math.isfinite(self._log_probs.sum().item()):
            self._categorical = self.distribution
        return self

    def log_prob(self, actions: th.Tensor) -> th.Tensor:
        """Return the log probability of each action, shape ``(batch,)``, in nats."""
        if self._categorical is not None:
            return super().log_prob(actions)
        return self._log_probs.gather(-1, actions.long().unsqueeze(-1)).squeeze(-1)

    def entropy(self) -> th.Tensor:
        """Return the entropy, shape ``(batch,)``, in nats."""
        if self._categorical is not None:
            return super().entropy()
        return -(self._log_probs.exp() * self._log_probs).sum(-1)

    def sample(self) -> th.Tensor:
        """Draw an action for each row, shape ``(batch,)``."""
        if self._categorical is not None:
            return super().sample()
        return th.multinomial(self._logits.softmax(-1), 1, replacement=True).squeeze(-1)

    def mode(self) -> th.Tensor:
        """Return the most likely actions, shape ``(batch,)``."""
        return super().mode() if self._categorical is not None else self._logits.argmax(-1)
