"""``python -m sb3_lander weather``: one agent in many weathers."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import gymnasium as gym
import numpy as np
import pytest
import yaml

from sb3_lander import Agent, EvaluationReport, evaluate, fixed_tasks
from sb3_lander.__main__ import main
from sb3_lander.agents import shipped_agent
from sb3_lander.envs import V3_ID, RandomWeather
from sb3_lander.evaluation.outcome import Episode
from sb3_lander.evaluation.output import Evaluated
from sb3_lander.report import WeatherGrid

FEW = ["--episodes", "2", "--first-seed", "50", "--processes", "1"]


@pytest.fixture
def weather_run(tmp_path: Path) -> Path:
    """Return the shipped agent as if it had been trained with RandomWeather."""
    run = Path(shutil.copytree(shipped_agent(), tmp_path / "run"))
    config = {"env_wrapper": ["sb3_lander.envs.SuccessWrapper", {"sb3_lander.envs.RandomWeather": {}}]}
    (run / V3_ID / "config.yml").write_text(yaml.safe_dump(config))
    return run


def grid_of(run: Path, *options: str) -> list[EvaluationReport]:
    file = run.parent / "weather.json"
    assert main(["weather", str(run), *options, *FEW, "--json", str(file)]) == 0
    return [EvaluationReport.from_dict(one) for one in json.loads(file.read_text())["weathers"]]


def test_each_weather_is_what_evaluate_gives_with_gymnasiums_own_arguments(
    weather_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    figures = weather_run.parent / "figures"
    found = grid_of(weather_run, "--gravity", "-3", "-10", "--wind", "0", "15", "--figures", str(figures))
    agent = Agent.load(shipped_agent())
    # Gymnasium's own defaults are a gravity of -10, and, with wind, a power of 15 and a turbulence of 1.5.
    given: list[dict[str, Any]] = [
        {"gravity": -3.0},
        {"gravity": -3.0, "enable_wind": True},
        {},
        {"enable_wind": True},
    ]
    alone = [evaluate(agent, fixed_tasks(V3_ID, 2, first_seed=50, env_kwargs=kwargs)) for kwargs in given]
    assert [report.episodes for report in found] == [report.episodes for report in alone]
    assert len({report.episodes for report in alone}) == 4

    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == f"{V3_ID}: 2 fixed tasks (seeds 50 to 51) in each weather, deterministic"
    cells = {words[1]: words[2:] for line in lines[-7:] if (words := line.split())[0] == "gravity"}
    assert cells == {
        "-3": [f"{report.iqm_return:.1f}" for report in alone[:2]],
        "-10": [f"{report.iqm_return:.1f}" for report in alone[2:]],
    }
    assert lines[-3:] == [f"wrote {figures / 'weather.svg'}", f"wrote {figures / 'weather.png'}", lines[-1]]
    texts = [element.text for element in ElementTree.parse(figures / "weather.svg").iter() if element.text]
    assert {f"{report.iqm_return:.0f}" for report in alone} | {"-3", "-10", "0", "15", "wind", "gravity"} <= set(texts)


def test_the_turbulence_can_be_the_same_everywhere(weather_run: Path) -> None:
    still, windy = grid_of(weather_run, "--gravity", "-10", "--wind", "0", "10", "--turbulence", "2")
    expected = {"gravity": -10.0, "enable_wind": True, "turbulence_power": 2.0}
    assert still.env_kwargs == {**expected, "wind_power": 0.0}
    assert windy.env_kwargs == {**expected, "wind_power": 10.0}


def test_without_a_path_the_agent_for_any_weather_is_played(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["weather", "--gravity", "-10", "--wind", "15", *FEW]) == 0
    steps, title, *_, iqm = capsys.readouterr().out.splitlines()
    agent = Agent.load(shipped_agent(weather=True))
    assert steps == f"{V3_ID}.zip after {agent.step:,} steps"
    assert title.startswith(f"{V3_ID}: 2 fixed tasks")
    report = evaluate(agent, fixed_tasks(V3_ID, 2, first_seed=50, env_kwargs={"gravity": -10.0, "enable_wind": True}))
    assert iqm.split() == ["gravity", "-10", f"{report.iqm_return:.1f}"]


def test_without_given_weather_a_run_is_evaluated_in_that_of_its_wrapper(weather_run: Path) -> None:
    report = evaluate(Agent.load(weather_run), fixed_tasks(V3_ID, 2, first_seed=50))
    agent = Agent.load(shipped_agent())
    for episode in report.episodes:
        with RandomWeather(gym.make(V3_ID)) as env:
            weather = env.reset(seed=episode.seed)[1]["weather"]
        task = fixed_tasks(V3_ID, 1, first_seed=episode.seed, env_kwargs={**weather, "enable_wind": True})
        assert evaluate(agent, task).episodes == (episode,)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--gravity -10 -12", "gravity -12 is out of gymnasium's range: it must be between -12 and 0, such as -11.9"),
        ("--gravity 0", "gravity 0 is out of gymnasium's range"),
        ("--wind 5 21", "wind_power 21 is out of gymnasium's range: it must be from 0 to 20"),
        ("--turbulence 3", "turbulence_power 3 is out of gymnasium's range: it must be from 0 to 2"),
        ("--env CartPole-v1", "cannot make CartPole-v1 with {'gravity': -2.0"),
        ("--json no/such/folder.json", "no folder no/such for folder.json"),
        ("--episodes 0", "n must be an integer >= 1, got 0"),
    ],
)
def test_what_cannot_work_is_one_line_before_any_work(
    options: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["weather", str(shipped_agent()), *options.split()]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line


def made_report(*returns: float) -> EvaluationReport:
    episodes = tuple(Episode(i, value, 100, value >= 200, "timed_out") for i, value in enumerate(returns))
    return EvaluationReport(V3_ID, {}, True, 200.0, episodes)


def test_the_figures_stand_in_the_rows_of_their_gravity() -> None:
    agent = Agent.load(shipped_agent())
    returns = [(300.0, 280.0), (250.0, 150.0), (199.0, 100.0), (270.0, 210.0), (220.0, 220.0), (0.0, 240.0)]
    grid = WeatherGrid((-2.0, -10.0), (0.0, 10.0, 20.0), tuple(Evaluated(agent, made_report(*two)) for two in returns))
    np.testing.assert_array_equal(grid.success, [[100, 50, 0], [100, 100, 50]])
    np.testing.assert_array_equal(grid.iqm, [[290, 200, 149.5], [240, 220, 120]])
    assert str(grid).splitlines()[2:] == [
        "  success           wind 0  wind 10  wind 20",
        "  gravity -2        100.0%    50.0%     0.0%",
        "  gravity -10       100.0%   100.0%    50.0%",
        "  return (iqm)      wind 0  wind 10  wind 20",
        "  gravity -2         290.0    200.0    149.5",
        "  gravity -10        240.0    220.0    120.0",
    ]
    assert grid.plot().text == (
        "Success is between 0.0% (gravity -2, wind 20) and 100.0%, the return's interquartile mean between 120 and 290."
    )
