"""A study: what it searches, how it chooses, and how far it is."""

import contextlib
import json
import warnings
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from importlib.util import find_spec
from typing import Any, NamedTuple

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState

from sb3_lander.tuning.search import OBJECTIVES, Search


def _cma_es(seed: int) -> optuna.samplers.BaseSampler:
    if find_spec("cmaes") is None:
        raise ImportError("the sampler 'cmaes' needs the package of that name: pip install cmaes")
    return optuna.samplers.CmaEsSampler(seed=seed, warn_independent_sampling=False)


SAMPLERS: dict[str, Callable[[int], optuna.samplers.BaseSampler]] = {
    # Running trials count as bad ones, so that workers do not all try the same.
    "tpe": lambda seed: optuna.samplers.TPESampler(seed=seed, constant_liar=True),
    "random": lambda seed: optuna.samplers.RandomSampler(seed=seed),
    # Of the choices that these two cannot handle, random ones are taken without a word for each.
    "qmc": lambda seed: optuna.samplers.QMCSampler(seed=seed, warn_independent_sampling=False),
    "cmaes": _cma_es,
}
"""Optuna's samplers by name, made from a seed."""


class TrialSampler(optuna.samplers.BaseSampler):
    """A sampler whose random numbers follow from the trial's name and the parameter's.

    So a trial that was interrupted while its parameters were drawn draws the rest as if nothing had happened.

    :param name: One of :data:`SAMPLERS`.
    :param trial: The trial's name.
    """

    def __init__(self, name: str, trial: str) -> None:
        self._name, self._trial = name, trial
        self._together = self._sampler("")

    def _sampler(self, parameter: str) -> optuna.samplers.BaseSampler:
        with quiet():
            return SAMPLERS[self._name](zlib.crc32(f"{self._trial}{parameter}".encode()))

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Return what is drawn together."""
        return self._together.infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Draw what is drawn together."""
        return self._together.sample_relative(study, trial, search_space)

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """Draw one parameter."""
        return self._sampler(f"/{param_name}").sample_independent(study, trial, param_name, param_distribution)

    def before_trial(self, study: optuna.Study, trial: FrozenTrial) -> None:
        """Let the sampler know, as Optuna does."""
        self._together.before_trial(study, trial)

    def after_trial(
        self, study: optuna.Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None
    ) -> None:
        """Let the sampler know, as Optuna does."""
        self._together.after_trial(study, trial, state, values)


PRUNERS: dict[str, Callable[[], optuna.pruners.BasePruner]] = {
    "median": lambda: optuna.pruners.MedianPruner(n_startup_trials=5),
    "halving": optuna.pruners.SuccessiveHalvingPruner,
    "none": optuna.pruners.NopPruner,
}
"""Optuna's pruners by name; they judge a trial by the mean over the seeds that it has trained so far."""

_SEARCH = "sb3_lander"
# The user attribute of a trial that failed. Earlier versions failed those of lost workers too, and repeated them.
ERROR = "error"


def trial_seeds(study_name: str, number: int, count: int) -> list[int]:
    """Return a trial's training seeds, all above 1,000,000: far from those that benchmarks use."""
    sequence = np.random.SeedSequence([zlib.crc32(study_name.encode()), number])
    return [1_000_000 + int(word) % 2**30 for word in sequence.generate_state(count)]


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep Optuna from warning of each experimental part that is used on purpose."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        yield


def open_study(storage: BaseStorage, name: str, search: Search | None = None) -> tuple[optuna.Study, Search]:
    """Open a study, or make it if ``search`` is given and there is none of the name.

    :return: The study, and what it searches.
    :raises ValueError: If there is no such study, it is not one of ours, or it searches something else.
    """
    if search is None:
        known = optuna.study.get_all_study_names(storage)
        if name not in known:
            raise ValueError(f"there is no study {name!r}; there are: {', '.join(known) or 'none'}")
        study = optuna.load_study(study_name=name, storage=storage)
    else:
        direction = OBJECTIVES[search.objective]
        study = optuna.create_study(study_name=name, storage=storage, direction=direction, load_if_exists=True)
        # A study without anything is what a maker leaves who was killed between these two lines.
        if not study.user_attrs and not study.get_trials(deepcopy=False) and study.direction.name.lower() == direction:
            study.set_user_attr(_SEARCH, asdict(search))
    if _SEARCH not in study.user_attrs:
        raise ValueError(f"study {name!r} was not made by `sb3_lander tune`: choose another --study")
    found = Search(**study.user_attrs[_SEARCH])
    wanted = {} if search is None else json.loads(json.dumps(asdict(search)))  # as the storage gives it back
    both = [(key, getattr(found, key), value) for key, value in wanted.items()]
    differing = [f"{key} {theirs!r:.60}, not {ours!r:.60}" for key, theirs, ours in both if theirs != ours]
    if differing:
        raise ValueError(f"study {name!r} is another search: its {'; its '.join(differing)}: choose another --study")
    return study, found


def counts(study: optuna.Study) -> str:
    """Return how many trials are in which state, in words."""
    states = Counter(trial.state.name.lower() for trial in study.get_trials(deepcopy=False))
    return ", ".join(f"{number} {state}" for state, number in states.items()) or "no trials"


class Progress(NamedTuple):
    """How far a study is.

    :param complete: Trials that were trained to the end.
    :param pruned: Trials that were given up early, by the pruner or because their hyperparameters do not work.
    :param failed: Trials that ended by an error, which is in their user attributes.
    :param running: Trials under way.
    """

    complete: int
    pruned: int
    failed: int
    running: int

    @property
    def total(self) -> int:
        """Trials that were begun."""
        return sum(self)

    @classmethod
    def of(cls, trials: list[FrozenTrial]) -> "Progress":
        """Count the trials of a study."""
        states = Counter(t.state for t in trials if t.state is not TrialState.FAIL or ERROR in t.user_attrs)
        shown = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL, TrialState.RUNNING)
        return cls(*(states[state] for state in shown))
