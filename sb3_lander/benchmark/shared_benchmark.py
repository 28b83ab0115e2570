"""A benchmark whose trainings any number of machines share out."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import optuna
from optuna.trial import TrialState

from sb3_lander.benchmark.recipes import Measurement, Recipe
from sb3_lander.benchmark.runner import header
from sb3_lander.benchmark.training import train
from sb3_lander.tuning.shared_work import ITEM, Progress, SharedWork, make_once
from sb3_lander.tuning.storage import Store, open_store
from sb3_lander.tuning.workers import run_workers, take_all

__all__ = ["run_shared"]

_BENCHMARK = "sb3_lander_benchmark"


def run_shared(
    recipes: Sequence[Recipe],
    seeds: Sequence[int],
    measurement: Measurement,
    *,
    study: str,
    storage: str | None = None,
    jobs: int = 1,
    progress: bool = True,
) -> dict[str, Any]:
    """Train every recipe with every seed, together with all others that call this for the same study.

    Each training is one piece of work that exactly one worker takes; those of killed workers are taken again. Seconds
    are comparable only between machines that are alike: compare steps and returns otherwise.

    :param recipes: What to compare; the same for all.
    :param seeds: Seeds of the trainings; those that the study does not know yet are added.
    :param measurement: How every training is watched; the same for all.
    :param study: The study's name.
    :param storage: As :func:`~sb3_lander.tuning.storage.open_store`.
    :param jobs: Trainings side by side on this machine.
    :param progress: Show a progress bar.
    :return: As :func:`sb3_lander.benchmark.run`, with the trainings of all machines; each says its ``worker``.
    :raises ValueError: If the study holds another benchmark.
    :raises ChildProcessError: If workers ended before the work did.
    """
    results = header(recipes, measurement)
    with open_store(storage) as store:
        opened = _open(store, study, {key: results[key] for key in ("measurement", "recipes")})
        work = SharedWork(store, opened)
        work.fill([[recipe.name, seed] for seed in seeds for recipe in recipes])
        arguments = [(storage, study, tuple(recipes), measurement)] * jobs
        run_workers(_work, arguments, functools.partial(_state, work) if progress else None)
        finished = [trial for trial in opened.get_trials() if trial.state is TrialState.COMPLETE]
    results["runs"] = [trial.user_attrs["result"] for trial in finished]
    results["jobs"] = jobs
    return results


def _state(work: SharedWork) -> tuple[Progress, str]:
    return work.progress(), ""


def _open(store: Store, name: str, benchmark: Mapping[str, Any]) -> optuna.Study:
    make_once(store, name, _BENCHMARK, benchmark)
    study = optuna.load_study(study_name=name, storage=store.storage, sampler=optuna.samplers.RandomSampler())
    if study.user_attrs.get(_BENCHMARK) != benchmark:
        raise ValueError(f"study {name!r} is not this benchmark of these recipes: choose another --study")
    return study


def _work(url: str | None, name: str, recipes: tuple[Recipe, ...], measurement: Measurement) -> None:
    by_name = {recipe.name: recipe for recipe in recipes}

    def join(store: Store) -> tuple[SharedWork, Callable[..., Any], Callable[..., None]]:
        study = optuna.load_study(study_name=name, storage=store.storage)

        def do(trial: optuna.Trial, _: Any) -> None:
            recipe, seed = trial.user_attrs[ITEM]
            result = train(by_name[recipe], seed, measurement)
            trial.set_user_attr("result", {**result, "worker": store.worker_id})
            study.tell(trial, float(result["steps"]))

        return SharedWork(store, study), lambda _: None, do

    take_all(url, join)
