"""Train an agent that ships with the package, choose among seeds, and put it in place with its report.

Usage: python scripts/train_agent.py --seeds 20 21 22 23 --steps 5000000 --folder FOLDER
       python scripts/train_agent.py --algo sac --seeds 1700 --steps 1000000 --folder FOLDER
       python scripts/train_agent.py --env LunarLander-v3 --seeds 1660 1661 --steps 2000000 --folder FOLDER
       python scripts/train_agent.py --weather MODEL.zip --seeds 3201 --steps 5000000 --folder FOLDER

Each seed is one training by the RL Zoo's own command with the committed recipe. The best is chosen on 1,000 tasks from
2,000,000; the report that ships is of 1,000 others, from 50,000,000, which nothing was chosen on. Interrupted, it goes
on: what a seed has finished is not done again. The agent for any weather goes on from a model; each of its
tasks has the weather that RandomWeather draws by the task's seed.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import yaml

from sb3_lander import Agent, fixed_tasks
from sb3_lander import evaluate as evaluate_agent
from sb3_lander.evaluation.video import record_extremes
from sb3_lander.report.model_card import model_card
from sb3_lander.runs.provenance import system_info

ENV_ID = "LunarLanderContinuous-v3"
REPO = Path(__file__).resolve().parent.parent
TRAINED = "sb3_lander/agents/trained"
WEATHER = ["--conf-file", "hyperparams/weather.yml", "-i"]
SELECTION, REPORT = 2_000_000, 50_000_000


def evaluate(run: Path) -> dict[str, Any]:
    """Return the report of a run's final model over the tasks that the choice rests on."""
    out = run.parent.parent / "selection.json"
    if not out.is_file():
        command = [sys.executable, "-m", "sb3_lander", "evaluate", str(run), "--episodes", "1000", "--processes", "1"]
        subprocess.run([*command, "--first-seed", str(SELECTION), "--json", str(out)], check=True)
    report: dict[str, Any] = json.loads(out.read_text())
    return report


def train(algo: str, env_id: str, seed: int, steps: int, folder: Path, options: list[str]) -> Path:
    """Train one seed with the Zoo's command, unless that is done, and return its run folder."""
    run = folder / str(seed) / algo / f"{env_id}_1"
    if not (run / f"{env_id}.zip").is_file():
        shutil.rmtree(folder / str(seed), ignore_errors=True)
        command = [sys.executable, "-m", "rl_zoo3.train", "--algo", algo, "--env", env_id, "-n", str(steps)]
        command += ["--seed", str(seed), "--eval-freq", "-1", "--log-interval", "50", "-f", str(folder / str(seed))]
        subprocess.run([*command, *options], check=True, stdout=subprocess.DEVNULL, cwd=REPO)
    return run


def main() -> None:
    """Train, choose, and put in place."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", required=True)
    parser.add_argument("--steps", type=int, default=5_000_000)
    parser.add_argument("--algo", default="ppo", help="the Zoo's name of the algorithm (default: %(default)s)")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--env", dest="env_id", default=ENV_ID, help="environment id (default: %(default)s)")
    which.add_argument("--weather", metavar="MODEL", type=Path, help="for any weather: the model it goes on from")
    parser.add_argument("--folder", type=Path, required=True, help="where all runs go")
    parser.add_argument("--jobs", type=int, default=2, help="trainings side by side")
    args = parser.parse_args()
    algo, env_id, options = args.algo, args.env_id, [*WEATHER, str(args.weather.resolve())] if args.weather else []
    shipped = REPO / TRAINED / ("weather" if args.weather else "") / algo / f"{env_id}_1"

    def one(seed: int) -> tuple[Path, dict[str, Any]]:
        run = train(algo, env_id, seed, args.steps, args.folder.resolve(), options)
        return run, evaluate(run)

    with ThreadPoolExecutor(args.jobs) as pool:
        found = dict(zip(args.seeds, pool.map(one, args.seeds), strict=True))
    for seed, (_, report) in found.items():
        print(f"seed {seed}: IQM {report['iqm_return']:.1f}, success {100 * report['success_rate']:.1f}% (selection)")
    best = max(found, key=lambda seed: found[seed][1]["iqm_return"] + 100 * found[seed][1]["success_rate"])
    run = found[best][0]
    shutil.rmtree(shipped, ignore_errors=True)
    (shipped / env_id).mkdir(parents=True)
    shutil.copy(run / f"{env_id}.zip", shipped)
    for name in ("args.yml", "config.yml", "vecnormalize.pkl"):
        if (run / env_id / name).is_file():  # the last one where the entry normalises; the Zoo's commands read it
            shutil.copy(run / env_id / name, shipped / env_id)
    # Where the training wrote its files is nobody's business.
    arguments = yaml.unsafe_load((shipped / env_id / "args.yml").read_text())
    arguments["log_folder"] = "logs"
    (shipped / env_id / "args.yml").write_text(yaml.dump(arguments))

    agent, made = Agent.load(shipped), system_info()
    report = evaluate_agent(agent, fixed_tasks(env_id, 1000, first_seed=REPORT))
    with tempfile.TemporaryDirectory() as recorded:
        shutil.copy(record_extremes(agent, report, 1, Path(recorded))["median"].path, shipped / "replay.mp4")
    print(f"seed {best} ships: IQM {report.iqm_return:.1f}, success {100 * report.success_rate:.1f}% (unseen)")
    command = f"python -m rl_zoo3.train --algo {algo} --env {env_id} -n {args.steps} --seed {best} --eval-freq -1"
    # Where the files lie is nobody's business.
    command = " ".join([command, *([*WEATHER, args.weather.name] if args.weather else [])])
    provenance = {
        "command": command,
        "machine": made,
        "chosen_among_seeds": {str(seed): _short(found[seed][1]) for seed in args.seeds},
        "chosen_on": f"1,000 tasks from {SELECTION:,}, by interquartile mean plus success rate in percent",
        "report": report.summary(),
        "first_seed": REPORT,
        "failures": [episode for episode in report.to_dict()["episodes"] if not episode["success"]],
    }
    (shipped / "report.json").write_text(json.dumps(provenance, indent=1) + "\n")
    note = "Gravity, wind and turbulence are drawn by each task's seed:" if args.weather else ""
    card = model_card(report, algo=algo, command=command, versions=made["versions"], video="replay.mp4", note=note)
    (shipped / "README.md").write_text(card)


def _short(report: dict[str, Any]) -> dict[str, float]:
    return {key: report[key] for key in ("iqm_return", "mean_return", "success_rate", "mean_length")}


if __name__ == "__main__":
    main()
