"""A search for hyperparameters: each trial trains several seeds, and any number of workers share the trials out."""

from __future__ import annotations

import functools
import json
import zlib
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import numpy as np
import optuna

from sb3_lander.benchmark.training import train
from sb3_lander.tuning.search import OBJECTIVES, Search
from sb3_lander.tuning.shared_work import Progress, SharedWork, earlier_attempts, make_once
from sb3_lander.tuning.storage import Store, open_store
from sb3_lander.tuning.workers import run_workers, take_all

__all__ = ["PRUNERS", "SAMPLERS", "open_study", "trial_seeds", "tune"]

SAMPLERS: dict[str, Callable[[int], optuna.samplers.BaseSampler]] = {
    # Running trials count as bad ones, so that workers do not all try the same.
    "tpe": lambda seed: optuna.samplers.TPESampler(seed=seed, constant_liar=True),
    "random": lambda seed: optuna.samplers.RandomSampler(seed=seed),
    "qmc": lambda seed: optuna.samplers.QMCSampler(seed=seed),
}
"""Optuna's samplers by name, made from a seed."""

PRUNERS: dict[str, Callable[[], optuna.pruners.BasePruner]] = {
    "median": lambda: optuna.pruners.MedianPruner(n_startup_trials=5),
    "halving": optuna.pruners.SuccessiveHalvingPruner,
    "none": optuna.pruners.NopPruner,
}
"""Optuna's pruners by name; they judge a trial by the mean over the seeds that it has trained so far."""

_SEARCH = "sb3_lander"
_FAULTS = (AssertionError, ValueError, FloatingPointError)
"""What hyperparameters that do not work raise in a training, as a policy whose output is NaN."""


def trial_seeds(study_name: str, number: int, count: int) -> list[int]:
    """Return a trial's training seeds, which follow from the study's name and the trial's number.

    They lie above 1,000,000, far from the seeds that benchmarks use.
    """
    sequence = np.random.SeedSequence([zlib.crc32(study_name.encode()), number])
    return [1_000_000 + int(word) % 2**30 for word in sequence.generate_state(count)]


def open_study(
    store: Store,
    name: str,
    search: Search | None = None,
    *,
    sampler: str = "tpe",
    pruner: str = "median",
    seed: int = 0,
) -> tuple[optuna.Study, Search]:
    """Open a study, or make it if ``search`` is given and there is none of the name.

    :return: The study, and what it searches.
    :raises ValueError: If there is no such study, it is not one of ours, or it searches something else.
    """
    if search is not None:
        make_once(store, name, _SEARCH, asdict(search), OBJECTIVES[search.objective])
    elif name not in (known := optuna.study.get_all_study_names(store.storage)):
        raise ValueError(f"there is no study {name!r}; there are: {', '.join(known) or 'none'}")
    study = optuna.load_study(
        study_name=name, storage=store.storage, sampler=SAMPLERS[sampler](seed), pruner=PRUNERS[pruner]()
    )
    if _SEARCH not in study.user_attrs:
        raise ValueError(f"study {name!r} was not made by `sb3_lander tune`: choose another --study")
    found = Search(**study.user_attrs[_SEARCH])
    if search is not None:
        # As the storage gives it back.
        wanted = json.loads(json.dumps(asdict(search)))
        differing = [
            f"{key} {getattr(found, key)!r:.60}, not {value!r:.60}"
            for key, value in wanted.items()
            if value != getattr(found, key)
        ]
        if differing:
            raise ValueError(
                f"study {name!r} is another search: its {'; its '.join(differing)}: choose another --study"
            )
    return study, found


def _work(
    url: str | None, name: str, sampler: str, pruner: str, seed: int, seconds: float | None, endless: bool
) -> None:
    def join(store: Store) -> tuple[SharedWork, Callable[..., Any], Callable[..., None]]:
        study, search = open_study(store, name, sampler=sampler, pruner=pruner, seed=seed)
        return SharedWork(store, study), search.search_space().suggest, functools.partial(_run_trial, study, search)

    take_all(url, join, seconds=seconds, endless=endless)


def _run_trial(study: optuna.Study, search: Search, trial: optuna.Trial, changes: dict[str, Any]) -> None:
    """Train the trial's seeds, from where a lost worker left it, and tell the study."""
    history = earlier_attempts(study.get_trials(deepcopy=False)[trial.number])
    seeds = trial_seeds(study.study_name, history[0] if history else trial.number, search.seeds)
    trial.set_user_attr("seeds", seeds)
    scores: list[float] = list(trial.user_attrs.get("scores", []))
    recipe, measurement = search.recipe(f"trial {trial.number}", changes), search.measurement()
    for step, seed in enumerate(seeds):
        if step >= len(scores):
            try:
                scores.append(search.score(train(recipe, seed, measurement)))
            except _FAULTS as error:
                trial.set_user_attr("fault", f"{type(error).__name__}: {error}"[:500])
                study.tell(trial, state=optuna.trial.TrialState.PRUNED)
                return
            trial.set_user_attr("scores", scores)
        trial.report(search.value(scores[: step + 1]), step)
        if step + 1 < len(seeds) and trial.should_prune():
            study.tell(trial, state=optuna.trial.TrialState.PRUNED)
            return
    study.tell(trial, search.value(scores))


def tune(
    search: Search,
    name: str,
    *,
    storage: str | None = None,
    trials: int | None = None,
    hours: float | None = None,
    workers: int = 1,
    sampler: str = "tpe",
    pruner: str = "median",
    progress: bool = True,
) -> Progress:
    """Search with some workers of this machine, beside those of others that know the same study.

    :param search: What to search; an existing study must search the same.
    :param name: The study.
    :param storage: As :func:`~sb3_lander.tuning.storage.open_store`.
    :param trials: Trials of the whole study, those of other machines and of earlier calls included.
    :param hours: Start no trial after this time; without ``trials`` the study grows until then.
    :param workers: Processes that train.
    :param sampler: One of :data:`SAMPLERS`.
    :param pruner: One of :data:`PRUNERS`.
    :param progress: Show a progress bar.
    :return: How far the study is.
    :raises ValueError: If an argument is out of range, or the study searches something else.
    :raises ChildProcessError: If workers ended before the work did.
    :raises KeyboardInterrupt: After a clean stop: trials under way wait to be taken again.
    """
    if trials is None and hours is None:
        raise ValueError("give the number of trials, or hours")
    if workers < 1 or (trials is not None and trials < 1) or (hours is not None and not hours > 0):
        raise ValueError(f"workers={workers}, trials={trials} and hours={hours} must be positive")
    for kind, chosen, known in (("sampler", sampler, SAMPLERS), ("pruner", pruner, PRUNERS)):
        if chosen not in known:
            raise ValueError(f"{kind} {chosen!r} is unknown, choose one of {', '.join(known)}")
    seconds = None if hours is None else 3600.0 * hours
    with open_store(storage) as store:
        study, _ = open_study(store, name, search)
        work = SharedWork(store, study)
        # The first trial is the entry itself, as far as the space has it: what the others must beat.
        work.fill(range(trials or 1), search.search_space().locate(search.entry))
        seeds = [zlib.crc32(f"{store.worker_id}/{number}".encode()) for number in range(workers)]
        arguments = [(storage, name, sampler, pruner, seed, seconds, trials is None) for seed in seeds]
        run_workers(_work, arguments, functools.partial(_state, work, search) if progress else None)
        return work.progress()


def _state(work: SharedWork, search: Search) -> tuple[Progress, str]:
    ranked = search.ranked(work.study)
    return work.progress(), f"best {ranked[0].value:.2f}" if ranked else ""
