"""What a benchmark trains and how it watches: Recipe and Measurement."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from importlib.resources import files
from pathlib import Path
from typing import Any

from sb3_lander.runs.entries import MERGED, default_config, merge_kwargs, read_entry


@dataclass(frozen=True)
class Recipe:
    """What is trained: an algorithm and its hyperparameters, as a change to an entry of a YAML file.

    :param name: How results call it.
    :param config: A name that ``sb3_lander config`` knows, ``zoo`` for the RL Zoo's own entry, or a YAML file's path.
    :param algo: The Zoo's name of the algorithm.
    :param changes: Hyperparameters over the entry's. ``policy_kwargs``, ``replay_buffer_kwargs``, ``env_kwargs`` and
        ``normalize`` are merged. A value of None takes the key out.
    :param vec_env: ``dummy`` or ``subproc``, as the Zoo's ``--vec-env``.
    :param base: An entry to change instead of that in ``config``, for any environment.
    :param watch: Fields of :class:`Measurement` that differ for this recipe, as ``{until_solved: true}``.
    """

    name: str
    config: str = "ppo"
    algo: str = "ppo"
    changes: Mapping[str, Any] = field(default_factory=dict)
    vec_env: str = "dummy"
    base: Mapping[str, Any] | None = None
    watch: Mapping[str, Any] = field(default_factory=dict)

    def entry(self, env_id: str) -> dict[str, Any]:
        """Return the hyperparameters for an environment, in the Zoo's format.

        :raises ValueError: If the file has no entry for the environment.
        """
        if self.base is not None:
            return _changed(self.base, self.changes)
        path = Path(self.config)
        if self.config == "zoo":
            path = Path(str(files("rl_zoo3") / "hyperparams" / f"{self.algo}.yml"))
        elif path.suffix not in (".yml", ".yaml"):
            path = default_config(self.config)
        return _changed(read_entry(path, env_id), self.changes)


def _changed(entry: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    changed = {**entry, **merge_kwargs(entry, changes)}
    for key in MERGED:
        if isinstance(changes.get(key), Mapping):
            changed[key] = _without_none(changed[key], changes[key])
    return _without_none(changed, changes)


def _without_none(changed: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in changed.items() if value is not None or key not in changes}


@dataclass(frozen=True)
class Measurement:
    """How a training is watched; everything that may differ between two benchmarks of the same recipe.

    :param env_id: Environment to train and to be evaluated on.
    :param targets: Mean returns over 100 fixed tasks whose time is recorded.
    :param hold: Share of its steps, below 1, for which a target must hold, see :mod:`sb3_lander.benchmark.target`.
    :param eval_every: Environment steps between two evaluations until every target is reached.
    :param evaluate_on: ``gymnasium`` for the fixed tasks; ``envpool`` for 48 episodes there: quicker, without a curve.
    :param curve_points: Evaluations spread over the whole budget, for the learning curve.
    :param budget: Environment steps, over which schedules stretch; the recipe's own ``n_timesteps`` when None.
    :param until_solved: End as soon as every target is reached, without changing the schedules.
    :param steps_limit: End after this many environment steps at the latest, without changing the schedules.
    :param final_episodes: Tasks of the final report; 0 for none.
    :param final_first_seed: First seed of those tasks; nothing may be selected on the default's.
    :param zoo_evaluations: Let the Zoo's own EvalCallback run at its defaults, and tell what it costs.
    :raises ValueError: If ``hold`` or ``evaluate_on`` is none of these.
    """

    env_id: str = "LunarLanderContinuous-v3"
    targets: tuple[float, ...] = (200.0, 250.0)
    hold: float = 0.1
    eval_every: int = 4096
    evaluate_on: str = "gymnasium"
    curve_points: int = 20
    budget: int | None = None
    until_solved: bool = False
    steps_limit: int | None = None
    final_episodes: int = 1000
    final_first_seed: int = 50_000_000
    zoo_evaluations: bool = True

    def __post_init__(self) -> None:
        if self.evaluate_on not in ("gymnasium", "envpool"):
            raise ValueError(f"evaluate_on={self.evaluate_on!r} must be 'gymnasium' or 'envpool'")
        if not 0.0 <= self.hold < 1.0:
            raise ValueError(f"hold={self.hold} must be a share of the steps, at least 0 and below 1")

    def for_recipe(self, recipe: Recipe) -> "Measurement":
        """Return how this recipe is watched.

        :raises ValueError: If the recipe names a field that does not exist.
        """
        unknown = set(recipe.watch) - {f.name for f in fields(self)}
        if unknown:
            raise ValueError(f"recipe {recipe.name}: watch has no {', '.join(sorted(unknown))}")
        return replace(self, **recipe.watch)
