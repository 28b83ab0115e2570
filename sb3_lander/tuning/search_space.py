"""What a study may vary: plain YAML, or the RL Zoo's own ranges, and Optuna's suggestions from either."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna

from sb3_lander.runs.entries import default_space, merge_kwargs, read_yaml
from sb3_lander.tuning.parameter import Parameter


@dataclass(frozen=True)
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

    parameters: Mapping[str, Parameter]
    content: Mapping[str, Any]

    @classmethod
    def read(cls, path: str | Path) -> "YamlSpace":
        """Read a file, as :meth:`parse`; its name is in the message of an error.

        :raises FileNotFoundError: If there is none.
        """
        content = read_yaml(path, "search space")
        try:
            return cls.parse(content)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error

    @classmethod
    def parse(cls, content: Any) -> "YamlSpace":
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
        """Return one choice, as changes to an entry.

        :param trial: Optuna's trial, or an ``optuna.trial.FixedTrial`` to translate parameters that are known.
        """
        chosen: dict[str, Any] = {}
        changes: dict[str, Any] = {}
        for name, parameter in self.parameters.items():
            if parameter.applies(chosen):
                chosen[name] = parameter.suggest(trial)
                _put(changes, name, parameter.value(chosen[name]))
        return changes

    def locate(self, entry: Mapping[str, Any]) -> dict[str, Any]:
        """Return Optuna's parameters that give an entry's own values, as far as they lie in the ranges."""
        chosen: dict[str, Any] = {}
        for name, parameter in self.parameters.items():
            outer, _, inner = name.partition(".")
            found = entry.get(outer, {}) if inner else entry
            if parameter.applies(chosen) and isinstance(found, Mapping) and (inner or outer) in found:
                raw = parameter.raw(found[inner or outer])
                if raw is not None:
                    chosen[name] = raw
        return chosen

    def extremes(self) -> Iterator[dict[str, Any]]:
        """Yield changes to an entry with one parameter at an end of its range, so that each can be checked."""
        for name, parameter in self.parameters.items():
            yield from (_put({}, name, value) for value in parameter.extremes())


def _put(changes: dict[str, Any], name: str, value: Any) -> dict[str, Any]:
    outer, _, inner = name.partition(".")
    if inner:
        changes.setdefault(outer, {})[inner] = value
    else:
        changes[outer] = value
    return changes


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
            raise ValueError(f"neither we nor the Zoo have a search space for {algo}: write one, give it with --space")
        self._sample: Callable[..., dict[str, Any]] = HYPERPARAMS_SAMPLER[algo]
        self._arguments = (n_actions, n_envs, {"using_her_replay_buffer": False, "her_kwargs": {}})

    def suggest(self, trial: optuna.trial.BaseTrial) -> dict[str, Any]:
        """Return one choice, as changes to an entry; activations are torch's classes, see :func:`plain`."""
        return self._sample(trial, *self._arguments)

    def locate(self, entry: Mapping[str, Any]) -> dict[str, Any]:
        """Return nothing: what the Zoo's parameters stand for is known to its own functions alone."""
        return {}


SearchSpace = YamlSpace | ZooSpace  # what a study may vary


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
    merged = merge_kwargs(entry, changes)["policy_kwargs"]
    arguments = [f"{key}={f'nn.{v.__name__}' if isinstance(v, type) else repr(v)}" for key, v in merged.items()]
    return {**changes, "policy_kwargs": f"dict({', '.join(arguments)})"}
