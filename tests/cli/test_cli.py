"""``python -m sb3_lander``."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import REPO, python

from sb3_lander.__main__ import main


def test_config_prints_the_path_of_our_file(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "ppo"]) == 0
    assert capsys.readouterr().out == f"{REPO / 'hyperparams' / 'ppo.yml'}\n"


def test_an_unknown_configuration_is_one_line_and_status_2(tmp_path: Path) -> None:
    done = python("-m sb3_lander config nothing", cwd=tmp_path)
    assert done.status == 2
    (line,) = done.output.splitlines()
    assert line.startswith("sb3_lander: error: no hyperparameters for 'nothing'; valid names: a2c, allenact,")


@pytest.mark.parametrize("arguments", [[], ["config"], ["fly"], ["config", "ppo", "sac"]])
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
