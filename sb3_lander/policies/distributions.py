"""SB3's Gaussian and categorical distributions with fewer kernels, correlated noise, and the clamp of a log std."""

from __future__ import annotations

import math
from typing import Any

import torch as th
from stable_baselines3.common.distributions import CategoricalDistribution, DiagGaussianDistribution

from sb3_lander.policies.eager import is_plain_eager

__all__ = ["CorrelatedNoise", "FastCategorical", "FastDiagGaussian", "clamp"]

_HALF_LOG_2PI = 0.5 * math.log(2.0 * math.pi)


def clamp(x: th.Tensor, low: float, high: float) -> th.Tensor:
    """Clamp with a gradient at the bounds themselves.

    ``torch.clamp`` has had none there since torch 2.14: what starts on its bound would never leave it.
    """
    return th.where((x >= low) & (x <= high), x, x.detach().clamp(low, high))


class CorrelatedNoise:
    """Noise that is normal at every step, and of which each step keeps a part: an autoregressive process of order 1.

    What a policy tries is then not undone by the next step's noise. Each row of a batch is an environment of its own;
    an episode's end changes nothing. The log probabilities that an algorithm stores are those of single steps, as they
    are with gSDE. See Hollenstein et al., *Colored Noise in PPO* (2024), whose noise is correlated likewise.

    :param correlation: Between one step's noise and the next one's, from 0 to below 1.
    """

    def __init__(self, correlation: float) -> None:
        self._kept, self._new = correlation, math.sqrt(1.0 - correlation**2)
        self._noise = th.empty(0)

    def add_to(self, mean: th.Tensor, std: th.Tensor) -> th.Tensor:
        """Return the mean with the next step's noise.

        :param mean: Shape ``(n_envs, action_dim)``.
        :param std: Shape ``(action_dim,)`` or ``(n_envs, action_dim)``.
        """
        drawn = th.randn_like(mean)
        is_first = self._noise.shape != drawn.shape or self._noise.device != drawn.device
        self._noise = drawn if is_first else self._kept * self._noise + self._new * drawn
        return mean + std * self._noise


def _log_prob(squares: th.Tensor, log_std: th.Tensor) -> th.Tensor:
    """Return the log density from the squared distances from the mean, shape ``(batch, action_dim)``."""
    offset = -(log_std.sum(-1) + squares.shape[-1] * _HALF_LOG_2PI)
    weights = th.exp(-2.0 * log_std).mul_(-0.5)
    # For one std for all, a product with a vector instead of a row-wise sum: a third of the time.
    return th.addmv(offset, squares, weights) if log_std.dim() == 1 else (squares * weights).sum(-1).add_(offset)


class _GaussianLogProb(th.autograd.Function):
    """Log density of a diagonal Gaussian, summed over the action's entries, as one node of the graph."""

    @staticmethod
    def forward(ctx: Any, actions: th.Tensor, mean: th.Tensor, log_std: th.Tensor) -> th.Tensor:
        distance = actions - mean
        ctx.distance, ctx.squares = distance, distance.square()
        ctx.save_for_backward(actions, mean, log_std)
        return _log_prob(ctx.squares, log_std)

    @staticmethod
    def backward(ctx: Any, grad: th.Tensor) -> tuple[th.Tensor | None, ...]:
        actions, mean, log_std = ctx.saved_tensors
        distance, squares = ctx.distance, ctx.squares
        if th.is_grad_enabled():  # what is derived from must hang on the inputs
            distance = actions - mean
            squares = distance.square()
        inverse_variance = th.exp(-2.0 * log_std)
        column = grad.unsqueeze(-1)
        grad_mean = distance * inverse_variance * column
        grad_actions = -grad_mean if ctx.needs_input_grad[0] else None
        grad_log_std = None
        if ctx.needs_input_grad[2] and log_std.dim() == 1:
            grad_log_std = (grad @ squares) * inverse_variance - grad.sum()
        elif ctx.needs_input_grad[2]:
            grad_log_std = column * (squares * inverse_variance - 1.0)
        return grad_actions, grad_mean, grad_log_std


class FastDiagGaussian(DiagGaussianDistribution):
    """SB3's diagonal Gaussian without the objects of ``torch.distributions`` in the training loop.

    Draws the same samples from the same random state. ``distribution`` is made only when somebody asks for it, or where
    torch is to do more than compute numbers and gradients (autocast, ``torch.func``, a compiler).
    """

    def __init__(self, action_dim: int) -> None:
        super().__init__(action_dim)
        self._mean = self._log_std = th.empty(0)
        self._is_checked = False
        self._sample: th.Tensor | None = None

    @property
    def distribution(self) -> th.distributions.Normal:
        """The same distribution for those who need torch's object, such as TRPO's KL divergence."""
        if self._normal is not None:
            return self._normal
        return th.distributions.Normal(self._mean, th.ones_like(self._mean) * self._log_std.exp())

    @distribution.setter  # type: ignore[override]  # SB3 types it for all
    def distribution(self, value: th.distributions.Normal | None) -> None:
        self._normal = value

    def proba_distribution(self, mean_actions: th.Tensor, log_std: th.Tensor) -> FastDiagGaussian:
        """Set the parameters. What torch's ``Normal`` refuses, as a mean that is no number, is refused at its use.

        :param mean_actions: Shape ``(batch, action_dim)``.
        :param log_std: Shape ``(action_dim,)`` or ``(batch, action_dim)``.
        """
        # A copy: TRPO keeps this distribution while it moves the parameters under it.
        self._mean, self._log_std, self._normal = mean_actions, log_std.clone(), None
        self._is_checked, self._sample = False, None
        if not is_plain_eager():
            self._normal = self.distribution
        return self

    def _check(self) -> None:
        """Let torch refuse parameters that are no numbers."""
        if not self._is_checked and self._normal is None:
            if not _is_finite(self._mean.sum() + self._log_std.sum()):
                self._normal = self.distribution
            self._is_checked = True

    def log_prob(self, actions: th.Tensor) -> th.Tensor:
        """Return the log density of each action, shape ``(batch,)``, in nats."""
        if self._normal is None:
            if not th.is_grad_enabled():
                log_prob = _log_prob((actions - self._mean).square_(), self._log_std)
            else:
                log_prob = _GaussianLogProb.apply(actions, self._mean, self._log_std)  # type: ignore[no-untyped-call]  # torch's apply is untyped
            # Whatever is no number among the parameters shows here too; in a sample of our own it has shown already.
            if actions is self._sample or _is_finite(log_prob.sum()):
                self._is_checked = True
                return log_prob
        return super().log_prob(actions)

    def entropy(self) -> th.Tensor | None:
        """Return the differential entropy, shape ``(batch,)``, in nats."""
        self._check()
        if self._normal is not None:
            return super().entropy()
        entropy = (self._log_std + (0.5 + _HALF_LOG_2PI)).sum(-1)
        return entropy.expand(len(self._mean))

    def sample(self) -> th.Tensor:
        """Draw an action for each row, shape ``(batch, action_dim)``."""
        if self._normal is None:
            self._sample = self._mean + self._log_std.exp() * th.randn_like(self._mean)
            if _is_finite(self._sample.sum()):
                return self._sample
            self._normal = self.distribution
        return super().sample()

    def mode(self) -> th.Tensor:
        """Return the mean, shape ``(batch, action_dim)``."""
        self._check()
        return self._mean if self._normal is None else super().mode()


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


def _is_finite(total: th.Tensor) -> bool:
    """Tell whether a sum has neither a NaN nor an infinity in it; says no, rarely, of large numbers."""
    return math.isfinite(total.item())
