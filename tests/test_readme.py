"""What the README says, tried."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest
from conftest import ShortRun
from stable_baselines3.common.policies import ActorCriticPolicy

from sb3_lander.__main__ import main
from sb3_lander.policies.policy import SeparateActorCriticPolicy

README = (Path(__file__).parent.parent / "README.md").read_text()


def test_the_python_in_the_readme_runs_as_it_stands_but_for_its_numbers(
    v2_run: ShortRun, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(v2_run.cwd)
    blocks = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    assert len(blocks) == 2
    code = "\n".join(blocks)
    assert "learn(300_000" in code
    assert "fixed_tasks(agent.env_id, 100)" in code
    code = code.replace("learn(300_000", "learn(8_192").replace("agent.env_id, 100", "agent.env_id, 3")
    exec(compile(code, "README.md", "exec"), {})
    assert "3 fixed tasks" in capsys.readouterr().out


def test_the_readme_names_every_argument_of_the_policys_own_with_its_default() -> None:
    table = {
        cells[1].strip().strip("`"): cells[3].strip()
        for line in README.splitlines()
        if line.startswith("| `") and len(cells := line.split("|")) == 6
    }
    base = inspect.signature(ActorCriticPolicy).parameters
    own = {
        name: parameter.default
        for name, parameter in inspect.signature(SeparateActorCriticPolicy).parameters.items()
        if name not in base
    }
    assert set(own) <= set(table)
    for name, default in own.items():
        assert table[name].strip("`").strip('"') == str(default), name


def test_the_readme_is_short_and_shows_the_literal_command() -> None:
    assert len(README.splitlines()) < 300
    assert "python -m rl_zoo3.train --algo ppo --env LunarLanderContinuous-v2" in README


def test_every_command_of_ours_in_the_readme_is_one_that_the_command_line_knows() -> None:
    for verb in set(re.findall(r"python -m sb3_lander ([\w-]+)", README)):
        with pytest.raises(SystemExit) as ended:
            main([verb, "--help"])
        assert ended.value.code == 0


def test_every_picture_of_the_readme_exists() -> None:
    folder = Path(__file__).parent.parent
    for picture in re.findall(r"!\[.*?\]\((.*?)\)", README):
        assert (folder / picture).is_file(), picture
