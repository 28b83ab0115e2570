"""The agents that ship with the package: they land, they can be watched, and their reports are of these very files."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from conftest import REPO, python
from huggingface_hub import ModelCard

from sb3_lander import Agent
from sb3_lander.__main__ import main
from sb3_lander.agents import shipped_agent
from sb3_lander.agents.agent import SHIPPED
from sb3_lander.evaluation.evaluator import evaluate
from sb3_lander.evaluation.task import fixed_tasks

RUN, PPO_RUN, WEATHER_RUN = shipped_agent(), shipped_agent("ppo"), shipped_agent(weather=True)
DISCRETE_RUN = shipped_agent(env_id="LunarLander-v2")
REPORTS = {run: json.loads((run / "report.json").read_text()) for run in (RUN, PPO_RUN, WEATHER_RUN, DISCRETE_RUN)}
REPORT = REPORTS[RUN]
V3 = "LunarLanderContinuous-v3"
EACH = pytest.mark.parametrize(("run", "shipped"), REPORTS.items(), ids=["best", "ppo", "weather", "discrete"])


@pytest.mark.parametrize("run", [RUN, PPO_RUN, DISCRETE_RUN], ids=["best", "ppo", "discrete"])
def test_it_lands_on_tasks_of_gymnasium(run: Path) -> None:
    agent = Agent.load(run)
    report = evaluate(agent, fixed_tasks(agent.env_id, 100))
    assert report.iqm_return > 285.0
    assert report.success_rate >= 0.98


@pytest.mark.parametrize(
    "weather",
    [
        {"enable_wind": False, "gravity": -10.0},
        {"enable_wind": True, "gravity": -10.0},
        {"enable_wind": False, "gravity": -6.0},
        {"enable_wind": False, "gravity": -11.9},
    ],
)
def test_the_agent_for_any_weather_lands_in_it(weather: dict[str, Any]) -> None:
    report = evaluate(Agent.load(WEATHER_RUN), fixed_tasks(V3, 40, env_kwargs=weather))
    assert report.success_rate >= 0.95
    assert report.iqm_return > 265.0


@EACH
def test_a_report_can_be_made_again(run: Path, shipped: dict[str, Any]) -> None:
    """The first tasks of the report, and its failures: whoever changes the file must make the report again."""
    first = shipped["first_seed"]
    agent = Agent.load(run)
    report = evaluate(agent, fixed_tasks(agent.env_id, 60, first_seed=first))
    failed = {episode["seed"] for episode in shipped["failures"]}
    # A flight may end otherwise on another processor, but not many of them.
    again = {episode.seed for episode in report.episodes if not episode.success}
    assert len(again ^ {seed for seed in failed if seed < first + 60}) <= 1
    assert report.mean_return == pytest.approx(shipped["report"]["mean_return"], abs=10.0)


def test_the_best_ships_and_is_as_good_as_the_readme_says() -> None:
    assert RUN == shipped_agent("sac") != PPO_RUN
    assert REPORT["report"]["iqm_return"] > REPORTS[PPO_RUN]["report"]["iqm_return"]
    assert REPORT["report"]["n_episodes"] == 1000
    assert REPORT["report"]["iqm_return"] >= 290.0
    assert REPORT["report"]["success_rate"] >= 0.998
    readme = " ".join((REPO / "README.md").read_text().split())
    assert f"it averages {REPORT['report']['mean_return']:.1f} over 1,000 tasks" in readme
    assert f"(interquartile mean {REPORT['report']['iqm_return']:.1f})" in readme
    assert len(REPORT["failures"]) == round(1000 * (1 - REPORT["report"]["success_rate"]))


@pytest.mark.parametrize(
    "command",
    [
        "-m sb3_lander enjoy",
        "-m sb3_lander enjoy --algo ppo",
        "-m sb3_lander enjoy --weather",
        "-m sb3_lander enjoy --env LunarLander-v2",
        f"-m rl_zoo3.enjoy --algo sac --env LunarLanderContinuous-v3 -f {SHIPPED}",
        f"-m rl_zoo3.enjoy --algo ppo --env LunarLanderContinuous-v3 -f {SHIPPED}",
        f"-m rl_zoo3.enjoy --algo ppo --env LunarLanderContinuous-v3 -f {SHIPPED / 'weather'}",
        f"-m rl_zoo3.enjoy --algo ppo --env LunarLander-v3 -f {SHIPPED}",
    ],
)
def test_it_can_be_watched_at_once(command: str, tmp_path: Path) -> None:
    done = python(command + " -n 1500 --no-render --seed 3", cwd=tmp_path)
    assert done.status == 0, done.output
    returns = [float(found) for found in re.findall(r"Episode Reward: (-?[\d.]+)", done.output)]
    assert len(returns) >= 3
    assert min(returns) > 200.0
    assert list(tmp_path.iterdir()) == []


def test_an_agent_that_ships_and_a_path_are_not_both_taken(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["enjoy", str(RUN), "--weather"]) == 2
    assert "--weather names an agent that ships" in capsys.readouterr().err


@EACH
def test_a_model_card_has_the_hubs_metadata(run: Path, shipped: dict[str, Any]) -> None:
    card = ModelCard((run / "README.md").read_text())
    results = {result.metric_type: result.metric_value for result in card.data.eval_results}
    assert results["mean_reward"].startswith(f"{shipped['report']['mean_return']:.2f} +/- ")
    assert results["success_rate"] == shipped["report"]["success_rate"]
    assert card.data.library_name == "stable-baselines3"
    assert shipped["command"] in card.text
    assert (run / "replay.mp4").stat().st_size > 10_000
