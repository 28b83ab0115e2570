"""A worker for test_shared_work.py: ``python share_work.py STORAGE STUDY FOLDER`` does pieces until none is left.

A piece is three tiny steps, each noted in the study as a trial's seeds are. Whoever tells the study that a piece is
done leaves a file of its own in FOLDER after that.
"""

from __future__ import annotations

import sys
import time
import uuid
from pathlib import Path

import optuna

from sb3_lander.tuning.shared_work import ITEM, SharedWork
from sb3_lander.tuning.storage import PATIENCE, open_store


def main() -> None:
    """Work until nothing is left."""
    url, name, folder = sys.argv[1:]
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    store = open_store(url, patience=PATIENCE)
    store.sign_in()
    study = optuna.load_study(study_name=name, storage=store.storage, sampler=optuna.samplers.RandomSampler())
    work = SharedWork(store, study)
    while True:
        taken = work.take(lambda trial: trial.suggest_float("x", 0.0, 1.0))
        if taken is None:
            if not work.progress().running:
                return
            time.sleep(0.1)
            continue
        trial, x = taken
        with work.hold(trial):
            steps = list(trial.user_attrs.get("steps", []))
            while len(steps) < 3:
                time.sleep(0.05)
                steps.append(x)
                trial.set_user_attr("steps", steps)
            study.tell(trial, sum(steps))
            item = trial.user_attrs[ITEM]
            Path(folder, f"{item}.{uuid.uuid4().hex}").touch()


if __name__ == "__main__":
    main()
