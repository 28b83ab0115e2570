"""FlatParameters: all parameters of a policy in one tensor, so that an optimizer's step is a few kernels."""

from __future__ import annotations

from typing import Any

import torch as th
from torch import nn

__all__ = ["FlatParameters"]


class FlatParameters:
    """One tensor that a module's parameters are views of, and one that their gradients are views of.

    The optimizer and the clipping of the gradient's norm then work on one tensor instead of a dozen small ones, where
    nearly all of their time goes into getting started. The mathematics is the same, since Adam and the like treat every
    number alike and the norm of all gradients is the norm of the one. The module keeps its own parameters, so its
    ``state_dict`` has the usual keys.

    Code that takes a parameter out of the flat tensor (``parameter.data = ...``, ``parameter.grad = None``,
    ``module.to(device)``, unpickling) is allowed for: what left is brought back before the next step.

    :param parameters: The module's parameters, all of one dtype and on one device.
    :param optimizer: The optimizer made for these parameters, not yet used; it gets the flat one instead.
    """

    def __init__(self, parameters: list[nn.Parameter], optimizer: th.optim.Optimizer) -> None:
        self._parameters = parameters
        self.flat = nn.Parameter(th.empty(0))
        self._views: list[th.Tensor] = []
        self._gradients: list[th.Tensor] = []
        self._link()
        (group,) = optimizer.param_groups
        group["params"] = [self.flat]
        self.attach(optimizer)

    def attach(self, optimizer: th.optim.Optimizer) -> None:
        """Make an optimizer of the flat parameter keep the views in order; anew after it was copied or unpickled."""
        optimizer.zero_grad = self._zero_grad  # type: ignore[method-assign]  # torch has a hook for step() only
        optimizer.register_step_pre_hook(self.restore)

    def _link(self) -> None:
        """Make the parameters views of the flat one. Their present values count."""
        parameters = self._parameters
        self.flat.data = th.cat([p.detach().flatten() for p in parameters])
        gradients = [th.zeros_like(p) if p.grad is None else p.grad for p in parameters]
        self.flat.grad = th.cat([g.flatten() for g in gradients])
        sizes = [p.numel() for p in parameters]
        self._views = [v.view_as(p) for v, p in zip(th.split(self.flat.data, sizes), parameters, strict=True)]
        self._gradients = [g.view_as(p) for g, p in zip(th.split(self.flat.grad, sizes), parameters, strict=True)]
        for parameter, view, gradient in zip(parameters, self._views, self._gradients, strict=True):
            parameter.data = view
            parameter.grad = gradient

    def is_linked(self) -> bool:
        """Tell whether the parameters and their gradients are still the views that they were made."""
        return self.flat.grad is not None and all(
            p.grad is gradient and p.data_ptr() == view.data_ptr()
            for p, view, gradient in zip(self._parameters, self._views, self._gradients, strict=True)
        )

    def restore(self, *_: Any) -> None:
        """Bring back what left the flat tensor."""
        if not self.is_linked():
            self._link()

    def _zero_grad(self, set_to_none: bool = True) -> None:
        """Set all gradients to zero; never to None, which would take them out of the flat one."""
        self.restore()
        assert self.flat.grad is not None
        self.flat.grad.zero_()
