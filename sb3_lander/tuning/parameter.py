"""One hyperparameter that a search varies: a range or choices, as plain YAML.

By hand, since Optuna has distributions but no file format for them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import optuna

__all__ = ["Parameter"]

_FORMS: dict[str, Callable[[Any], Any]] = {
    "one_minus": lambda x: 1.0 - x,
    "power_of_2": lambda x: 2**x,
    "linear_schedule": lambda x: f"lin_{x!r}",
}
"""How a suggested number becomes a hyperparameter: names instead of formulas, since nothing of ours needs ``eval``."""

_INVERSES: dict[str, Callable[[Any], float]] = {
    "one_minus": lambda y: 1.0 - y,
    "power_of_2": math.log2,
    "linear_schedule": lambda y: float(y.removeprefix("lin_")) if isinstance(y, str) else math.nan,
}
"""The same the other way round; ``nan`` is in no range."""

_KEYS = {"low", "high", "log", "step", "choices", "as", "when"}


@dataclass(frozen=True)
class Parameter:
    """One hyperparameter that varies."""

    name: str
    """Its key in the entry, with a dot for the keys of a mapping: ``learning_rate``, ``policy_kwargs.net_arch``."""

    low: int | float | None = None
    """The smallest number; a range of whole numbers if this and :attr:`high` are whole."""

    high: int | float | None = None
    """The largest number, included."""

    log: bool = False
    """Spread evenly over orders of magnitude."""

    step: float | None = None
    """Only :attr:`low` and multiples of this above it."""

    choices: Mapping[str, Any] | tuple[Any, ...] | None = None
    """Instead of a range: plain values, or names and what each stands for."""

    form: str | None = None
    """``one_minus``, ``power_of_2`` or ``linear_schedule``: how the suggested number becomes the hyperparameter."""

    when: Mapping[str, Any] | None = None
    """Varied only where each of these parameters, which stand above it, has this value, or one of this list."""

    def suggest(self, trial: optuna.trial.BaseTrial) -> Any:
        """Return Optuna's raw value: the number before :attr:`form`, or the name of a choice."""
        if self.choices is not None:
            return trial.suggest_categorical(self.name, list(self.choices))
        low, high = self.low, self.high
        assert low is not None
        assert high is not None
        if isinstance(low, int) and isinstance(high, int):
            return trial.suggest_int(self.name, low, high, step=int(self.step or 1), log=self.log)
        return trial.suggest_float(self.name, low, high, step=self.step, log=self.log)

    def value(self, raw: Any) -> Any:
        """Return the hyperparameter that a raw value stands for."""
        if isinstance(self.choices, Mapping):
            return self.choices[raw]
        return raw if self.form is None else _FORMS[self.form](raw)

    def raw(self, value: Any) -> Any:
        """Return the raw value that stands for a hyperparameter, the other way round; None if none does."""
        if isinstance(self.choices, Mapping):
            return next((name for name, choice in self.choices.items() if choice == value), None)
        if self.choices is not None:
            return value if value in self.choices else None
        assert self.low is not None
        assert self.high is not None
        try:
            number = float(value) if self.form is None else _INVERSES[self.form](value)
        except (TypeError, ValueError):
            return None
        if not self.low <= number <= self.high:
            return None
        if isinstance(self.low, int) and isinstance(self.high, int):
            return int(number) if number.is_integer() and (int(number) - self.low) % int(self.step or 1) == 0 else None
        # Optuna rounds a float with a step to it by itself.
        return number

    def extremes(self) -> list[Any]:
        """Return the hyperparameter's values at the ends of the range, or all choices."""
        raw = list(self.choices) if self.choices is not None else [self.low, self.high]
        return [self.value(one) for one in raw]

    def applies(self, chosen: Mapping[str, Any]) -> bool:
        """Tell whether the parameter is varied, given the raw values of those above it."""
        for name, wanted in (self.when or {}).items():
            if name not in chosen or chosen[name] not in _as_list(wanted):
                return False
        return True

    @classmethod
    def read(cls, name: str, text: Any, above: Mapping[str, Parameter]) -> Parameter:
        """Read one parameter of a space.

        :raises ValueError: With the parameter's name and what is wrong.
        """
        found = _parse(cls, name, text)
        for other, wanted in (found.when or {}).items():
            if other not in above:
                raise ValueError(f"{name}: 'when' names {other!r}, which does not stand above it")
            allowed = above[other].choices
            unknown = [] if allowed is None else [w for w in _as_list(wanted) if w not in list(allowed)]
            if unknown:
                raise ValueError(f"{name}: 'when' wants {other} to be {unknown[0]!r}, which is no choice of it")
        return found


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _parse(cls: type[Parameter], name: str, text: Any) -> Parameter:
    if not isinstance(text, Mapping) or not text or not set(text) <= _KEYS:
        raise ValueError(f"{name}: {text!r:.80} must be a mapping with keys among {', '.join(sorted(_KEYS))}")
    when, form = text.get("when"), text.get("as")
    if when is not None and not isinstance(when, Mapping):
        raise ValueError(f"{name}: 'when' must map parameters to values, but is {when!r:.80}")
    if "choices" in text:
        if extra := sorted(set(text) - {"choices", "when"}):
            raise ValueError(f"{name}: {extra[0]!r} does not go with 'choices'")
        return cls(name, choices=_choices(name, text["choices"]), when=when)
    low, high = (_number(name, key, text.get(key)) for key in ("low", "high"))
    step, log = None if text.get("step") is None else _number(name, "step", text["step"]), text.get("log", False)
    if not low < high:
        raise ValueError(f"{name}: low={low!r} must be less than high={high!r}")
    if not isinstance(log, bool) or (log and (low <= 0 or step is not None)):
        raise ValueError(f"{name}: a log scale ({log!r}) needs low above 0 and no step")
    if step is not None and step <= 0:
        raise ValueError(f"{name}: step={step!r} must be above 0")
    if form is not None and form not in _FORMS:
        raise ValueError(f"{name}: as={form!r} is unknown, choose one of {', '.join(_FORMS)}")
    if form == "power_of_2" and not (isinstance(low, int) and isinstance(high, int)):
        raise ValueError(f"{name}: powers of 2 need a range of whole numbers, not {low!r} to {high!r}")
    return cls(name, low, high, log, step, None, form, when)


def _number(name: str, key: str, value: Any) -> int | float:
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        raise ValueError(f"{name}: {key}={value!r} must be a number (YAML wants 1.0e-4, not 1e-4)")
    return value


def _choices(name: str, choices: Any) -> Mapping[str, Any] | tuple[Any, ...]:
    if isinstance(choices, Mapping) and choices:
        return {str(key): value for key, value in choices.items()}
    if not isinstance(choices, list) or not choices:
        raise ValueError(f"{name}: choices must be a list of values, or a mapping of names to values")
    if any(isinstance(choice, (list, Mapping)) for choice in choices):
        raise ValueError(f"{name}: choices that are lists or mappings need names: {{small: ..., large: ...}}")
    return tuple(choices)
