"""Whether modules do what their classes say and nothing else, so that a shorter way gives the same."""

from __future__ import annotations

import torch as th
from stable_baselines3.common.torch_layers import FlattenExtractor, MlpExtractor
from torch import nn
from torch.autograd import forward_ad
from torch.nn.modules.module import _has_any_global_hook

__all__ = ["changes_no_vector", "has_hooks", "is_in_mode", "is_plain_eager", "is_simple_extractor"]


def is_plain_eager() -> bool:
    """Tell whether torch is to compute nothing but numbers and gradients.

    Not so under autocast, ``torch.func``, forward-mode differentiation, compilation or tracing, or where a global hook
    wants to see every module.
    """
    return not (
        th._C._is_any_autocast_enabled()
        or th._C._are_functorch_transforms_active()
        or forward_ad._current_level >= 0
        or th.compiler.is_compiling()
        or th._C._get_tracing_state() is not None
        or _has_any_global_hook()  # type: ignore[no-untyped-call]  # torch's is untyped
    )


def has_hooks(module: nn.Module) -> bool:
    """Tell whether calling the module does more, or something else, than its class's ``forward``."""
    return bool(
        module._forward_hooks
        or module._forward_pre_hooks
        or module._backward_hooks
        or module._backward_pre_hooks
        or module._compiled_call_impl is not None
        or "forward" in module.__dict__
    )


def changes_no_vector(extractor: nn.Module, obs: th.Tensor) -> bool:
    """Tell whether a features extractor leaves observations of shape ``(batch, obs_dim)`` as they are."""
    if type(extractor) is not FlattenExtractor or obs.dim() != 2 or has_hooks(extractor):
        return False
    flatten = extractor._modules["flatten"]
    return type(flatten) is nn.Flatten and not has_hooks(flatten) and is_plain_eager()


def is_simple_extractor(extractor: nn.Module, kind: type[nn.Module]) -> bool:
    """Tell whether actor and critic are the two networks of SB3's own ``MlpExtractor``, and of this kind."""
    own, networks = extractor.__dict__, extractor._modules
    return (
        type(extractor) is MlpExtractor
        and not has_hooks(extractor)
        and "forward_actor" not in own
        and "forward_critic" not in own
        and type(networks["policy_net"]) is type(networks["value_net"]) is kind
    )


def is_in_mode(module: nn.Module, mode: bool) -> bool:
    """Tell whether a module and all below it are in training mode (or none of them)."""
    return module.training is mode and all(is_in_mode(m, mode) for m in module._modules.values() if m is not None)
