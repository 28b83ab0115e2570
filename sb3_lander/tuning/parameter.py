"""One hyperparameter that a search varies: a range or choices, as plain YAML.

By hand, since Optuna has distributions but no file format for them.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import optuna

_FORMS: dict[str | None, tuple[Callable[[Any], Any], Callable[[Any], float]]] = {
    None: (lambda x: x, float),
    "one_minus": (lambda x: 1.0 - x, lambda y: 1.0 - y),
    "power_of_2": (lambda x: 2**x, math.log2),
    "linear_schedule": (lambda x: f"lin_{x!r}", lambda y: float(y.removeprefix("lin_"))),
}
"""How a suggested number becomes a hyperparameter, and back: names, since nothing of ours needs ``eval``."""

_KEYS = {"low", "high", "log", "step", "choices", "as", "when"}


@dataclass(frozen=True)
class Parameter:
    """One hyperparameter that varies.

    :param name: Its key in the entry, with a dot for the keys of a mapping: ``gamma``, ``policy_kwargs.net_arch``.
    :param low: The smallest number; a range of whole numbers if this and ``high`` are whole.
    :param high: The largest number, included.
    :param log: Spread evenly over orders of magnitude.
    :param step: Only ``low`` and multiples of this above it.
    :param choices: Instead of a range: names, or plain values, and what each stands for.
    :param form: ``one_minus``, ``power_of_2`` or ``linear_schedule``: how the number becomes the hyperparameter.
    :param when: Varied only where each of these parameters, which stand above it, has this value, or one of this list.
    """

    name: str
    low: int | float = math.nan
    high: int | float = math.nan
    log: bool = False
    step: float | None = None
    choices: Mapping[Any, Any] | None = None
    form: str | None = None
    when: Mapping[str, Any] = field(default_factory=dict)

    @property
    def _is_whole(self) -> bool:
        return isinstance(self.low, int) and isinstance(self.high, int)

    def suggest(self, trial: optuna.trial.BaseTrial) -> Any:
        """Return Optuna's raw value: the number before ``form``, or the name of a choice."""
        if self.choices is not None:
            return trial.suggest_categorical(self.name, list(self.choices))
        if self._is_whole:
            return trial.suggest_int(self.name, int(self.low), int(self.high), step=int(self.step or 1), log=self.log)
        return trial.suggest_float(self.name, self.low, self.high, step=self.step, log=self.log)

    def value(self, raw: Any) -> Any:
        """Return the hyperparameter that a raw value stands for."""
        return _FORMS[self.form][0](raw) if self.choices is None else self.choices[raw]

    def raw(self, value: Any) -> Any:
        """Return the raw value that stands for a hyperparameter, the other way round; None if none does."""
        if self.choices is not None:
            return next((raw for raw, choice in self.choices.items() if choice == value), None)
        try:
            number = _FORMS[self.form][1](value)
        except (AttributeError, TypeError, ValueError):
            return None
        if not self.low <= number <= self.high:
            return None
        if not self._is_whole:
            return number  # Optuna rounds one with a step to it by itself.
        return None if (number - self.low) % int(self.step or 1) else int(number)

    def extremes(self) -> list[Any]:
        """Return the hyperparameter's values at the ends of the range, or all choices."""
        return [self.value(raw) for raw in ((self.low, self.high) if self.choices is None else self.choices)]

    def applies(self, chosen: Mapping[str, Any]) -> bool:
        """Tell whether the parameter is varied, given the raw values of those above it."""
        return all(name in chosen and chosen[name] in _as_list(wanted) for name, wanted in self.when.items())

    @classmethod
    def read(cls, name: str, text: Any, above: Mapping[str, "Parameter"]) -> "Parameter":
        """Read one parameter of a space.

        :raises ValueError: With the parameter's name and what is wrong.
        """
        found = _parse(name, text)
        for other, wanted in found.when.items():
            if other not in above:
                raise ValueError(f"{name}: 'when' names {other!r}, which does not stand above it")
            allowed = above[other].choices
            unknown = [one for one in _as_list(wanted) if allowed is not None and one not in list(allowed)]
            if unknown:
                raise ValueError(f"{name}: 'when' wants {other} to be {unknown[0]!r}, which is no choice of it")
        return found


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _parse(name: str, text: Any) -> Parameter:
    if not isinstance(text, Mapping) or not text or not set(text) <= _KEYS:
        raise ValueError(f"{name}: {text!r:.80} must be a mapping with keys among {', '.join(sorted(_KEYS))}")
    when, form = text.get("when"), text.get("as")
    when = {} if when is None else when
    if not isinstance(when, Mapping):
        raise ValueError(f"{name}: 'when' must map parameters to values, but is {when!r:.80}")
    if "choices" in text:
        if extra := sorted(set(text) - {"choices", "when"}):
            raise ValueError(f"{name}: {extra[0]!r} does not go with 'choices'")
        return Parameter(name, choices=_choices(name, text["choices"]), when=when)
    low, high = (_number(name, key, text.get(key)) for key in ("low", "high"))
    step, log = None if text.get("step") is None else _number(name, "step", text["step"]), text.get("log", False)
    if not low < high:
        raise ValueError(f"{name}: low={low!r} must be less than high={high!r}")
    if not isinstance(log, bool) or (log and (low <= 0 or step is not None)):
        raise ValueError(f"{name}: a log scale ({log!r}) needs low above 0 and no step")
    if step is not None and step <= 0:
        raise ValueError(f"{name}: step={step!r} must be above 0")
    if form not in _FORMS:
        raise ValueError(f"{name}: as={form!r} is unknown, choose one of {', '.join(filter(None, _FORMS))}")
    found = Parameter(name, low, high, log, step, None, form, when)
    if form == "power_of_2" and not found._is_whole:
        raise ValueError(f"{name}: powers of 2 need a range of whole numbers, not {low!r} to {high!r}")
    return found


def _number(name: str, key: str, value: Any) -> int | float:
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        raise ValueError(f"{name}: {key}={value!r} must be a number (YAML wants 1.0e-4, not 1e-4)")
    return value


def _choices(name: str, choices: Any) -> dict[Any, Any]:
    if isinstance(choices, Mapping) and choices:
        return {str(key): value for key, value in choices.items()}
    if not isinstance(choices, list) or not choices:
        raise ValueError(f"{name}: choices must be a list of values, or a mapping of names to values")
    if any(isinstance(choice, (list, Mapping)) for choice in choices):
        raise ValueError(f"{name}: choices that are lists or mappings need names: {{small: ..., large: ...}}")
    return {choice: choice for choice in choices}
