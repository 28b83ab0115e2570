"""What processes of environments get from the one that starts them."""

from __future__ import annotations

import multiprocessing
import sys
from multiprocessing import forkserver
from pathlib import Path

import pytest
from conftest import python

from sb3_lander.envs.processes import PRELOADED, prepare_processes

FAILED_IMPORT = """
import sys
from functools import partial
import gymnasium as gym
from stable_baselines3.common.vec_env import SubprocVecEnv
from sb3_lander.envs.processes import prepare_processes

if __name__ == "__main__":
    sys.path.insert(1, {folder!r})
    prepare_processes()
    env = SubprocVecEnv([partial(gym.make, "CartPole-v1")] * 2, start_method="spawn")
    print(env.reset().shape)
    env.close()
"""


def test_processes_start_although_an_import_of_opencv_has_failed(tmp_path: Path) -> None:
    opencv = tmp_path / "cv2"
    (opencv / "typing").mkdir(parents=True)
    (opencv / "load_config_py3.py").touch()
    (opencv / "typing" / "__init__.py").write_text("raise ImportError('libxcb.so.1: cannot open shared object file')")
    script = tmp_path / "script.py"
    script.write_text(FAILED_IMPORT.format(folder=str(opencv)))
    done = python(script, cwd=tmp_path)
    assert done.output.splitlines()[-1] == "(2, 4)", done.output


def test_what_the_user_preloads_stays_and_ours_is_added_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forkserver._forkserver, "_preload_modules", ["theirs"])
    prepare_processes()
    prepare_processes(("more", *PRELOADED))
    assert forkserver._forkserver._preload_modules == ["theirs", *PRELOADED, "more"]


def test_without_a_forkserver_nothing_is_preloaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forkserver._forkserver, "_preload_modules", [])
    monkeypatch.setattr(multiprocessing, "get_all_start_methods", lambda: ["spawn"])
    path = list(sys.path)
    prepare_processes()
    assert forkserver._forkserver._preload_modules == []
    assert sys.path == path
