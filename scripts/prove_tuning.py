"""Prove that a search loses nothing: workers, the command, scheduler and database killed, and a count at the end.

Usage: python scripts/prove_tuning.py --out scripts/results/tuning_proof.json

Forty short trials of two seeds each, by random sampling without pruning: on processes of this machine and a journal
file; on the same and a PostgreSQL server that is restarted once; and on a Dask cluster of four workers whose scheduler
is restarted once. In each, workers are killed at random and the command twice; the outcome is compared with an
undisturbed study's. Then a benchmark of returns on four workers against the same here, and the trials per hour of two
workers against those of one.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import optuna
import yaml
from optuna.trial import FrozenTrial, TrialState

from sb3_lander.benchmark import runner as benchmark
from sb3_lander.benchmark.recipes import Measurement, Recipe
from sb3_lander.runs.provenance import system_info
from sb3_lander.tuning.storage import open_storage
from sb3_lander.tuning.study import trial_seeds

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
from dask_cluster import Cluster
from postgres import Server

OUTAGE = 20.0
"""Seconds without a server, or a scheduler."""

V3 = "LunarLanderContinuous-v3"
TINY = {"n_envs": 4, "n_steps": 64, "batch_size": 64, "n_epochs": 1, "n_timesteps": 512, "callback": None}
SPACE = {"learning_rate": {"low": 1e-4, "high": 1e-2, "log": True, "as": "linear_schedule"}}


def start(folder: Path, url: str, trials: int, *more: str, sampler: str = "random") -> subprocess.Popen[bytes]:
    """Start one ``tune`` command with a process group of its own."""
    command = [sys.executable, "-m", "sb3_lander", "tune", "--study", "s", "--storage", url, "--trials", str(trials)]
    command += ["--conf-file", "entry.yml", "--space", "space.yml", "--seeds", "2", "--pruner", "none"]
    output = (folder / "output.txt").open("ab")
    return subprocess.Popen(
        [*command, "--sampler", sampler, *more],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        start_new_session=True,
    )


def trials_of(url: str) -> list[FrozenTrial]:
    """Return the study's trials; none while there is no study."""
    with contextlib.suppress(KeyError, ValueError):
        return optuna.load_study(study_name="s", storage=open_storage(url)).get_trials()
    return []


def outcome(url: str) -> dict[str, Any]:
    """Count what became of the trials."""
    trials = trials_of(url)
    scores = [trial.user_attrs.get("scores", []) for trial in trials]
    return {
        "trials": len(trials),
        "complete": sum(trial.state is TrialState.COMPLETE for trial in trials),
        "not_finished": sum(not trial.state.is_finished() for trial in trials),
        "failed": sum(trial.state is TrialState.FAIL for trial in trials),
        "seeds_scored": sum(map(len, scores)),
        "seeds_right": sum(t.user_attrs.get("seeds") == trial_seeds("s", t.number, 2) for t in trials),
    }


def items_under(command: int) -> list[int]:
    """Return the processes of a command's group that train: those that its fork server forked."""
    listed = subprocess.run(["ps", "-eo", "pid=,ppid=,pgid=,args="], capture_output=True, text=True, check=True).stdout
    rows = [line.split(maxsplit=3) for line in listed.splitlines()]
    servers = {pid for pid, _, group, args in rows if int(group) == command and "forkserver" in args}
    return [int(pid) for pid, parent, _, _ in rows if parent in servers]


def disturbed(
    folder: Path, url: str, trials: int, kills: int, server: Server | None, cluster: Cluster | None
) -> dict[str, Any]:
    """Search while workers are killed at random, the command twice, and the server or the scheduler once."""
    chance = random.Random(0)
    where = ["--workers", "4"] if cluster is None else ["--cluster", str(cluster.file)]
    command, killed = start(folder, url, trials, *where), {"workers": 0, "command": 0, "restarts": 0}
    for disturbance in range(kills + 3):
        time.sleep(chance.uniform(8.0, 14.0))
        if command.poll() is not None:
            break
        if disturbance in (2, 5):
            command.kill()
            command.wait()
            killed["command"] += 1
            command = start(folder, url, trials, *where)
        elif disturbance == 4 and (server or cluster):
            killed["restarts"] += 1
            if server:
                server.stop()
                time.sleep(OUTAGE)
                server.start()
            if cluster:
                cluster.kill_scheduler()
                time.sleep(OUTAGE)
                cluster.restart_scheduler()
                for _ in range(4):
                    cluster.start_worker()
        elif cluster:
            cluster.kill_worker(chance.choice(cluster.workers))
            cluster.start_worker()
            killed["workers"] += 1
        elif training := items_under(command.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(chance.choice(training), signal.SIGKILL)
                killed["workers"] += 1
    return {"killed": killed, "exit_code": command.wait(), **outcome(url)}


def main() -> None:
    """Run all of it and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--trials", type=int, default=40)
    parser.add_argument("--kills", type=int, default=8, help="workers to kill in each search")
    parser.add_argument("--pairs", type=int, default=4, help="measurements of one and of two workers")
    parser.add_argument("--scaling", action="store_true", help="measure those alone, and keep the rest of the file")
    args = parser.parse_args()
    if args.scaling:
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
            cluster = write_entry_and_start(Path(name))
            found = {**json.loads(args.out.read_text()), "scaling": scaling(Path(name), cluster, args.pairs)}
            cluster.stop()
        args.out.write_text(json.dumps(found, indent=1) + "\n")
        return
    results: dict[str, Any] = {"machine": system_info(), "trials": args.trials}
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o755)
        cluster = write_entry_and_start(folder)
        (folder / "server").mkdir()
        calm = str(folder / "calm.log")
        start(folder, calm, args.trials, "--workers", "2").wait()
        results["undisturbed"] = outcome(calm)
        server = Server(folder / "server")
        server.start()
        try:
            for kind, url in (("processes", "processes.log"), ("postgresql", server.url), ("dask", "dask.log")):
                store = url if "://" in url else str(folder / url)
                with_cluster = cluster if kind == "dask" else None
                for _ in range(4 if with_cluster else 0):
                    cluster.start_worker()
                on_server = server if kind == "postgresql" else None
                found = disturbed(folder, store, args.trials, args.kills, on_server, with_cluster)
                same = [(t.number, t.params, t.value) for t in trials_of(store)]
                found["same_as_undisturbed"] = same == [(t.number, t.params, t.value) for t in trials_of(calm)]
                results[kind] = found
                print(json.dumps({kind: found}, indent=1), flush=True)
        finally:
            server.stop()
        results["benchmark_on_four_workers"] = returns_on_four(folder, cluster)
        results["scaling"] = scaling(folder, cluster, args.pairs)
        cluster.stop()
    args.out.write_text(json.dumps(results, indent=1) + "\n")


def write_entry_and_start(folder: Path) -> Cluster:
    """Write what the searches need into a folder, and start a scheduler there."""
    (folder / "entry.yml").write_text(yaml.safe_dump({V3: Recipe("x", changes=TINY).entry(V3)}))
    (folder / "space.yml").write_text(yaml.safe_dump(SPACE))
    return Cluster(folder)


def returns_on_four(folder: Path, cluster: Cluster) -> dict[str, Any]:
    """Train two recipes on four workers and here, and compare the returns."""
    (folder / "recipes.yml").write_text(
        yaml.safe_dump({g: {"changes": {**TINY, "gamma": float(g)}} for g in ("0.9", "0.99")})
    )
    command = ["benchmark", "recipes.yml", "--seeds", "4", "--final-episodes", "20", "--out", "four.json"]
    subprocess.run(
        [sys.executable, "-m", "sb3_lander", *command, "--cluster", str(cluster.file)], cwd=folder, check=True
    )
    four = json.loads((folder / "four.json").read_text())
    recipes = benchmark.load_recipes([str(folder / "recipes.yml")])
    here = benchmark.run(recipes, range(1000, 1004), Measurement(**four["measurement"]), folder / "here.json")
    finals = {(run["recipe"], run["seed"]): run["final"] for run in four["runs"]}
    same = sum(finals[run["recipe"], run["seed"]] == run["final"] for run in here["runs"])
    return {"trainings": len(four["runs"]), "same_as_here": same}


def scaling(folder: Path, cluster: Cluster, pairs: int) -> dict[str, Any]:
    """Return the trials per hour of one Dask worker and of two, from 16 short trials, in turn and in reverse."""
    rates: dict[int, list[float]] = {1: [], 2: []}
    for turn in range(pairs):
        for workers in sorted(rates, reverse=turn % 2 == 1):
            while len(cluster.workers) > workers:
                cluster.kill_worker(cluster.workers[0])
            while len(cluster.workers) < workers:
                cluster.start_worker()
            time.sleep(5.0)
            # A new worker's first training imports all that it needs.
            start(folder, str(folder / f"warm{turn}{workers}.log"), 4, "--cluster", str(cluster.file)).wait()
            url = str(folder / f"scaling{turn}{workers}.log")
            start(folder, url, 16, "--cluster", str(cluster.file), "--budget", "20000").wait()
            trials = trials_of(url)
            # From the first trial's start to the last one's end: the command's own start is paid but once.
            began = min(t.datetime_start for t in trials if t.datetime_start)
            ended = max(t.datetime_complete for t in trials if t.datetime_complete)
            rates[workers].append(round(3600.0 * len(trials) / (ended - began).total_seconds(), 1))
    ratios = [two / one for one, two in zip(rates[1], rates[2], strict=True)]
    return {
        "trials_per_hour_of_one": rates[1],
        "trials_per_hour_of_two": rates[2],
        "median_ratio": round(median(ratios), 2),
    }


if __name__ == "__main__":
    main()
