"""A search for hyperparameters: trials of several seeds each, asked for and told by one command."""

import contextlib
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState
from tqdm import tqdm  # type: ignore[import-untyped]  # it ships no types

from sb3_lander.benchmark.recipes import Measurement, Recipe
from sb3_lander.parallel import ProcessExecutor, run
from sb3_lander.parallel.cluster import ClusterError
from sb3_lander.tuning.search import Search
from sb3_lander.tuning.storage import hold, open_storage, patiently, sign
from sb3_lander.tuning.study import ERROR, PRUNERS, SAMPLERS, Progress, TrialSampler, counts, open_study, trial_seeds


class _Trials:
    """A study's trials under way, which nobody else writes to. What it notes is right if noted twice, at any moment."""

    def __init__(
        self, study: optuna.Study, search: Search, sampler: str, may_begin: Callable[[list[FrozenTrial]], bool]
    ) -> None:
        self._study, self._search, self._sampler, self._may_begin = study, search, sampler, may_begin
        self._space = search.search_space()
        self._measurement = search.measurement()
        self._open: dict[int, tuple[optuna.Trial, Recipe]] = {}
        self._due: deque[int] = deque()

    def trainings(self) -> Iterator[tuple[int, Recipe, int, Measurement] | None]:
        """Yield the next training: a trial's number and what it trains. None while all wait for results."""
        while True:
            while not self._due and patiently(self._take):
                pass
            if self._due:
                number = self._due.popleft()
                trial, recipe = self._open[number]
                yield number, recipe, trial.user_attrs["seeds"][len(_scores(trial))], self._measurement
            elif self._open:
                yield None
            else:
                return

    def _take(self) -> bool:
        """Take up a trial that was interrupted, or begin one; its parameters follow from its number and the others."""
        trials = self._study.get_trials(deepcopy=False)
        interrupted = [t for t in trials if t.state is TrialState.RUNNING and t.number not in self._open]
        if not interrupted and not self._may_begin(trials):
            return False
        if not trials:
            # The first trial is the entry itself, as far as the space has it: what the others must beat.
            self._study.enqueue_trial(self._space.locate(self._search.entry))
        waiting = [t.number for t in trials if t.state is TrialState.WAITING]
        number = interrupted[0].number if interrupted else min(waiting, default=len(trials))
        self._study.sampler = TrialSampler(self._sampler, f"{self._study.study_name}/{number}")
        trial = optuna.Trial(self._study, interrupted[0]._trial_id) if interrupted else self._study.ask()
        changes = self._space.suggest(trial)
        if "seeds" not in trial.user_attrs:
            trial.set_user_attr("seeds", trial_seeds(self._study.study_name, trial.number, self._search.seeds))
        self._open[trial.number] = (trial, self._search.recipe(f"trial {trial.number}", changes))
        self._go_on(trial)
        return True

    def note(self, number: int, training: dict[str, Any]) -> None:
        """Note what a trial's training came to."""
        trial, _ = self._open[number]
        if "fault" in training:
            self._give_up(trial, "fault", training["fault"], TrialState.PRUNED)
        else:
            patiently(trial.set_user_attr, "scores", [*_scores(trial), self._search.score(training)])
            patiently(self._go_on, trial)

    def fail(self, number: int, error: Exception) -> None:
        """Give a trial up that cannot be trained."""
        self._give_up(self._open[number][0], ERROR, f"{type(error).__name__}: {error}"[:500], TrialState.FAIL)

    def _give_up(self, trial: optuna.Trial, attribute: str, reason: str, state: TrialState) -> None:
        patiently(trial.set_user_attr, attribute, reason)
        patiently(self._end, trial, None, state)

    def _go_on(self, trial: optuna.Trial) -> None:
        """Report the scores so far, and end the trial or let its next seed be trained."""
        scores = _scores(trial)
        if scores:
            if len(scores) - 1 not in self._study.get_trials(deepcopy=False)[trial.number].intermediate_values:
                trial.report(self._search.value(scores), len(scores) - 1)
            if len(scores) == self._search.seeds:
                return self._end(trial, self._search.value(scores), TrialState.COMPLETE)
            if trial.should_prune():
                return self._end(trial, None, TrialState.PRUNED)
        self._due.append(trial.number)
        return None

    def _end(self, trial: optuna.Trial, value: float | None, state: TrialState) -> None:
        self._study.tell(trial, value, state=state, skip_if_finished=True)
        self._open.pop(trial.number, None)


def _scores(trial: optuna.Trial) -> list[float]:
    return list(trial.user_attrs.get("scores", []))


def tune(
    search: Search,
    name: str,
    *,
    storage: str | None = None,
    trials: int | None = None,
    hours: float | None = None,
    workers: int = 1,
    executor: Executor | None = None,
    sampler: str = "tpe",
    pruner: str = "median",
    progress: bool = True,
) -> Progress:
    """Search, from where an earlier call for the same study ended or was killed.

    :param search: What to search; an existing study must search the same.
    :param name: The study.
    :param storage: As :func:`~sb3_lander.tuning.storage.open_storage`.
    :param trials: Trials of the whole study, those of earlier calls included.
    :param hours: Start no trial after this time; without ``trials`` the study grows until then.
    :param workers: Trials at a time, each in a process of this machine.
    :param executor: What trains instead, such as a :class:`~sb3_lander.parallel.ClusterExecutor`, which knows itself
        how many it takes, or any other, which is given ``workers`` at a time.
    :param sampler: One of :data:`SAMPLERS`.
    :param pruner: One of :data:`PRUNERS`.
    :param progress: Show a progress bar.
    :return: How far the study is.
    :raises ValueError: If an argument is out of range, the study searches something else, or another command has it.
    :raises ChildProcessError: If a training's process was killed again and again; its trial has failed.
    :raises KeyboardInterrupt: After Ctrl-C. Trials under way are taken up by the next call.
    """
    if trials is None and hours is None:
        raise ValueError("give the number of trials, or hours")
    if workers < 1 or (trials is not None and trials < 1) or (hours is not None and not hours > 0):
        raise ValueError(f"workers={workers}, trials={trials} and hours={hours} must be positive")
    for kind, chosen, known in (("sampler", sampler, SAMPLERS), ("pruner", pruner, PRUNERS)):
        if chosen not in known:
            raise ValueError(f"{kind} {chosen!r} is unknown, choose one of {', '.join(known)}")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    until = None if hours is None else time.monotonic() + 3600.0 * hours

    def may_begin(begun: list[FrozenTrial]) -> bool:
        return (until is None or time.monotonic() < until) and (trials is None or Progress.of(begun).total < trials)

    # Imported here, since it loads the Zoo, which whoever only looks at a study need not wait for.
    from sb3_lander.benchmark.training import train_trial

    opened = open_storage(storage)
    with hold(opened, storage, name), contextlib.ExitStack() as stack:
        study, _ = open_study(opened, name, search)
        sign(study)
        study.pruner = PRUNERS[pruner]()
        under_way = _Trials(study, search, sampler, may_begin)
        executor = executor or stack.enter_context(ProcessExecutor(workers))
        bar = stack.enter_context(tqdm(total=trials, unit="trial", disable=not progress, file=sys.stderr))
        at_once = None if hasattr(executor, "workers") else workers
        for (number, *_), future in run(executor, train_trial, under_way.trainings(), at_once):
            try:
                training = future.result()
            except ClusterError:
                raise
            except Exception as error:
                under_way.fail(number, error)
                raise
            under_way.note(number, training)
            patiently(_show, bar, study, search)
        patiently(_show, bar, study, search)
        return Progress.of(patiently(study.get_trials))


def _show(bar: Any, study: optuna.Study, search: Search) -> None:
    now, ranked = Progress.of(study.get_trials(deepcopy=False)), search.ranked(study)
    bar.n = now.total - now.running
    bar.set_postfix_str(counts(study) + (f", best {ranked[0].value:.2f}" if ranked else ""))
