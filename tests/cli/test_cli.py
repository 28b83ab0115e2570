"""``python -m sb3_lander``."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import REPO, python

from sb3_lander.__main__ import main
from sb3_lander.evaluation.outcome import OUTCOMES


def test_config_prints_the_path_of_our_file(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "ppo"]) == 0
    assert capsys.readouterr().out == f"{REPO / 'hyperparams' / 'ppo.yml'}\n"


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_reader_that_has_ended_is_no_mistake_in_the_input(unbuffered: str) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", "sb3_lander", "config", "ppo"],
        env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
        stdout=writer,
        stderr=subprocess.PIPE,
        check=False,
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, b"")


def test_a_broken_pipe_of_another_kind_is_reported(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*arguments: object) -> None:
        raise BrokenPipeError("a worker is gone")

    monkeypatch.setattr("sb3_lander.runs.entries.default_config", broken)
    assert main(["config", "ppo"]) == 2
    assert "a worker is gone" in capsys.readouterr().err


def test_config_alone_says_that_the_zoos_commands_use_our_files(tmp_path: Path) -> None:
    done = python("-m sb3_lander config", cwd=tmp_path)
    assert done.status == 0, done.output
    names, hook = done.output.splitlines()
    assert names.startswith("Hyperparameters: a2c, allenact, ")
    assert hook.startswith("The RL Zoo's commands use them")
    assert "custom_envs.py is the hook" in hook  # an editable install has a copy of ours in site-packages


@pytest.mark.parametrize("content", ["", "import a_module_that_is_not_installed\n"])
def test_config_names_the_module_that_hides_our_hook(content: str, tmp_path: Path) -> None:
    (tmp_path / "custom_envs.py").write_text(content)
    hook = python("-m sb3_lander config", cwd=tmp_path).output.splitlines()[-1]
    assert hook.startswith("The RL Zoo's commands do NOT use them here: ")
    assert str(tmp_path / "custom_envs.py") in hook


def test_config_sees_that_somebody_elses_module_calls_ours(tmp_path: Path) -> None:
    (tmp_path / "custom_envs.py").write_text("from sb3_lander.zoo import register\n\nregister()\n")
    hook = python("-m sb3_lander config", cwd=tmp_path).output.splitlines()[-1]
    assert hook.startswith("The RL Zoo's commands use them")
    assert str(tmp_path / "custom_envs.py") in hook


def test_the_zoos_commands_run_behind_ours_where_somebody_elses_module_hides_the_hook(tmp_path: Path) -> None:
    (tmp_path / "custom_envs.py").write_text("print('the user has a module of that name')\n")
    agent = "--algo ppo --env LunarLanderContinuous-v2"
    short = "-n 256 --eval-freq -1 --vec-env subproc -params n_envs:2 n_steps:64 batch_size:64 n_epochs:1"
    trained = python(f"-m sb3_lander zoo train {agent} {short}", cwd=tmp_path)
    assert trained.status == 0, trained.output
    assert "the user has a module of that name" in trained.output
    assert f"Loading hyperparameters from: {REPO / 'hyperparams' / 'ppo.yml'}" in trained.output
    run = tmp_path / "logs/ppo/LunarLanderContinuous-v2_1"
    assert "sb3_lander zoo train --algo ppo" in (run / "LunarLanderContinuous-v2/command.txt").read_text()
    for command in ("enjoy", "record-video"):
        played = python(f"-m sb3_lander zoo {command} {agent} -f logs -n 20", cwd=tmp_path)
        assert played.status == 0, played.output
    assert len(list((run / "videos").glob("*.mp4"))) == 1


def test_the_help_of_a_command_of_the_zoo_is_the_zoos(tmp_path: Path) -> None:
    done = python("-m sb3_lander zoo train --help", cwd=tmp_path)
    assert done.status == 0
    assert done.output.startswith("usage: sb3_lander zoo train")
    assert "--optimize-hyperparameters" in done.output


def test_a_mistake_behind_zoo_is_one_line_and_status_2(tmp_path: Path) -> None:
    done = python("-m sb3_lander zoo train --algo ppo --env LunarLanderContinous-v2", cwd=tmp_path)
    assert done.status == 2
    (line,) = done.output.splitlines()
    assert line.startswith("sb3_lander: error: LunarLanderContinous-v2 not found")


def test_an_unknown_configuration_is_one_line_and_status_2(tmp_path: Path) -> None:
    done = python("-m sb3_lander config nothing", cwd=tmp_path)
    assert done.status == 2
    (line,) = done.output.splitlines()
    assert line.startswith("sb3_lander: error: no hyperparameters for 'nothing'; valid names: a2c, allenact,")


@pytest.mark.parametrize("arguments", [[], ["evaluate"], ["fly"], ["zoo"], ["zoo", "fly"], ["config", "ppo", "sac"]])
def test_a_wrong_command_line_shows_the_usage_and_has_status_2(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    assert "usage: sb3_lander" in capsys.readouterr().err


def test_help_does_not_load_torch(tmp_path: Path) -> None:
    code = "import sys\nfrom sb3_lander.__main__ import main\n"
    code += "try: main(['--help'])\nfinally: print('torch' in sys.modules)"
    assert python(code=code, cwd=tmp_path).output.splitlines()[-1] == "False"


def test_evaluate_loads_nothing_for_plots_tables_videos_or_clusters(tmp_path: Path) -> None:
    model = next((REPO / "sb3_lander/agents/trained").rglob("*v3.zip"))
    code = f"import sys\nfrom sb3_lander.__main__ import main\nmain(['evaluate', {str(model)!r}, '--episodes', '1'])\n"
    code += "print({'distributed', 'matplotlib', 'moviepy', 'optuna', 'pandas', 'plotly'} & set(sys.modules))"
    assert python(code=code, cwd=tmp_path).output.splitlines()[-1] == "set()"


@pytest.mark.filterwarnings("ignore:.*LunarLander-v2 is out of date:DeprecationWarning")
@pytest.mark.parametrize("algo", ["ppo", "dqn"])
def test_every_command_takes_a_run_of_the_discrete_lander(
    algo: str, zoo: Callable[..., str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small = {"ppo": "n_envs:4 n_steps:64 batch_size:64", "dqn": "learning_starts:100 buffer_size:1000"}
    short = "-n 768 --save-freq 256 --eval-freq 512 --eval-episodes 1"
    zoo(f"train --algo {algo} --env LunarLander-v2 {short} --seed 1 -params {small[algo]}")
    run = tmp_path / "logs" / algo / "LunarLander-v2_1"

    def output_of(command: str) -> str:
        assert main(command.format(run=run, out=tmp_path).split()) == 0
        return capsys.readouterr().out

    evaluated = output_of("evaluate {run} --episodes 3 --json {out}/report.json")
    assert "LunarLander-v2: 3 fixed tasks" in evaluated
    episodes = json.loads((tmp_path / "report.json").read_text())["episodes"]
    # One engine fires a step, for 0.30 or 0.03, or none; every flight is told how it ended.
    assert all(0 <= episode["fuel"] <= 0.30 * episode["length"] + 1e-6 for episode in episodes)
    assert {episode["outcome"] for episode in episodes} <= set(OUTCOMES) - {"terminated"}
    table = output_of("evaluate {run} --episodes 2 --checkpoints")
    assert re.findall(r"^ +(\d+) +-?\d", table, flags=re.MULTILINE)[:3] == ["256", "512", "768"]
    assert "Episode Reward" in output_of("enjoy {run} --no-render -n 1000")
    assert "differ by at most 0.0e+00" in output_of("export {run} --onnx {out}/lander.onnx")
    output_of("report {run} -o {out}/report.html --episodes 3 --figures {out}/figures")
    assert {"flights", "slices"} <= {figure.stem for figure in (tmp_path / "figures").rglob("*.svg")}
    shutil.copytree(run, tmp_path / "others" / "LunarLander-v2_2")
    output_of("compare {run} {out}/others -o {out}/compare.html --episodes 2")
    (run / "LunarLander-v2.zip").unlink()
    (run / "rl_model_768_steps.zip").unlink()
    assert "Resuming" in output_of("resume {run}")
    assert (run / "LunarLander-v2.zip").is_file()
