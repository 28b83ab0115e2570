"""What the policy is made of: activations by name, a bounded mean, MLPs with a hand-written backward pass."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch as th
from torch import nn

from sb3_lander.policies.eager import has_hooks, is_plain_eager, is_simple_extractor

__all__ = ["ACTIVATIONS", "FastMlp", "TanhRange", "activation_factory", "heads_at_once"]

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


def activation_factory(activation: str | Callable[[], nn.Module]) -> Callable[[], nn.Module]:
    """Return what makes an activation: its class from its name; a class or another factory passes through.

    :raises ValueError: If the name is unknown, or the argument is neither a name nor can be called without arguments.
    """
    if isinstance(activation, str) and activation.lower() in ACTIVATIONS:
        return ACTIVATIONS[activation.lower()]
    try:
        if isinstance(activation, type) and issubclass(activation, nn.Module):
            return activation
        inspect.signature(activation).bind()  # type: ignore[arg-type]  # a string raises, as it is to
    except (TypeError, ValueError):
        raise ValueError(
            f"activation_fn={activation!r} is unknown: give a torch module class, something else that makes a module "
            f"when it is called, or one of {', '.join(ACTIVATIONS)}"
        ) from None
    return activation  # type: ignore[return-value]  # no string


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


class _Activation(NamedTuple):
    apply_: Callable[[th.Tensor], th.Tensor]
    """Applies it in place."""

    backward: Callable[..., th.Tensor]
    """Maps the gradient of the output, and the output, to the gradient of the input; differentiable itself unless it
    is given ``grad_input``, a tensor to write into."""


_ATEN = th.ops.aten
_FAST: dict[type[nn.Module], _Activation] = {
    # tanh(x) = 2 sigmoid(2x) - 1: torch's vectorised sigmoid takes a third of the time of its tanh.
    nn.Tanh: _Activation(lambda x: x.mul_(2.0).sigmoid_().mul_(2.0).sub_(1.0), _ATEN.tanh_backward),
    nn.ReLU: _Activation(th.relu_, lambda grad, out, **into: _ATEN.threshold_backward(grad, out, 0, **into)),
}


def _mlp(
    activation: _Activation, x: th.Tensor, parameters: Sequence[th.Tensor], has_head: bool
) -> tuple[th.Tensor, ...]:
    """Return every layer's output: activated ones, and last the head's, if there is one."""
    outputs: list[th.Tensor] = []
    last = len(parameters) // 2 - 1 if has_head else -1
    for i, (weight, bias) in enumerate(zip(parameters[0::2], parameters[1::2], strict=True)):
        x = th.addmm(bias, x, weight.t())
        outputs.append(x if i == last else activation.apply_(x))
    return tuple(outputs)


class _MlpFunction(th.autograd.Function):
    """Linear layers with an activation after each, the head excepted, as one node of the graph.

    All layers are outputs, so that the backward pass is itself differentiable (TRPO needs that).
    """

    @staticmethod
    def forward(
        ctx: Any, activation: _Activation, has_head: bool, x: th.Tensor, *parameters: th.Tensor
    ) -> tuple[th.Tensor, ...]:
        outputs = _mlp(activation, x, parameters, has_head)
        ctx.activation, ctx.has_head = activation, has_head
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(x, *(outputs[:-1] if has_head else outputs), *parameters[0::2])
        return outputs

    @staticmethod
    def backward(ctx: Any, *grads: th.Tensor | None) -> tuple[th.Tensor | None, ...]:
        n = len(grads)
        hidden = n - 1 if ctx.has_head else n
        layers, weights = ctx.saved_tensors[: hidden + 1], ctx.saved_tensors[hidden + 1 :]
        needed = ctx.needs_input_grad[2:]
        result: list[th.Tensor | None] = [None] * (2 * n + 1)
        below = None
        for i in reversed(range(n)):
            grad = grads[i] if below is None else below if grads[i] is None else below + grads[i]
            if grad is None:
                continue
            if i < hidden:
                # Where the gradient is itself derived from, or is another node's own, it must stay as it is.
                into = {} if grad is grads[i] or th.is_grad_enabled() else {"grad_input": grad}
                grad = ctx.activation.backward(grad, layers[i + 1], **into)
            x = layers[i]
            if needed[2 * i + 1]:
                # The same product either way round; with few inputs the second is three times faster.
                result[2 * i + 1] = grad.t() @ x if x.shape[1] >= grad.shape[1] else (x.t() @ grad).t()
            if needed[2 * i + 2]:
                result[2 * i + 2] = grad.sum(0)
            below = grad @ weights[i] if any(needed[: 2 * i + 1]) else None
        result[0] = below
        return None, None, *result


class FastMlp(nn.Sequential):
    """``nn.Sequential`` that computes an MLP with fewer, larger kernels: linear layers, tanh or ReLU after each.

    It looks at its layers each time. Where it finds others, or anything that wants to see them at work (hooks,
    autocast, ``torch.func``, a compiler), it is an ``nn.Sequential``.
    """

    def forward(self, x: th.Tensor) -> th.Tensor:
        """Compute the last layer.

        :param x: Shape ``(batch, in_features)``.
        :return: Shape ``(batch, last width)``.
        """
        layers = self._mlp_layers()
        if not layers or x.dim() != 2 or not is_plain_eager(x):
            plain: th.Tensor = super().forward(x)  # type: ignore[no-untyped-call]  # torch's is untyped
            return plain
        return self._outputs(layers, x, has_head=False)[-1]

    def with_head(self, x: th.Tensor, head: nn.Module) -> tuple[th.Tensor, th.Tensor] | None:
        """Compute the last layer and what a head makes of it, where that gives what calling both gives.

        :param x: Shape ``(batch, in_features)``; torch is to compute nothing but numbers and gradients.
        :param head: The module that would be called with the last layer.
        :return: Shapes ``(batch, last width)`` and ``(batch, head's width)``; None where both must be called.
        """
        layers = self._mlp_layers()
        if not layers or x.dim() != 2 or has_hooks(self) or not _is_linear(head):
            return None
        outputs = self._outputs((*layers, head), x, has_head=True)
        return outputs[-2], outputs[-1]

    @staticmethod
    def _outputs(layers: Sequence[nn.Module], x: th.Tensor, *, has_head: bool) -> tuple[th.Tensor, ...]:
        activation = _FAST[type(layers[1])]
        # Not by attribute: torch looks for those in Python.
        parameters: list[Any] = [layer._parameters[name] for layer in layers[0::2] for name in ("weight", "bias")]
        if not th.is_grad_enabled():
            return _mlp(activation, x, parameters, has_head)
        outputs: tuple[th.Tensor, ...] = _MlpFunction.apply(activation, has_head, x, *parameters)  # type: ignore[no-untyped-call]  # torch's apply is untyped
        return outputs

    def _mlp_layers(self) -> tuple[Any, ...]:
        """Return the layers where they are an MLP and nothing else, none otherwise."""
        layers = tuple(self._modules.values())
        if not layers or len(layers) % 2 or type(layers[1]) not in _FAST:
            return ()
        kind = type(layers[1])
        for linear, activation in zip(layers[0::2], layers[1::2], strict=True):
            if not _is_linear(linear) or type(activation) is not kind or has_hooks(activation):
                return ()
        return layers


def _is_linear(module: nn.Module | None) -> bool:
    return type(module) is nn.Linear and not has_hooks(module) and module.bias is not None


def heads_at_once(
    extractor: nn.Module, x: th.Tensor, action_net: nn.Module, value_net: nn.Module
) -> tuple[tuple[th.Tensor, th.Tensor], tuple[th.Tensor, th.Tensor]] | None:
    """Return the last hidden layers of actor and critic, each with its head's output; None where all must be called.

    :param extractor: The policy's ``mlp_extractor``.
    :param x: What both see, shape ``(batch, in_features)``.
    """
    if not is_simple_extractor(extractor, FastMlp) or not is_plain_eager(x):
        return None
    policy_net, own_value_net = extractor._modules["policy_net"], extractor._modules["value_net"]
    assert isinstance(policy_net, FastMlp)
    assert isinstance(own_value_net, FastMlp)
    actor, critic = policy_net.with_head(x, action_net), own_value_net.with_head(x, value_net)
    return None if actor is None or critic is None else (actor, critic)
