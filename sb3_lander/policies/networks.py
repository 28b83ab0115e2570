"""What the policy is made of: activations by name, MLPs with hand-written backward passes, a lean Gaussian."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch as th
from stable_baselines3.common.distributions import DiagGaussianDistribution
from torch import nn

__all__ = ["ACTIVATIONS", "FastDiagGaussian", "FastMlp", "TanhRange", "activation_class", "supports_fused"]

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "leaky_relu": nn.LeakyReLU,
    "mish": nn.Mish,
    "relu": nn.ReLU,
    "selu": nn.SELU,
    "sigmoid": nn.Sigmoid,
    "silu": nn.SiLU,
    "softplus": nn.Softplus,
    "tanh": nn.Tanh,
}
"""The activations that a YAML file can name."""

_HALF_LOG_2PI = 0.5 * math.log(2.0 * math.pi)


def activation_class(activation: str | type[nn.Module]) -> type[nn.Module]:
    """Return an activation's class from its name; a class passes through.

    :raises ValueError: If the name is unknown, or the argument is neither a name nor a module class.
    """
    if isinstance(activation, type) and issubclass(activation, nn.Module):
        return activation
    if not isinstance(activation, str) or activation.lower() not in ACTIVATIONS:
        raise ValueError(
            f"activation_fn={activation!r} is unknown: give a torch module class or one of {', '.join(ACTIVATIONS)}"
        )
    return ACTIVATIONS[activation.lower()]


class TanhRange(nn.Module):
    """Pass numbers through tanh and scale them to bounds.

    :param low: Lower bounds, shape ``(n,)``.
    :param high: Upper bounds, shape ``(n,)``.
    """

    _centre: th.Tensor
    _radius: th.Tensor

    def __init__(self, low: npt.NDArray[np.float32], high: npt.NDArray[np.float32]) -> None:
        super().__init__()
        self._is_unit = bool((high == 1.0).all() and (low == -1.0).all())
        self.register_buffer("_centre", th.as_tensor((high + low) / 2), persistent=False)
        self.register_buffer("_radius", th.as_tensor((high - low) / 2), persistent=False)

    def forward(self, x: th.Tensor) -> th.Tensor:
        """Map shape ``(batch, n)`` to the same shape, within the bounds."""
        x = th.tanh(x)
        return x if self._is_unit else self._centre + self._radius * x


def supports_fused(optimizer_class: type[th.optim.Optimizer]) -> bool:
    """Tell whether the optimizer has torch's ``fused`` option: one kernel for all parameters at once."""
    return "fused" in inspect.signature(optimizer_class).parameters


class _Activation(NamedTuple):
    apply_: Callable[[th.Tensor], th.Tensor]
    """Applies it in place."""

    backward: Callable[..., th.Tensor]
    """Maps the gradient of the output, and the output, to the gradient of the input; differentiable itself unless it
    is given ``grad_input``, a tensor to write into."""


def _tanh_(x: th.Tensor) -> th.Tensor:
    # tanh(x) = 2 sigmoid(2x) - 1: torch's vectorised sigmoid takes a third of the time of its tanh.
    return x.mul_(2.0).sigmoid_().mul_(2.0).sub_(1.0)


_LEAK = nn.LeakyReLU().negative_slope
_ATEN = th.ops.aten


# Functions with names, not lambdas: a policy that holds one is sent to other processes, and torch's operators
# cannot be pickled, which a lambda's would have to be.


def _tanh_backward(grad: th.Tensor, output: th.Tensor, **into: th.Tensor) -> th.Tensor:
    result: th.Tensor = _ATEN.tanh_backward(grad, output, **into)
    return result


def _relu_backward(grad: th.Tensor, output: th.Tensor, **into: th.Tensor) -> th.Tensor:
    result: th.Tensor = _ATEN.threshold_backward(grad, output, 0, **into)
    return result


def _leaky_relu_(x: th.Tensor) -> th.Tensor:
    return nn.functional.leaky_relu_(x, _LEAK)


def _leaky_relu_backward(grad: th.Tensor, output: th.Tensor, **into: th.Tensor) -> th.Tensor:
    result: th.Tensor = _ATEN.leaky_relu_backward(grad, output, _LEAK, True, **into)
    return result


def _elu_backward(grad: th.Tensor, output: th.Tensor, **into: th.Tensor) -> th.Tensor:
    result: th.Tensor = _ATEN.elu_backward(grad, 1.0, 1.0, 1.0, True, output, **into)
    return result


_FAST: dict[type[nn.Module], _Activation] = {
    nn.Tanh: _Activation(_tanh_, _tanh_backward),
    nn.ReLU: _Activation(th.relu_, _relu_backward),
    nn.LeakyReLU: _Activation(_leaky_relu_, _leaky_relu_backward),
    nn.ELU: _Activation(nn.functional.elu_, _elu_backward),
}


def _mlp(activation: _Activation, x: th.Tensor, parameters: Sequence[th.Tensor]) -> tuple[th.Tensor, ...]:
    """Return every layer's output, the activations included."""
    outputs: list[th.Tensor] = []
    last = len(parameters) - 2
    for i in range(0, len(parameters), 2):
        x = th.addmm(parameters[i + 1], x, parameters[i].t())
        outputs.append(x if i == last else activation.apply_(x))
    return tuple(outputs)


class _MlpFunction(th.autograd.Function):
    """Linear layers with an activation between them, as one node of the graph.

    All hidden activations are outputs, so that the backward pass is itself differentiable (TRPO needs that) and
    further heads can be put on the last hidden layer.
    """

    @staticmethod
    def forward(ctx: Any, activation: _Activation, x: th.Tensor, *parameters: th.Tensor) -> tuple[th.Tensor, ...]:
        outputs = _mlp(activation, x, parameters)
        ctx.activation = activation
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(x, *outputs[:-1], *parameters[0::2])
        return outputs

    @staticmethod
    def backward(ctx: Any, *grads: th.Tensor | None) -> tuple[th.Tensor | None, ...]:
        n = len(grads)
        inputs, weights = ctx.saved_tensors[:n], ctx.saved_tensors[n:]
        result: list[th.Tensor | None] = [None] * (2 * n)
        grad = grads[-1]
        for i in reversed(range(n)):
            if grad is not None:
                x = inputs[i]
                # The same product either way round; with few inputs the second is three times faster.
                result[2 * i] = grad.t() @ x if x.shape[1] >= grad.shape[1] else (x.t() @ grad).t()
                result[2 * i + 1] = grad.sum(0)
            if i == 0:
                break
            below = None if grad is None else grad @ weights[i]
            extra = grads[i - 1]
            if extra is not None:
                below = extra if below is None else below + extra
            if below is not None:
                # Where the gradient is itself derived from, or is another node's own, it must stay as it is.
                in_place = below is not extra and not th.is_grad_enabled()
                below = ctx.activation.backward(below, inputs[i], **({"grad_input": below} if in_place else {}))
            grad = below
        needs_input_grad = ctx.needs_input_grad[1] and grad is not None
        return None, grad @ weights[0] if needs_input_grad else None, *result


class FastMlp:
    """A view of an MLP's layers that computes them with fewer, larger kernels; it owns no parameters.

    :param hidden: The hidden layers: ``Linear`` and activation alternating, as SB3's ``MlpExtractor`` builds them.
    :param head: The linear output layer.
    """

    def __init__(self, hidden: nn.Sequential, head: nn.Linear) -> None:
        self._layers = [m for m in (*hidden, head) if isinstance(m, nn.Linear)]
        kinds = {type(m) for m in hidden if not isinstance(m, nn.Linear)}
        self._activation = _FAST[kinds.pop() if kinds else nn.Tanh]

    @staticmethod
    def supports(hidden: nn.Sequential) -> bool:
        """Tell whether the layers are of a kind that this class computes."""
        kinds = [type(m) for m in hidden]
        activations = set(kinds[1::2])
        return all(k is nn.Linear for k in kinds[0::2]) and len(activations) <= 1 and activations <= set(_FAST)

    def __call__(self, x: th.Tensor) -> tuple[th.Tensor, th.Tensor]:
        """Compute the output and the last hidden layer.

        :param x: Shape ``(batch, in_features)``.
        :return: Shapes ``(batch, out_features)`` and ``(batch, last hidden width)``.
        """
        parameters = [p for layer in self._layers for p in (layer.weight, layer.bias)]
        outputs: tuple[th.Tensor, ...]
        if th.is_grad_enabled():
            outputs = _MlpFunction.apply(self._activation, x, *parameters)  # type: ignore[no-untyped-call]  # torch's apply is untyped
        else:
            outputs = _mlp(self._activation, x, parameters)
        return outputs[-1], outputs[-2] if len(outputs) > 1 else x


def _log_prob(actions: th.Tensor, mean: th.Tensor, log_std: th.Tensor) -> th.Tensor:
    z = (actions - mean) * th.exp(-log_std)
    return z.square_().sum(-1).mul_(-0.5).sub_(log_std.sum(-1) + mean.shape[-1] * _HALF_LOG_2PI)


class _GaussianLogProb(th.autograd.Function):
    """Log density of a diagonal Gaussian, summed over the action's entries, as one node of the graph."""

    @staticmethod
    def forward(ctx: Any, actions: th.Tensor, mean: th.Tensor, log_std: th.Tensor) -> th.Tensor:
        ctx.save_for_backward(actions, mean, log_std)
        return _log_prob(actions, mean, log_std)

    @staticmethod
    def backward(ctx: Any, grad: th.Tensor) -> tuple[th.Tensor | None, ...]:
        actions, mean, log_std = ctx.saved_tensors
        inverse_std = th.exp(-log_std)
        z = (actions - mean) * inverse_std
        grad = grad.unsqueeze(-1)
        grad_mean = grad * z * inverse_std
        grad_actions = -grad_mean if ctx.needs_input_grad[0] else None
        grad_log_std = None
        if ctx.needs_input_grad[2]:
            grad_log_std = grad * (z * z - 1.0)
            if log_std.dim() == 1:
                grad_log_std = grad_log_std.sum(0)
        return grad_actions, grad_mean, grad_log_std


class FastDiagGaussian(DiagGaussianDistribution):
    """SB3's diagonal Gaussian without the objects of ``torch.distributions`` in the training loop.

    Draws the same samples from the same random state. ``distribution`` is made only when somebody asks for it.
    """

    def __init__(self, action_dim: int) -> None:
        super().__init__(action_dim)
        self._mean = self._log_std = th.empty(0)

    @property
    def distribution(self) -> th.distributions.Normal:
        """The same distribution for those who need torch's object, such as TRPO's KL divergence."""
        return th.distributions.Normal(self._mean, th.ones_like(self._mean) * self._log_std.exp())

    @distribution.setter
    def distribution(self, value: th.distributions.Normal) -> None:
        """Ignore SB3's constructor, which sets a placeholder: the parameters make the distribution."""

    def proba_distribution(self, mean_actions: th.Tensor, log_std: th.Tensor) -> FastDiagGaussian:
        """Set the parameters.

        :param mean_actions: Shape ``(batch, action_dim)``.
        :param log_std: Shape ``(action_dim,)`` or ``(batch, action_dim)``.
        """
        # A copy: TRPO keeps this distribution while it moves the parameters under it.
        self._mean, self._log_std = mean_actions, log_std.clone()
        return self

    def log_prob(self, actions: th.Tensor) -> th.Tensor:
        """Return the log density of each action, shape ``(batch,)``, in nats."""
        if not th.is_grad_enabled():
            return _log_prob(actions, self._mean, self._log_std)
        log_prob: th.Tensor = _GaussianLogProb.apply(actions, self._mean, self._log_std)  # type: ignore[no-untyped-call]  # torch's apply is untyped
        return log_prob

    def entropy(self) -> th.Tensor:
        """Return the differential entropy, shape ``(batch,)``, in nats."""
        entropy = (self._log_std + (0.5 + _HALF_LOG_2PI)).sum(-1)
        return entropy.expand(len(self._mean))

    def sample(self) -> th.Tensor:
        """Draw an action for each row, shape ``(batch, action_dim)``."""
        return self._mean + self._log_std.exp() * th.randn_like(self._mean)

    def mode(self) -> th.Tensor:
        """Return the mean, shape ``(batch, action_dim)``."""
        return self._mean
