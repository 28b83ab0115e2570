"""Where studies live, and that one command at a time writes to them."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import optuna
import pytest
from optuna.exceptions import StorageInternalError
from postgres import Server

from sb3_lander.tuning import storage as storage_module
from sb3_lander.tuning.storage import hold, open_storage, patiently, sign

HOLDER = """
import sys, time, optuna
from sb3_lander.tuning.storage import hold, open_storage, sign
storage = open_storage(sys.argv[1])
with hold(storage, sys.argv[1], "s"):
    sign(optuna.create_study(study_name="s", storage=storage, load_if_exists=True))
    print("held", flush=True)
    time.sleep(3600)
"""


@pytest.fixture(params=["journal", "sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "postgres":
        return str(request.getfixturevalue("server").url)
    return str(tmp_path / "study.log") if request.param == "journal" else f"sqlite:///{tmp_path}/study.db"


def test_a_second_command_is_refused_and_told_who_has_the_study_until_that_is_killed(url: str) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLDER, url], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        second = open_storage(url)
        with (
            pytest.raises(ValueError, match=rf"study 's' is in use by .*, process {holder.pid}: wait"),
            hold(second, url, "s"),
        ):
            pass
        # Another study of the same storage is free, and everybody may look.
        with hold(second, url, "another"):
            assert optuna.study.get_all_study_names(second).count("s") == 1
        holder.kill()
        holder.wait()
    until = time.monotonic() + 60
    while True:
        try:
            with hold(second, url, "s"):
                break
        except ValueError:
            # A server takes a moment to see that a connection is gone.
            assert time.monotonic() < until
            time.sleep(0.2)
    # Other tests have this server too.
    with hold(second, url, "s"):
        optuna.delete_study(study_name="s", storage=second)


def test_a_restarted_server_is_waited_for_and_the_lock_taken_again(server: Server) -> None:
    storage, other = open_storage(server.url), open_storage(server.url)
    with hold(storage, server.url, "restarted"):
        study = optuna.create_study(study_name="restarted", storage=storage)
        sign(study)
        server.stop()
        server.start()
        patiently(study.set_user_attr, "after", 1)
        with pytest.raises(ValueError, match="study 'restarted' is in use by"), hold(other, server.url, "restarted"):
            pass
    with hold(other, server.url, "restarted"):
        assert optuna.load_study(study_name="restarted", storage=other).user_attrs["after"] == 1
        optuna.delete_study(study_name="restarted", storage=other)


def test_patience_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage_module, "_PATIENCE", 0.0)
    answers: list[Callable[[], int]] = [lambda: 1]

    def away() -> int:
        raise StorageInternalError

    assert patiently(answers[0]) == 1
    with pytest.raises(StorageInternalError):
        patiently(away)


def test_a_storage_that_nothing_guards_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    with hold(open_storage("sqlite:///:memory:"), "redis://host", "s"):
        pass
    assert "nothing keeps two commands from one study in redis://host" in capsys.readouterr().err
