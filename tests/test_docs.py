"""The documentation: it builds without a warning, and what is generated in it is complete."""

from __future__ import annotations

import importlib
import inspect
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from conftest import REPO
from stable_baselines3.common.policies import ActorCriticPolicy

from sb3_lander.policies import SeparateActorCriticPolicy
from sb3_lander.zoo import checks


@pytest.fixture
def generate(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Return the module that writes the reference."""
    monkeypatch.syspath_prepend(REPO / "scripts")
    monkeypatch.syspath_prepend(REPO / "docs")
    return importlib.import_module("generate")


def build(target: Path) -> None:
    """Build as CONTRIBUTING.md says, with the tutorial's trainings."""
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "docs", target]
    assert " ".join(map(str, ["python", *command[1:5], "docs"])) in (REPO / "CONTRIBUTING.md").read_text()
    done = subprocess.run(command, cwd=REPO, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_documentation_builds_and_its_notebook_runs(tmp_path: Path) -> None:
    build(tmp_path)
    tutorial = (tmp_path / "tutorial.html").read_text()
    assert tutorial.count("<video") == 2
    assert "LunarLanderContinuous-v2: 20 fixed tasks (seeds 50000000 to 50000019)" in tutorial
    # The second training of the page solves the task, with a tenth of its budget.
    (mean_return,) = re.findall(r"LunarLanderContinuous-v2: 100 fixed tasks.*?return\s+(-?[\d.]+)", tutorial, re.S)[-1:]
    assert float(mean_return) > 150
    assert "EnvPoolVecEnv" in (tmp_path / "searchindex.js").read_text()
    commands = (tmp_path / "reference/commands.html").read_text()
    assert "--checkpoints" in commands
    results = (tmp_path / "results.html").read_text()
    assert results.count("<table") >= 8


def test_the_tables_stand_in_the_sources_as_the_results_have_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(REPO / "scripts")
    update_readme = importlib.import_module("update_readme")
    for page in update_readme.PAGES:
        text = page.read_text()
        assert update_readme.fill_tables(text) == text, f"run python scripts/update_readme.py: {page}"


def test_the_policys_arguments_are_all_in_the_table_with_their_defaults(generate: ModuleType) -> None:
    table = {
        cells[1].strip().strip("`"): cells[3].strip().strip("`")
        for line in generate.policy_arguments().replace("\\|", "or").splitlines()
        if line.startswith("| `") and len(cells := line.split("|")) == 6
    }
    base = inspect.signature(ActorCriticPolicy).parameters
    own = {
        name: parameter.default
        for name, parameter in inspect.signature(SeparateActorCriticPolicy).parameters.items()
        if name not in base
    }
    assert set(own) | {"net_arch", "activation_fn", "optimizer_kwargs"} <= set(table)
    for name, default in own.items():
        assert table[name] == repr(default), name


def test_the_keys_of_the_zoo_are_all_in_the_table(generate: ModuleType) -> None:
    assert set(generate.ZOO_KEYS) == checks._ZOO_KEYS


def test_every_option_of_every_command_is_in_the_reference(generate: ModuleType) -> None:
    text = generate.commands()
    for word in ("### tune top", "`--until-solved`", "`-n`, `--n-timesteps N_TIMESTEPS`", "(default: 1000000)", "RUN"):
        assert word in text, word
    assert "--safe" not in text  # hidden from --help too
    assert "SUPPRESS" not in text


def test_every_public_name_has_a_place_and_a_docstring(generate: ModuleType) -> None:
    for room in generate.rooms():
        module = importlib.import_module(f"sb3_lander.{room}")
        assert set(generate.public_names(room)) == set(module.__all__), room
        for name in module.__all__:
            assert f".{name}\n" in generate.api(room)


def test_the_typed_example_runs(tmp_path: Path) -> None:
    command = [sys.executable, REPO / "docs/examples/own_project.py", "2048"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Pendulum-v1: 20 fixed tasks" in done.stdout
