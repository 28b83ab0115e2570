"""Prove that a study loses nothing: workers killed at random, the database restarted, and the count at the end.

Usage: python scripts/prove_tuning.py --out scripts/results/tuning_proof.json

Forty short trials each, by four workers: undisturbed, then with kills; on a journal file, and on a PostgreSQL server of
Debian's packages that is restarted once on the way. Then the trials per hour of two workers against those of one.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from statistics import median
from typing import Any

import optuna
import yaml
from optuna.trial import TrialState
from sb3_lander.shared_work import ITEM, earlier_attempts
from sb3_lander.storages import open_store

from sb3_lander.benchmark.recipes import Recipe
from sb3_lander.runs.provenance import machine

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
from postgres import Server

OUTAGE = 20.0
"""Seconds without a server."""

V3 = "LunarLanderContinuous-v3"
TINY = {"n_envs": 4, "n_steps": 64, "batch_size": 64, "n_epochs": 1, "n_timesteps": 512, "callback": None}
SPACE = {"learning_rate": {"low": 1e-4, "high": 1e-2, "log": True, "as": "linear_schedule"}}


def start(folder: Path, url: str, study: str, trials: int, *more: str) -> subprocess.Popen[bytes]:
    """Start one ``tune`` command with a process group of its own."""
    command = [sys.executable, "-m", "sb3_lander", "tune", "--study", study, "--storage", url, "--trials", str(trials)]
    command += ["--conf-file", "entry.yml", "--space", "space.yml", "--seeds", "2", *more]
    output = (folder / "output.txt").open("ab")
    return subprocess.Popen(
        command, cwd=folder, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
    )


def outcome(url: str, study: str) -> dict[str, Any]:
    """Count what became of the trials, and say what is wrong."""
    trials = optuna.load_study(study_name=study, storage=open_store(url).storage).get_trials()
    finished = [t for t in trials if t.state in (TrialState.COMPLETE, TrialState.PRUNED)]
    pieces = Counter(trial.user_attrs[ITEM] for trial in finished)
    changed = 0
    for trial in finished:
        for number in earlier_attempts(trial):
            changed += trials[number].params not in ({}, trial.params)
    return {
        "pieces": len({trial.user_attrs[ITEM] for trial in trials}),
        "finished": len(pieces),
        "finished_twice": sum(count > 1 for count in pieces.values()),
        "complete": sum(t.state is TrialState.COMPLETE for t in finished),
        "pruned": sum(t.state is TrialState.PRUNED for t in finished),
        "taken_from_killed_workers": sum(t.state is TrialState.FAIL for t in trials),
        "retried_with_other_parameters": changed,
        "left_running_or_waiting": sum(not t.state.is_finished() for t in trials),
    }


def disturbed(folder: Path, url: str, trials: int, kills: int, server: Server | None) -> dict[str, Any]:
    """Run four commands of one worker each, kill some at random, and restart the server half way."""
    chance = random.Random(0)
    commands = [start(folder, url, "disturbed", trials) for _ in range(4)]
    for kill in range(kills):
        # Long enough for a command to have reached the server before the next accident.
        time.sleep(chance.uniform(8.0, 14.0))
        victim = chance.randrange(len(commands))
        is_over = commands[victim].poll() is not None
        if not is_over:
            os.killpg(commands[victim].pid, signal.SIGKILL)
            commands[victim].wait()
        if server is not None and kill == 1:
            server.stop()
            time.sleep(OUTAGE)
            server.start()
        if not is_over:
            commands[victim] = start(folder, url, "disturbed", trials)
    return {
        "kills": kills,
        "outage": OUTAGE if server else 0.0,
        "exit_codes": [command.wait() for command in commands],
        **outcome(url, "disturbed"),
    }


def main() -> None:
    """Run all of it and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--trials", type=int, default=40)
    parser.add_argument("--kills", type=int, default=6)
    args = parser.parse_args()
    results: dict[str, Any] = {"machine": machine(), "trials": args.trials}
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "entry.yml").write_text(yaml.safe_dump({V3: Recipe("x", changes=TINY).entry(V3)}))
        (folder / "space.yml").write_text(yaml.safe_dump(SPACE))
        (folder / "server").mkdir()
        server = Server(folder / "server")
        server.start()
        try:
            for kind, url in (("journal", "study.log"), ("postgresql", server.url + "?heartbeat=5&grace=60")):
                store = str(folder / url) if kind == "journal" else url
                start(folder, store, "calm", args.trials, "--workers", "4").wait()
                results[kind] = {"undisturbed": outcome(store, "calm")}
                on_server = server if kind == "postgresql" else None
                results[kind]["disturbed"] = disturbed(folder, store, args.trials, args.kills, on_server)
                print(json.dumps({kind: results[kind]}, indent=1), flush=True)
        finally:
            server.stop()
        results["scaling"] = scaling(folder)
    args.out.write_text(json.dumps(results, indent=1) + "\n")


def scaling(folder: Path) -> dict[str, Any]:
    """Return the trials per hour of one worker and of two, from trials of 20,000 steps, in turn and in reverse."""
    rates: dict[str, list[float]] = {"1": [], "2": []}
    for turn in range(4):
        for workers in sorted(rates, reverse=turn % 2 == 1):
            url, study = str(folder / f"scaling{turn}{workers}.log"), "scaling"
            start(folder, url, study, 8, "--workers", workers, "--budget", "20000", "--pruner", "none").wait()
            trials = optuna.load_study(study_name=study, storage=open_store(url).storage).get_trials()
            # From the first trial's start to the last one's end: a worker's own start is paid once, not for each trial.
            began = min(t.datetime_start for t in trials if t.datetime_start)
            ended = max(t.datetime_complete for t in trials if t.datetime_complete)
            rates[workers].append(round(3600.0 * len(trials) / (ended - began).total_seconds(), 1))
    ratios = [two / one for one, two in zip(rates["1"], rates["2"], strict=True)]
    return {
        "trials_per_hour_of_one": rates["1"],
        "trials_per_hour_of_two": rates["2"],
        "median_ratio": round(median(ratios), 2),
    }


if __name__ == "__main__":
    main()
