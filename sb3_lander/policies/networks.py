"""What the policy is made of: activations by name, a bounded mean, MLPs with a hand-written backward pass."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
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


def _sum(a: th.Tensor | None, b: th.Tensor | None) -> th.Tensor | None:
    return b if a is None else a if b is None else a + b


class _Layers(NamedTuple):
    """An MLP's linear layers, with what comes between them."""

    activation: _Activation
    parameters: Sequence[th.Tensor]
    """Weight and bias of each."""

    has_head: bool
    """Whether nothing comes after the last one."""

    def outputs(self, x: th.Tensor, parameters: Sequence[th.Tensor]) -> list[th.Tensor]:
        """Return every layer's output: activated ones, and last the head's, if there is one."""
        outputs: list[th.Tensor] = []
        last = len(parameters) // 2 - 1 if self.has_head else -1
        for i, (weight, bias) in enumerate(zip(parameters[0::2], parameters[1::2], strict=True)):
            x = th.addmm(bias, x, weight.t())
            outputs.append(x if i == last else self.activation.apply_(x))
        return outputs

    def gradients(
        self,
        inputs: Sequence[th.Tensor],
        weights: Sequence[th.Tensor],
        grads: Sequence[th.Tensor | None],
        needed: Sequence[bool],
        needs_x: bool,
    ) -> tuple[th.Tensor | None, list[th.Tensor | None]]:
        """Return the gradients of what goes in and of each parameter, from those of the outputs."""
        result: list[th.Tensor | None] = [None] * len(needed)
        below = None
        for i in reversed(range(len(grads))):
            grad = _sum(below, grads[i])
            if grad is None:
                continue
            if i < len(grads) - self.has_head:
                # Where the gradient is itself derived from, or is another node's own, it must stay as it is.
                into = {} if grad is grads[i] or th.is_grad_enabled() else {"grad_input": grad}
                grad = self.activation.backward(grad, inputs[i + 1], **into)
            x = inputs[i]
            if needed[2 * i]:
                # The same product either way round; with few inputs the second is three times faster.
                result[2 * i] = grad.t() @ x if x.shape[1] >= grad.shape[1] else (x.t() @ grad).t()
            if needed[2 * i + 1]:
                result[2 * i + 1] = grad.sum(0)
            below = grad @ weights[i] if needs_x or any(needed[: 2 * i]) else None
        return below, result


class _MlpFunction(th.autograd.Function):
    """MLPs that see the same as one node of the graph.

    All layers are outputs, so that the backward pass is itself differentiable (TRPO needs that).
    """

    @staticmethod
    def forward(ctx: Any, mlps: Sequence[_Layers], x: th.Tensor, *parameters: th.Tensor) -> tuple[th.Tensor, ...]:
        outputs: list[th.Tensor] = []
        saved = [x]
        for mlp in mlps:
            own = parameters[2 * len(outputs) :][: len(mlp.parameters)]
            layers = mlp.outputs(x, own)
            outputs += layers
            saved += [*(layers[:-1] if mlp.has_head else layers), *own[0::2]]
        ctx.mlps = mlps
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(*saved)
        return tuple(outputs)

    @staticmethod
    def backward(ctx: Any, *grads: th.Tensor | None) -> tuple[th.Tensor | None, ...]:
        _, needs_x, *needed = ctx.needs_input_grad
        x, *saved = ctx.saved_tensors
        grad_x: th.Tensor | None = None
        result: list[th.Tensor | None] = []
        done = 0
        for mlp in ctx.mlps:
            n = len(mlp.parameters) // 2
            hidden = n - mlp.has_head
            layers, weights, saved = (x, *saved[:hidden]), saved[hidden : hidden + n], saved[hidden + n :]
            below, own = mlp.gradients(
                layers, weights, grads[done : done + n], needed[2 * done : 2 * (done + n)], needs_x
            )
            grad_x = _sum(grad_x, below)
            result += own
            done += n
        return None, grad_x, *result


def _run(mlps: Sequence[_Layers], x: th.Tensor) -> list[Sequence[th.Tensor]]:
    """Return the outputs of each of one or two MLPs."""
    if not th.is_grad_enabled():
        return [mlp.outputs(x, mlp.parameters) for mlp in mlps]
    parameters = [parameter for mlp in mlps for parameter in mlp.parameters]
    outputs = _MlpFunction.apply(mlps, x, *parameters)  # type: ignore[no-untyped-call]  # torch's apply is untyped
    first = len(mlps[0].parameters) // 2
    return [outputs[:first], outputs[first:]]


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
        mlp = self.mlp()
        if mlp is None or x.dim() != 2 or not is_plain_eager():
            plain: th.Tensor = super().forward(x)  # type: ignore[no-untyped-call]  # torch's is untyped
            return plain
        return _run([mlp], x)[0][-1]

    def mlp(self, *head: nn.Module) -> _Layers | None:
        """Return the layers, and a head's, where they are an MLP and nothing else."""
        layers: tuple[Any, ...] = (*self._modules.values(), *head)
        activation = _activation(tuple(map(type, layers)))
        if activation is None or len(layers) % 2 != len(head) or any(map(has_hooks, layers)):
            return None
        parameters: list[th.Tensor] = []
        for layer in layers[::2]:
            own = layer._parameters  # not by attribute: torch looks for those in Python
            if own["bias"] is None:
                return None
            parameters += own["weight"], own["bias"]
        return _Layers(activation, parameters, bool(head))


@functools.cache
def _activation(kinds: tuple[type, ...]) -> _Activation | None:
    """Return what comes between linear layers; None for layers of other kinds."""
    between = kinds[1] if len(kinds) > 1 else None
    is_mlp = all(kind is (between if i % 2 else nn.Linear) for i, kind in enumerate(kinds))
    return _FAST.get(between) if is_mlp else None  # type: ignore[arg-type]  # None is in no dict


def heads_at_once(
    modules: Mapping[str, Any], x: th.Tensor
) -> tuple[tuple[th.Tensor, th.Tensor], tuple[th.Tensor, th.Tensor]] | None:
    """Return the last hidden layers of actor and critic, each with its head's output; None where all must be called.

    :param modules: The policy's: ``mlp_extractor``, ``action_net`` and ``value_net``.
    :param x: What both see, shape ``(batch, in_features)``.
    """
    extractor = modules["mlp_extractor"]
    if not is_simple_extractor(extractor, FastMlp) or not is_plain_eager():
        return None
    mlps = []
    for name, head in (("policy_net", "action_net"), ("value_net", "value_net")):
        net = extractor._modules[name]
        if has_hooks(net) or (mlp := net.mlp(modules[head])) is None:
            return None
        mlps.append(mlp)
    actor, critic = _run(mlps, x)
    return (actor[-2], actor[-1]), (critic[-2], critic[-1])
