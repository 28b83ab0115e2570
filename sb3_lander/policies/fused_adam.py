"""FusedAdam: torch's Adam with one lean kernel for a whole step, and with Adam's own state."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import torch as th
from torch.optim import Adam, AdamW, Optimizer

__all__ = ["FusedAdam", "FusedAdamW", "fused_class", "split_flat_state"]

_ADAM_STEP = inspect.unwrap(Adam.step)
"""Without torch's wrappers: :meth:`FusedAdam.step` has got them already, and hooks are to run once."""

_HOW_TO_STEP = ("capturable", "differentiable", "foreach", "fused")
"""The options that tell Adam itself how to compute its step."""


class FusedAdam(Adam):
    """Adam whose step is one kernel on the CPU, with next to no time spent on getting there.

    Whoever looks at it sees Adam: its parameter groups, its state of each parameter, its ``state_dict`` without a trace
    of how the steps were computed. What the kernel is not made for (several groups, a parameter without a gradient, a
    closure, another device) is left to Adam's own step, each time anew. The results differ from Adam's by float
    rounding only.
    """

    # The counts of all parameters' steps in one tensor, and each parameter's view of it.
    _counts = th.empty(0)
    _views: tuple[th.Tensor, ...] = ()

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients, as every optimizer does."""
        if not set_to_none:
            super().zero_grad(set_to_none=False)
            return
        for group in self.param_groups:
            for parameter in group["params"]:
                parameter.grad = None

    @th.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]  # torch has overloads
        """Move the parameters.

        :param closure: Computes the loss and its gradients anew.
        :return: What the closure returned.
        """
        if closure is None and len(self.param_groups) == 1 and self._step_at_once(self.param_groups[0]):
            return None
        loss: float | None = _ADAM_STEP(self, closure)
        return loss

    def _step_at_once(self, group: Mapping[str, Any]) -> bool:
        """Make the step if the kernel can, and tell whether it could."""
        if group["amsgrad"] or any(group[key] for key in _HOW_TO_STEP) or isinstance(group["lr"], th.Tensor):
            return False
        parameters = group["params"]
        states = [self.state.get(p) for p in parameters]
        if not all(states):  # before the first step
            return False
        gradients = [p.grad for p in parameters]
        first, second, counts = ([s[key] for s in states] for key in ("exp_avg", "exp_avg_sq", "step"))  # type: ignore[index]  # not None
        for tensors in (parameters, gradients, first, second):
            for tensor in tensors:
                # The kernel walks through the memory of all four side by side.
                if tensor is None or tensor.dtype is not th.float32 or not tensor.is_cpu or not tensor.is_contiguous():
                    return False
        if len(counts) != len(self._views) or any(c is not v for c, v in zip(counts, self._views, strict=True)):
            self._counts = th.stack([c.to("cpu", th.float32) for c in counts])
            self._views = self._counts.unbind()
            for state, view in zip(states, self._views, strict=True):
                state["step"] = view  # type: ignore[index]  # not None
        self._counts.add_(1.0)
        (th._fused_adamw_ if group["decoupled_weight_decay"] else th._fused_adam_)(
            parameters,
            gradients,
            first,
            second,
            [],
            self._views,
            lr=group["lr"],
            beta1=group["betas"][0],
            beta2=group["betas"][1],
            weight_decay=group["weight_decay"],
            eps=group["eps"],
            amsgrad=False,
            maximize=group["maximize"],
        )
        return True


class FusedAdamW(FusedAdam, AdamW):
    """:class:`FusedAdam` for AdamW."""


def fused_class(optimizer_class: type[Optimizer], kwargs: Mapping[str, Any]) -> type[Optimizer]:
    """Return the class that computes the same steps faster; the class itself where there is none.

    :param optimizer_class: The class that was asked for. Only torch's own Adam and AdamW have a faster one.
    :param kwargs: Its arguments; one that tells Adam how to compute its steps is obeyed.
    """
    if any(kwargs.get(key) is not None for key in _HOW_TO_STEP):
        return optimizer_class
    faster: dict[type[Optimizer], type[Optimizer]] = {Adam: FusedAdam, AdamW: FusedAdamW}
    return faster.get(optimizer_class, optimizer_class)


def split_flat_state(optimizer: Optimizer, state_dict: dict[str, Any]) -> dict[str, Any] | None:
    """Turn the state that ``fast`` saved up to version 0.1, of one tensor with all parameters, into each parameter's.

    A pre-hook of ``Optimizer.load_state_dict``.

    :return: The state in torch's format; None where it is in that format already.
    """
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    sizes = [p.numel() for p in parameters]
    saved = state_dict["param_groups"]
    if len(optimizer.param_groups) != 1 or len(sizes) == 1 or [group["params"] for group in saved] != [[0]]:
        return None
    flat = state_dict["state"].get(0, {})
    if any(value.numel() not in (1, sum(sizes)) for value in flat.values()):
        return None
    state: dict[int, dict[str, th.Tensor]] = {i: {} for i in range(len(sizes))} if flat else {}
    for key, value in flat.items():
        # A count of steps is the same for all.
        parts = value.split(sizes) if value.numel() == sum(sizes) else [value] * len(sizes)
        for i, (part, parameter) in enumerate(zip(parts, parameters, strict=True)):
            state[i][key] = part.clone().view_as(parameter) if part.dim() else part.clone()
    # It was fused because ``fast`` asked for that, not the user.
    group = {**saved[0], "params": list(range(len(sizes))), "fused": optimizer.defaults.get("fused")}
    return {**state_dict, "state": state, "param_groups": [group]}
