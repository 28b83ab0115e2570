"""What a benchmark trains and how it watches: Recipe and Measurement."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import yaml

from sb3_lander.runs.entries import default_config


@dataclass(frozen=True)
class Recipe:
    """What is trained: an algorithm and its hyperparameters, as a change to an entry of a YAML file."""

    name: str
    """How results call it."""

    config: str = "ppo"
    """A name that ``python -m sb3_lander config`` knows, ``zoo`` for the RL Zoo's own entry, or a YAML file's path."""

    algo: str = "ppo"
    """The Zoo's name of the algorithm."""

    changes: Mapping[str, Any] = field(default_factory=dict)
    """Hyperparameters over the entry's; ``policy_kwargs`` are merged; a value of None takes the key out."""

    vec_env: str = "dummy"
    """``dummy`` or ``subproc``, as the Zoo's ``--vec-env``."""

    base: Mapping[str, Any] | None = None
    """An entry to change instead of that in :attr:`config`, for any environment."""

    watch: Mapping[str, Any] = field(default_factory=dict)
    """Fields of :class:`Measurement` that differ for this recipe, as ``{until_solved: true}`` for a baseline."""

    def entry(self, env_id: str) -> dict[str, Any]:
        """Return the hyperparameters for an environment, in the Zoo's format.

        :raises ValueError: If the file has no entry for the environment.
        """
        if self.base is not None:
            return _changed(self.base, self.changes)
        path = self._path()
        entries = yaml.safe_load(path.read_text())
        if env_id not in entries:
            raise ValueError(f"recipe {self.name}: {path} has no entry for {env_id}")
        return _changed(entries[env_id], self.changes)

    def _path(self) -> Path:
        if self.config == "zoo":
            import rl_zoo3

            return Path(rl_zoo3.__file__).parent / "hyperparams" / f"{self.algo}.yml"
        path = Path(self.config)
        return path if path.suffix in (".yml", ".yaml") else default_config(self.config)


def _changed(entry: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(entry)
    for key, value in changes.items():
        if value is None:
            result.pop(key, None)
        elif key == "policy_kwargs" and isinstance(value, Mapping):
            result[key] = _changed(result.get(key, {}), value)
        else:
            result[key] = value
    return result


@dataclass(frozen=True)
class Measurement:
    """How a training is watched; everything that may differ between two benchmarks of the same recipe."""

    env_id: str = "LunarLanderContinuous-v3"
    """Environment to train and to be evaluated on."""

    targets: tuple[float, ...] = (200.0, 250.0)
    """Mean returns over 100 fixed tasks whose time is recorded."""

    hold: float = 0.1
    """For which share of its steps a target must hold, see :class:`~sb3_lander.benchmark.target.Target`."""

    eval_every: int = 4096
    """Environment steps between two evaluations until every target is reached."""

    evaluate_on: str = "gymnasium"
    """``gymnasium`` for the fixed tasks; ``envpool`` for 48 episodes there: quicker, for searches, no curve."""

    curve_points: int = 20
    """Evaluations spread over the whole budget, for the learning curve."""

    budget: int | None = None
    """Environment steps; the recipe's own ``n_timesteps`` when None. Schedules stretch over it."""

    until_solved: bool = False
    """End as soon as every target is reached, without changing the schedules."""

    steps_limit: int | None = None
    """End after this many environment steps at the latest, without changing the schedules."""

    final_episodes: int = 1000
    """Tasks of the final report; 0 for none."""

    final_first_seed: int = 50_000_000
    """First seed of those tasks; nothing may be selected on the default's."""

    zoo_evaluations: bool = True
    """Let the Zoo's own EvalCallback run at its defaults, as in ``python -m rl_zoo3.train``, and tell what it costs."""

    def __post_init__(self) -> None:
        if self.evaluate_on not in ("gymnasium", "envpool"):
            raise ValueError(f"evaluate_on={self.evaluate_on!r} must be 'gymnasium' or 'envpool'")
        if not 0.0 <= self.hold < 1.0:
            raise ValueError(f"hold={self.hold} must be a share of the steps, at least 0 and below 1")

    def for_recipe(self, recipe: Recipe) -> Measurement:
        """Return how this recipe is watched.

        :raises ValueError: If the recipe names a field that does not exist.
        """
        unknown = set(recipe.watch) - {f.name for f in fields(self)}
        if unknown:
            raise ValueError(f"recipe {recipe.name}: watch has no {', '.join(sorted(unknown))}")
        return replace(self, **recipe.watch)
