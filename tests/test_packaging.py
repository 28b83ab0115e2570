"""The built wheel, installed somewhere else."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import venv
import zipfile
from importlib import metadata
from pathlib import Path

import pytest
from conftest import REPO, split


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel of this checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(REPO)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (built,) = folder.glob("*.whl")
    return built


def test_the_wheel_holds_the_zoos_hook_the_hyperparameters_and_the_type_marker(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    files = {f"sb3_lander/{file.relative_to(REPO)}" for file in (REPO / "hyperparams").rglob("*.yml")}
    files |= {str(f.relative_to(REPO)) for f in (REPO / "sb3_lander").rglob("*") if f.is_file() and f.suffix != ".pyc"}
    assert {"sb3_lander/agents/trained/ppo/LunarLanderContinuous-v3_1/report.json", "sb3_lander/py.typed"} <= files
    assert {"custom_envs.py"} | files <= names
    top_level = {name.split("/")[0] for name in names}
    assert {name for name in top_level if not name.endswith(".dist-info")} == {"sb3_lander", "custom_envs.py"}


def test_the_literal_command_works_from_the_wheel_in_an_empty_folder(wheel: Path, tmp_path: Path) -> None:
    home = tmp_path / "venv"
    venv.create(home, with_pip=False)
    python = home / "bin" / "python"
    (packages,) = home.glob("lib/python*/site-packages")
    command = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps", "--no-index", wheel]
    subprocess.run(command, check=True)
    # The dependencies come from the environment of this test. Files ending in .pth have no effect there, so the
    # checkout's editable install stays out of sight and the only sb3_lander is the wheel's.
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n" + _further_packages())
    empty = tmp_path / "empty"
    empty.mkdir()

    def run(*arguments: str) -> str:
        done = subprocess.run(
            [str(python), *arguments],
            cwd=empty,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout

    ours = packages / "sb3_lander/hyperparams/ppo.yml"
    assert run("-m", "sb3_lander", "config", "ppo").strip() == str(ours)
    output = run(
        *split("-m rl_zoo3.train --algo ppo --env LunarLanderContinuous-v2"),
        *split("-n 1024 --eval-freq 1024 --eval-episodes 1 -params n_steps:32 n_epochs:1"),
    )
    assert f"Loading hyperparameters from: {ours}" in output
    assert (empty / "logs/ppo/LunarLanderContinuous-v2_1/LunarLanderContinuous-v2.zip").is_file()
    assert "Success rate: 100.00%" in run("-m", "sb3_lander", "enjoy", "-n", "400", "--no-render")


def _further_packages() -> str:
    """Return what this process imports from besides its own site-packages, for environments made of several."""
    own = sysconfig.get_path("purelib")
    return "\n".join(path for path in sys.path if path.endswith("site-packages") and path != own) + "\n"


@pytest.mark.parametrize(
    "command",
    [
        'python3 -m venv .venv && . .venv/bin/activate && pip install -e ".[fast]" && '
        "python -m rl_zoo3.train --algo ppo --env LunarLanderContinuous-v2",
        "bash scripts/test.sh",
    ],
)
def test_the_commands_that_ci_runs_are_the_readmes(command: str) -> None:
    assert command in (REPO / ".ci/run").read_text()
    assert command in (REPO / "README.md").read_text()


def test_the_oldest_versions_are_the_lower_bounds_of_the_requirements() -> None:
    command = [sys.executable, REPO / "scripts/oldest_versions.py"]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    names = {line.split("==")[0] for line in lines}
    assert {"torch", "rl-zoo3", "envpool", "onnx"} <= names
    assert "types-PyYAML" not in names  # it has no bound
    stated = metadata.requires("sb3-lander")
    (torch,) = (line for line in lines if line.startswith("torch=="))
    assert torch.replace("==", ">=") in (stated or [])
