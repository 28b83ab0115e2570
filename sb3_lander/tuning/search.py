"""What a study searches: an entry, a space around it, and what a trial is worth."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, geometric_mean
from typing import Any, Literal

import gymnasium as gym
import optuna
from optuna.trial import FrozenTrial, TrialState

from sb3_lander.benchmark.recipes import Measurement, Recipe
from sb3_lander.runs import entries
from sb3_lander.tuning.search_space import SearchSpace, YamlSpace, ZooSpace, plain, read_space
from sb3_lander.zoo import checks

# What a trial is scored by, and Optuna's direction.
OBJECTIVES: dict[str, Literal["maximize", "minimize"]] = {"return": "maximize", "time-to-solve": "minimize"}


@dataclass(frozen=True)
class Search:
    """What a study searches: all that its workers must agree on.

    ``return`` is the mean return over 100 fixed tasks at the end, averaged over the seeds, to be maximised.
    ``time-to-solve`` is the seconds until that mean reaches ``target``, twice the whole training's where it never does,
    as a geometric mean over the seeds, to be minimised; only alike machines should share such a study.

    :param algo: The Zoo's name of the algorithm.
    :param env_id: The environment.
    :param entry: The hyperparameters around which the search goes, in the Zoo's format.
    :param space: The content of the space's file; None for the Zoo's own ranges.
    :param seeds: Trainings in a trial.
    :param budget: Environment steps of a training; the entry's own ``n_timesteps`` when None.
    :param objective: ``return`` or ``time-to-solve``.
    :param target: The return to reach, for ``time-to-solve``.
    :param steps_limit: End a training after this many environment steps, without changing its schedules.
    :param evaluate_on: Where ``time-to-solve`` looks whether the return is reached: on the 100 fixed tasks of
        ``gymnasium``, or, several times quicker, on 48 episodes of ``envpool``.
    :raises ValueError: If a number is out of range or a name unknown.
    """

    algo: str
    env_id: str
    entry: Mapping[str, Any]
    space: Mapping[str, Any] | None
    seeds: int = 3
    budget: int | None = None
    objective: str = "return"
    target: float = 200.0
    steps_limit: int | None = None
    evaluate_on: str = "gymnasium"

    def __post_init__(self) -> None:
        if self.objective not in OBJECTIVES:
            raise ValueError(f"objective {self.objective!r} is unknown, choose one of {', '.join(OBJECTIVES)}")
        if self.seeds < 1 or (self.budget is not None and self.budget < 1):
            raise ValueError(f"seeds={self.seeds} and budget={self.budget} must be at least 1")
        if self.steps_limit is not None and self.steps_limit < 1:
            raise ValueError(f"steps_limit={self.steps_limit} must be at least 1")
        if self.evaluate_on != "gymnasium" and self.objective != "time-to-solve":
            raise ValueError(f"evaluate_on={self.evaluate_on!r} is for the objective time-to-solve")
        self.measurement()

    def measurement(self) -> Measurement:
        """Return how a trial's trainings are watched."""
        # Not the tasks of a benchmark's final report, on which nothing may be selected.
        shared: dict[str, Any] = {"curve_points": 0, "zoo_evaluations": False, "final_first_seed": 1_000_000}
        shared |= {"budget": self.budget, "steps_limit": self.steps_limit, "evaluate_on": self.evaluate_on}
        if self.objective == "return":
            return Measurement(self.env_id, (), final_episodes=100, **shared)
        return Measurement(self.env_id, (self.target,), until_solved=True, final_episodes=0, **shared)

    def score(self, training: Mapping[str, Any]) -> float:
        """Return what one training is worth."""
        if self.objective == "return":
            return float(training["final"]["mean_return"])
        reached = training["solved"].get(f"{self.target:g}")
        return float(reached["seconds"] if reached else 2 * training["seconds"])

    def value(self, scores: list[float]) -> float:
        """Return what a trial is worth, from its trainings' scores."""
        return fmean(scores) if self.objective == "return" else geometric_mean(scores)

    def ranked(self, study: optuna.Study) -> list[FrozenTrial]:
        """Return the study's complete trials, best first."""
        complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        return sorted(complete, key=lambda trial: trial.value or 0.0, reverse=self.is_maximized)

    @property
    def is_maximized(self) -> bool:
        """Whether more is better."""
        return OBJECTIVES[self.objective] == "maximize"

    def recipe(self, name: str, changes: Mapping[str, Any]) -> Recipe:
        """Return the entry with a trial's changes."""
        return Recipe(name, algo=self.algo, changes=plain(changes, self.entry), base=self.entry)

    def search_space(self) -> SearchSpace:
        """Return the space."""
        if self.space is not None:
            return YamlSpace.parse(self.space)
        # Not read_space: this package may have a space of its own by now, and the study began without.
        return ZooSpace(self.algo, *_sizes(self.env_id, self.entry))


def make_search(
    algo: str, env_id: str, *, config: str | Path | None = None, space: str | Path | None = None, **rest: Any
) -> Search:
    """Return a search, with its files read and every range's ends tried.

    :param algo: The Zoo's name of the algorithm.
    :param env_id: The environment.
    :param config: YAML file with the entry to search around; this package's when None.
    :param space: The space's YAML file; this package's for the algorithm, or else the Zoo's, when None.
    :param rest: The other fields of :class:`Search`.
    :raises FileNotFoundError: If a file does not exist.
    :raises ValueError: If an entry, a range or a setting cannot work.
    """
    from rl_zoo3.utils import ALGOS

    if algo not in ALGOS:
        raise ValueError(f"algorithm {algo!r} is unknown, choose one of {', '.join(sorted(ALGOS))}")
    entry = entries.read_entry(entries.default_config(algo) if config is None else config, env_id)
    found = read_space(space, algo, *_sizes(env_id, entry))
    if isinstance(found, ZooSpace):
        return Search(algo, env_id, entry, None, **rest)
    with gym.make(env_id) as env:
        for changes in found.extremes():
            changed = Recipe("x", base=entry, changes=changes).entry(env_id)
            checks.check(changed, ALGOS[algo])
            policy = checks.policy_class(changed["policy"], ALGOS[algo])
            checks.build_policy(changed, policy, env.observation_space, env.action_space)
    return Search(algo, env_id, entry, found.content, **rest)


def _sizes(env_id: str, entry: Mapping[str, Any]) -> tuple[int, int]:
    """Return how many action dimensions and training environments there are."""
    with gym.make(env_id) as env:
        shape = env.action_space.shape
    return shape[0] if shape else 1, int(entry.get("n_envs", 1))
