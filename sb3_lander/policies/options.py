"""Which of the policy's options make sense together: one clear error before anything is built."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from gymnasium import spaces

__all__ = ["STD_KINDS", "check_options", "checked_bounds"]

STD_KINDS = ("learned", "fixed", "state_dependent")


class Options(Protocol):
    """What is checked of a policy."""

    bounded_mean: bool
    std: str
    log_std_bounds: tuple[float, float] | None
    noise_correlation: float
    mirror: str | Mapping[str, Any] | None
    value_scale: float


def checked_bounds(bounds: Sequence[float] | None) -> tuple[float, float] | None:
    """Return the log std's bounds as a pair.

    :raises ValueError: If they are no ``(low, high)`` with low < high.
    """
    if bounds is None:
        return None
    values = tuple(float(b) for b in bounds)
    if len(values) != 2 or not values[0] < values[1]:
        raise ValueError(f"log_std_bounds={bounds!r} must be (low, high) with low < high")
    return values


def check_options(policy: Options, action_space: spaces.Space[Any], *, log_std_init: float, use_sde: bool) -> None:
    """Refuse options of a policy, which is not built yet, that make no sense for the action space or together.

    :raises ValueError: At the first of them.
    """
    std, log_std_bounds, noise_correlation = policy.std, policy.log_std_bounds, policy.noise_correlation
    if std not in STD_KINDS:
        raise ValueError(f"std={std!r} is unknown, choose one of {', '.join(STD_KINDS)}")
    if not policy.value_scale > 0:
        raise ValueError(f"value_scale={policy.value_scale} must be positive")
    if not 0 <= noise_correlation < 1:
        raise ValueError(f"noise_correlation={noise_correlation} must be at least 0 and below 1")
    gaussian = {
        "bounded_mean": policy.bounded_mean,
        f"std={std!r}": std != "learned",
        "log_std_bounds": log_std_bounds is not None,
        "noise_correlation": noise_correlation > 0,
    }
    asked = [name for name, is_asked in gaussian.items() if is_asked]
    if asked and not isinstance(action_space, spaces.Box):
        raise ValueError(f"{', '.join(asked)}: needs a Box action space, got {action_space}")
    if policy.mirror is not None:
        asked.append("mirror")
    if asked and use_sde:
        raise ValueError(f"{', '.join(asked)}: not available with use_sde=True, gSDE makes its own mean and noise")
    if std == "fixed" and log_std_bounds is not None:
        raise ValueError(f"log_std_bounds={log_std_bounds}: a fixed std never moves, leave the bounds out")
    if log_std_bounds is not None and not log_std_bounds[0] <= log_std_init <= log_std_bounds[1]:
        raise ValueError(f"log_std_init={log_std_init} lies outside log_std_bounds={log_std_bounds}")
    if policy.bounded_mean and isinstance(action_space, spaces.Box) and not action_space.is_bounded():
        raise ValueError(f"bounded_mean: needs finite action bounds, got {action_space}")
