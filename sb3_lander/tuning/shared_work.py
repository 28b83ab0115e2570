"""Pieces of work that any number of processes on any number of machines share out, each done exactly once."""

from __future__ import annotations

import contextlib
import copy
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import RDBStorage, RetryHeartbeatStaleTrialCallback, fail_stale_trials
from optuna.trial import FrozenTrial, TrialState

from sb3_lander.tuning.storage import WORKER, Store, quiet

__all__ = ["ERROR", "ITEM", "Progress", "SharedWork", "earlier_attempts", "make_once"]

ITEM = "item"
"""The user attribute that says which piece of work a trial is; a retried trial keeps it."""

ERROR = "error"
"""The user attribute of a trial that failed by its own fault; only such a trial is not retried."""

_OWNED = (WORKER, ERROR)

Prepared = TypeVar("Prepared")
Direction = Literal["maximize", "minimize"]


def earlier_attempts(trial: FrozenTrial) -> list[int]:
    """Return the numbers of the lost trials that this one repeats, in their order."""
    with quiet():
        return RetryHeartbeatStaleTrialCallback.retry_history(trial)


def make_once(
    store: Store, name: str, purpose: str, about: Mapping[str, Any], direction: Direction = "minimize"
) -> None:
    """Make a study that says what it is for, unless there is one of the name.

    :param store: Where it will live.
    :param name: The study.
    :param purpose: The user attribute that ``about`` goes to.
    :param about: What all who join must agree on.
    :param direction: Optuna's.
    """
    with store.lock(name):
        if name in optuna.study.get_all_study_names(store.storage):
            study = optuna.load_study(study_name=name, storage=store.storage)
        else:
            study = optuna.create_study(study_name=name, storage=store.storage, direction=direction)
        # A study without anything is what a maker leaves who was killed between these two lines.
        if not study.user_attrs and not study.get_trials(deepcopy=False) and study.direction.name.lower() == direction:
            study.set_user_attr(purpose, about)


@dataclass(frozen=True)
class Progress:
    """How far the work is."""

    total: int
    """Pieces."""

    complete: int
    """Pieces that are done."""

    pruned: int
    """Pieces that were given up early, by decision of the pruner."""

    failed: int
    """Pieces that cannot be done."""

    running: int
    """Pieces in the hands of a worker."""

    retried: int
    """Times that a piece was taken from a lost worker and will be, or was, done again."""

    @property
    def finished(self) -> int:
        """Pieces that need nothing more."""
        return self.complete + self.pruned + self.failed


class SharedWork:
    """An Optuna study as a list of pieces of work.

    Every piece is a trial that waits from the start, so there are never more or fewer than were asked for. Whoever
    takes or returns one does it under the study's lock. A lost worker's trial is failed, and one like it waits again:
    with the same parameters, and with what it had noted. That holds wherever a worker was killed, because the next one
    finds any state in between and puts it right.

    :param store: Where the study lives.
    :param study: The study.
    """

    def __init__(self, store: Store, study: optuna.Study) -> None:
        self.store = store
        self.study = study

    def fill(self, items: Sequence[Any], first: Mapping[str, Any] | None = None) -> None:
        """Add the pieces that the study does not have yet.

        :param items: What tells pieces apart; values that JSON can hold.
        :param first: Parameters of the first of them that are decided already.
        """
        with self.store.lock(self.study.study_name):
            known = [trial.user_attrs.get(ITEM) for trial in self._trials()]
            for item in items:
                if item not in known:
                    decided = dict(first or {}) if item == items[0] else {}
                    self.study.enqueue_trial(decided, user_attrs={ITEM: item})

    def grow(self) -> None:
        """Add a piece if none waits: its item is the number of those before it."""
        with self.store.lock(self.study.study_name):
            if not any(trial.state is TrialState.WAITING for trial in self._trials()):
                self.study.enqueue_trial({}, user_attrs={ITEM: len(self._last_of_each())})

    def take(self, prepare: Callable[[optuna.Trial], Prepared]) -> tuple[optuna.Trial, Prepared] | None:
        """Take a waiting piece, if there is one.

        :param prepare: What else to note before anybody else sees it: the parameters.
        """
        with self.store.lock(self.study.study_name):
            self._retry_lost()
            if not any(trial.state is TrialState.WAITING for trial in self._trials()):
                return None
            with warnings.catch_warnings():
                # It prefers Study.optimize, which could not take a piece under the lock.
                warnings.filterwarnings("ignore", "Heartbeat of storage")
                trial = self.study.ask()
            self._beat(trial)
            trial.set_user_attr(WORKER, self.store.worker_id)
            return trial, prepare(trial)

    @contextlib.contextmanager
    def hold(self, trial: optuna.Trial) -> Iterator[None]:
        """Keep a piece while it is worked on, until the study is told; give it back if that is interrupted.

        An exception that is not an interruption marks the piece as failed for good.
        """
        stop = threading.Event()
        beating = threading.Thread(target=self._keep_beating, args=(trial, stop), daemon=True)
        beating.start()
        try:
            yield
        except UpdateFinishedTrialError:
            # It was thought lost, and somebody else has it now: whatever this worker found is not counted.
            return
        except Exception as error:
            with contextlib.suppress(UpdateFinishedTrialError):
                trial.set_user_attr(ERROR, f"{type(error).__name__}: {error}")
                self.study.tell(trial, state=TrialState.FAIL, skip_if_finished=True)
            raise
        except BaseException:
            self.study.tell(trial, state=TrialState.FAIL, skip_if_finished=True)
            self.retry_lost()
            raise
        finally:
            stop.set()
            beating.join()

    def progress(self) -> Progress:
        """Count the pieces by what became of them."""
        last = self._last_of_each()
        states = [trial.state for trial in last]
        failed = sum(t.state is TrialState.FAIL and ERROR in t.user_attrs for t in last)
        return Progress(
            len(last),
            states.count(TrialState.COMPLETE),
            states.count(TrialState.PRUNED),
            failed,
            states.count(TrialState.RUNNING),
            sum(len(earlier_attempts(trial)) for trial in last),
        )

    def retry_lost(self) -> None:
        """Let the pieces of lost workers wait again."""
        with self.store.lock(self.study.study_name):
            self._retry_lost()

    def _retry_lost(self) -> None:
        with quiet():
            fail_stale_trials(self.study)
            retry = RetryHeartbeatStaleTrialCallback()
        for trial in self._trials():
            if self.store.is_lost(trial):
                self.study.tell(trial.number, state=TrialState.FAIL, skip_if_finished=True)
        for trial in self._last_of_each():
            if trial.state is TrialState.FAIL and ERROR not in trial.user_attrs:
                again = copy.deepcopy(trial)
                again.user_attrs = {key: value for key, value in trial.user_attrs.items() if key not in _OWNED}
                retry(self.study, again)

    def _trials(self) -> list[FrozenTrial]:
        return self.study.get_trials(deepcopy=False)

    def _last_of_each(self) -> list[FrozenTrial]:
        """Return the newest trial of each piece."""
        last: dict[str, FrozenTrial] = {}
        for trial in self._trials():
            last[repr(trial.user_attrs.get(ITEM))] = trial
        return list(last.values())

    def _beat(self, trial: optuna.Trial) -> None:
        storage = self.store.storage
        if isinstance(storage, RDBStorage):
            storage.record_heartbeat(trial._trial_id)

    def _keep_beating(self, trial: optuna.Trial, stop: threading.Event) -> None:
        while not stop.wait(self.store.heartbeat):
            self._beat(trial)
