"""The agent that ships with the package: it lands, it can be watched, and its report is of this very file."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from conftest import REPO, python
from huggingface_hub import ModelCard

from sb3_lander import Agent
from sb3_lander.agents import shipped_agent
from sb3_lander.agents.agent import SHIPPED
from sb3_lander.evaluation.evaluator import evaluate
from sb3_lander.evaluation.task import fixed_tasks

RUN = shipped_agent()
REPORT = json.loads((RUN / "report.json").read_text())


def test_it_lands_on_tasks_of_gymnasium() -> None:
    report = evaluate(Agent.load(RUN), fixed_tasks("LunarLanderContinuous-v3", 100))
    assert report.iqm_return > 285.0
    assert report.success_rate >= 0.98


def test_its_report_can_be_made_again() -> None:
    """The first tasks of the report, and its failures: whoever changes the file must make the report again."""
    first = REPORT["first_seed"]
    tasks = fixed_tasks("LunarLanderContinuous-v3", 60, first_seed=first)
    report = evaluate(Agent.load(RUN), tasks)
    failed = {episode["seed"] for episode in REPORT["failures"]}
    # A flight may end otherwise on another processor, but not many of them.
    again = {episode.seed for episode in report.episodes if not episode.success}
    assert len(again ^ {seed for seed in failed if seed < first + 60}) <= 1
    assert report.mean_return == pytest.approx(REPORT["report"]["mean_return"], abs=10.0)


def test_it_is_as_good_as_the_readme_says() -> None:
    assert REPORT["report"]["n_episodes"] == 1000
    assert REPORT["report"]["iqm_return"] >= 290.0
    assert REPORT["report"]["success_rate"] >= 0.998
    readme = " ".join((REPO / "README.md").read_text().split())
    assert f"it averages {REPORT['report']['mean_return']:.1f} over 1,000 tasks" in readme
    assert f"(interquartile mean {REPORT['report']['iqm_return']:.1f})" in readme
    assert len(REPORT["failures"]) == round(1000 * (1 - REPORT["report"]["success_rate"]))


@pytest.mark.parametrize(
    "command",
    ["-m sb3_lander enjoy", f"-m rl_zoo3.enjoy --algo ppo --env LunarLanderContinuous-v3 -f {SHIPPED}"],
)
def test_it_can_be_watched_at_once(command: str, tmp_path: Path) -> None:
    done = python(command + " -n 1000 --no-render --seed 3", cwd=tmp_path)
    assert done.status == 0, done.output
    returns = [float(found) for found in re.findall(r"Episode Reward: (-?[\d.]+)", done.output)]
    assert len(returns) >= 3
    assert min(returns) > 200.0
    assert list(tmp_path.iterdir()) == []


def test_its_model_card_has_the_hubs_metadata() -> None:
    card = ModelCard((RUN / "README.md").read_text())
    results = {result.metric_type: result.metric_value for result in card.data.eval_results}
    assert results["mean_reward"].startswith(f"{REPORT['report']['mean_return']:.2f} +/- ")
    assert results["success_rate"] == REPORT["report"]["success_rate"]
    assert card.data.library_name == "stable-baselines3"
    assert REPORT["command"] in card.text
    assert (RUN / "replay.mp4").stat().st_size > 10_000
