"""What a study may vary: plain YAML, or the RL Zoo's own ranges, and Optuna's suggestions from either."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import optuna

from sb3_lander.settings import default_space, merge_policy_kwargs, read_yaml

__all__ = ["Parameter", "SearchSpace", "YamlSpace", "ZooSpace", "plain", "read_space"]

_FORMS: dict[str, Callable[[Any], Any]] = {
    "one_minus": lambda x: 1.0 - x,
    "power_of_2": lambda x: 2**x,
    "linear_schedule": lambda x: f"lin_{x!r}",
}
"""How a suggested number becomes a hyperparameter: names instead of formulas, since nothing of ours needs ``eval``."""

_KEYS = {"low", "high", "log", "step", "choices", "as", "when"}


class SearchSpace(Protocol):
    """What a study may vary."""

    def suggest(self, trial: optuna.trial.BaseTrial) -> dict[str, Any]:
        """Return one choice, as changes to an entry of the hyperparameter files.

        :param trial: Optuna's trial, or an ``optuna.trial.FixedTrial`` to translate parameters that are known.
        """
        ...


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


class YamlSpace:
    """A space read from YAML, a mapping of hyperparameters to ranges or choices.

    An example::

        learning_rate: {low: 5.0e-4, high: 5.0e-3, log: true, as: linear_schedule}
        gamma: {low: 0.001, high: 0.02, log: true, as: one_minus}
        n_epochs: {low: 4, high: 12}
        policy_kwargs.net_arch: {choices: {small: {pi: [64, 64], vf: [64, 64]}, wide: {pi: [64, 64], vf: [128, 128]}}}
        policy_kwargs.std: {choices: [learned, fixed]}
        ent_coef: {low: 1.0e-5, high: 1.0e-2, log: true, when: {policy_kwargs.std: learned}}

    :param parameters: In the order in which they are suggested.
    :param content: What they were read from.
    """

    def __init__(self, parameters: Mapping[str, Parameter], content: Mapping[str, Any]) -> None:
        self.parameters = dict(parameters)
        self.content = content

    @classmethod
    def read(cls, path: str | Path) -> YamlSpace:
        """Read a file.

        :raises FileNotFoundError: If there is none.
        :raises ValueError: If it is no such mapping, or empty; the message names the file and the parameter.
        """
        content = read_yaml(path, "search space")
        try:
            return cls.parse(content)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error

    @classmethod
    def parse(cls, content: Any) -> YamlSpace:
        """Read a space from what YAML gave.

        :raises ValueError: If it is no such mapping, or empty; the message names the parameter.
        """
        if not isinstance(content, Mapping) or not content:
            raise ValueError(f"a search space must map hyperparameters to ranges, but this is {content!r:.80}")
        parameters: dict[str, Parameter] = {}
        for name, text in content.items():
            parameters[str(name)] = Parameter.read(str(name), text, parameters)
        return cls(parameters, content)

    def suggest(self, trial: optuna.trial.BaseTrial) -> dict[str, Any]:
        """Return one choice, as changes to an entry."""
        chosen: dict[str, Any] = {}
        changes: dict[str, Any] = {}
        for name, parameter in self.parameters.items():
            if parameter.applies(chosen):
                chosen[name] = parameter.suggest(trial)
                _put(changes, name, parameter.value(chosen[name]))
        return changes

    def extremes(self) -> Iterator[dict[str, Any]]:
        """Yield changes to an entry with one parameter at an end of its range, so that each can be checked."""
        for name, parameter in self.parameters.items():
            for value in parameter.extremes():
                changes: dict[str, Any] = {}
                _put(changes, name, value)
                yield changes


def _put(changes: dict[str, Any], name: str, value: Any) -> None:
    outer, _, inner = name.partition(".")
    if inner:
        changes.setdefault(outer, {})[inner] = value
    else:
        changes[outer] = value


class ZooSpace:
    """The ranges that the RL Zoo itself searches.

    :param algo: The Zoo's name of the algorithm.
    :param n_actions: The number of action dimensions, which some of the Zoo's ranges need.
    :param n_envs: The number of training environments.
    :raises ValueError: If the Zoo has none for the algorithm.
    """

    def __init__(self, algo: str, n_actions: int, n_envs: int) -> None:
        from rl_zoo3.hyperparams_opt import HYPERPARAMS_SAMPLER

        if algo not in HYPERPARAMS_SAMPLER:
            raise ValueError(
                f"neither we nor the Zoo have a search space for {algo}: write one, and give it with --space"
            )
        self._sample: Callable[..., dict[str, Any]] = HYPERPARAMS_SAMPLER[algo]
        self._arguments = (n_actions, n_envs, {"using_her_replay_buffer": False, "her_kwargs": {}})

    def suggest(self, trial: optuna.trial.BaseTrial) -> dict[str, Any]:
        """Return one choice, as changes to an entry; activations are torch's classes, see :func:`plain`."""
        return self._sample(trial, *self._arguments)


def read_space(path: str | Path | None, algo: str, n_actions: int, n_envs: int) -> SearchSpace:
    """Return the space of a file; without one, this package's for the algorithm, or else the Zoo's.

    :raises FileNotFoundError: If there is no such file.
    :raises ValueError: If the file cannot be used, or there is no space for the algorithm.
    """
    file = path if path is not None else default_space(algo)
    return ZooSpace(algo, n_actions, n_envs) if file is None else YamlSpace.read(file)


def plain(changes: Mapping[str, Any], entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return changes that YAML can hold: an activation of torch becomes its name, or the Zoo's string of Python.

    :param changes: Changes to the entry, with torch's classes as the Zoo's ranges have them.
    :param entry: The entry; its policy decides, for only this package's takes names.
    """
    classes = {key: value for key, value in (changes.get("policy_kwargs") or {}).items() if isinstance(value, type)}
    if not classes:
        return dict(changes)
    if str(entry["policy"]).startswith("sb3_lander."):
        names = {key: value.__name__.lower() for key, value in classes.items()}
        return {**changes, "policy_kwargs": {**changes["policy_kwargs"], **names}}
    merged = merge_policy_kwargs(entry, changes)["policy_kwargs"]
    arguments = [f"{key}={f'nn.{v.__name__}' if isinstance(v, type) else repr(v)}" for key, v in merged.items()]
    return {**changes, "policy_kwargs": f"dict({', '.join(arguments)})"}
