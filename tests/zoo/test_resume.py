"""A run that was killed goes on where it was, with its schedules and its logs."""

from __future__ import annotations

import json
import shutil
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from conftest import REPO, ShortRun, python
from stable_baselines3 import PPO
from stable_baselines3.common.monitor import load_results
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from sb3_lander.__main__ import main


def test_twenty_kills_cost_a_run_nothing_but_time(tmp_path: Path) -> None:
    done = python(Path(__file__).with_name("kill_and_resume.py"), tmp_path, "1", cwd=REPO)
    assert done.status == 0, done.output
    seen = json.loads(done.output.splitlines()[-1])
    assert seen["status"] == 0, (tmp_path / "output.txt").read_text()[-3000:]
    newest, budget, rollout = seen["newest"], seen["budget"], seen["n_steps"] * seen["n_envs"]
    assert newest == sorted(newest)
    # Whatever the moment of a kill, a checkpoint was at most one interval old.
    assert max(b - a for a, b in pairwise([0, *seen["steps"]])) <= seen["save_every"] + seen["n_envs"]

    run = tmp_path / "logs" / "ppo" / "LunarLanderContinuous-v3_1"
    model = PPO.load(run / "LunarLanderContinuous-v3.zip")
    assert budget <= model.num_timesteps < budget + rollout
    # The linear schedule at its last update; the last rollout ends a little past the budget, and so below 0.
    lr = model.policy.optimizer.param_groups[0]["lr"]
    assert lr == pytest.approx(model.lr_schedule(1.0) * (budget - model.num_timesteps) / budget, rel=1e-6)

    episodes = load_results(str(run))
    # Nothing twice and next to nothing missing: only episodes that a kill or a checkpoint cut.
    assert 0.5 * budget < episodes["l"].sum() <= model.num_timesteps
    assert episodes["t"].is_monotonic_increasing
    evaluations = np.load(run / "evaluations.npz")["timesteps"]
    # None was put off by a kill, and none lost by one that came between a checkpoint and its evaluation.
    assert evaluations.tolist() == list(range(seen["eval_every"], budget + 1, seen["eval_every"]))
    assert "Making up for the evaluation at" in (tmp_path / "output.txt").read_text()
    events = EventAccumulator(str(tmp_path / "tb" / "LunarLanderContinuous-v3" / "PPO_1"))
    events.Reload()
    steps = [event.step for event in events.Scalars("time/fps")]
    assert steps == sorted(set(steps))
    assert steps[-1] == model.num_timesteps
    commands = (run / "LunarLanderContinuous-v3" / "command.txt").read_text().splitlines()
    assert len(commands) >= 2


def test_a_run_killed_in_its_very_last_evaluation_gets_it_and_its_last_model(v2_run: ShortRun, tmp_path: Path) -> None:
    run = tmp_path / "logs" / "ppo" / "LunarLanderContinuous-v2_1"
    shutil.copytree(v2_run.folder, run)
    (run / "LunarLanderContinuous-v2.zip").unlink()
    (run / "best_model.zip").unlink()
    with np.load(run / "evaluations.npz") as stored:
        np.savez(run / "evaluations.npz", **{name: stored[name][:1] for name in stored.files})
    done = python(f"-m sb3_lander resume {run}", cwd=tmp_path)
    assert done.status == 0, done.output
    assert np.load(run / "evaluations.npz")["timesteps"].tolist() == [8192, 16384]
    assert PPO.load(run / "LunarLanderContinuous-v2.zip").num_timesteps == 16384


def test_a_run_that_has_ended_is_refused(v2_run: ShortRun, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["resume", str(v2_run.folder)]) == 2
    assert "has reached its budget" in capsys.readouterr().err


def test_what_is_no_run_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["resume", str(tmp_path)]) == 2
    assert "is not a run of the RL Zoo" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("algo", "env_id"), [("sac", "Pendulum-v1"), ("ppo", "Pendulum-v1"), ("dqn", "LunarLander-v2")]
)
def test_other_environments_and_normalised_ones_resume_too(algo: str, env_id: str, tmp_path: Path) -> None:
    params = {
        "ppo": "normalize:True n_envs:2 n_steps:64 batch_size:64 n_epochs:1",
        "sac": "learning_starts:100 buffer_size:1000",
        "dqn": "n_envs:1 learning_starts:100 buffer_size:1000",
    }
    command = (
        f"-m rl_zoo3.train --algo {algo} --env {env_id} -n 600 --save-freq 200 --save-replay-buffer --eval-freq 250"
    )
    trained = python(f"{command} --eval-episodes 1 --seed 3 -params {params[algo]}", cwd=tmp_path)
    assert trained.status == 0, trained.output
    run = tmp_path / "logs" / algo / f"{env_id}_1"
    # As if it had been killed: the Zoo's own checkpoints have no statistics, so the best model is what can go on.
    (run / f"{env_id}.zip").unlink()
    shutil.copy(run / "rl_model_400_steps.zip", run / "kept.zip")
    with (run / "rl_model_600_steps.zip").open("r+b") as newest:
        newest.truncate(2000)
    resumed = python(f"-m sb3_lander resume {run}", cwd=tmp_path)
    assert resumed.status == 0, resumed.output
    assert "rl_model_600_steps.zip is not a whole checkpoint" in resumed.output or algo == "ppo"
    assert "Resuming" in resumed.output
    assert (run / f"{env_id}.zip").is_file()
    again = python(f"-m sb3_lander resume {run}", cwd=tmp_path)
    assert again.status == 2
    assert "has reached its budget" in again.output
