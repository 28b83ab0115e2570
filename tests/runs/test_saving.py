"""Files are whole at any moment, and failures say what happened and leave the older file."""

from __future__ import annotations

import os
import resource
import tempfile
from pathlib import Path

import pytest
from stable_baselines3 import PPO

from sb3_lander.runs.archive import check_whole
from sb3_lander.runs.files import write_whole
from sb3_lander.runs.saving import save_model, save_vecnormalize


def test_a_saved_model_is_sb3s_own_file(tmp_path: Path) -> None:
    model = PPO("MlpPolicy", "Pendulum-v1", n_steps=64, batch_size=64).learn(64)
    save_model(model, tmp_path / "model.zip")
    check_whole(tmp_path / "model.zip")
    loaded = PPO.load(tmp_path / "model.zip")
    assert loaded.num_timesteps == 64
    assert loaded.policy.optimizer.state_dict()["state"].keys() == model.policy.optimizer.state_dict()["state"].keys()
    assert [file.name for file in tmp_path.iterdir()] == ["model.zip"]
    assert not save_vecnormalize(model, tmp_path / "statistics.pkl")


def test_a_failure_half_way_leaves_the_older_file_and_nothing_else(tmp_path: Path) -> None:
    file = tmp_path / "model.zip"
    file.write_bytes(b"older")

    def fail(out: object) -> None:
        raise RuntimeError("killed")

    with pytest.raises(RuntimeError, match="killed"):
        write_whole(file, fail)
    assert file.read_bytes() == b"older"


def test_a_full_disk_is_one_clear_error_and_leaves_the_older_file(tmp_path: Path) -> None:
    file = tmp_path / "model.zip"
    write_whole(file, lambda out: out.write(b"older"))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    # The nearest thing to a full disk that needs no disk: no file may grow beyond this.
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(OSError, match=r"cannot save .*model\.zip \(.+\); what was saved before is untouched"):
            write_whole(file, lambda out: out.write(b"x" * 100_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert file.read_bytes() == b"older"
    assert [file.name for file in tmp_path.iterdir()] == ["model.zip"]


def test_a_read_only_folder_is_one_clear_error_and_leaves_the_older_file() -> None:
    with tempfile.TemporaryDirectory() as name:
        file = Path(name, "model.zip")
        write_whole(file, lambda out: out.write(b"older"))
        Path(name).chmod(0o555)
        root = os.geteuid() == 0
        if root:  # root may write anywhere
            os.seteuid(65534)
        try:
            with pytest.raises(PermissionError, match=r"cannot save .*model\.zip \(Permission denied\)"):
                write_whole(file, lambda out: out.write(b"newer"))
        finally:
            if root:
                os.seteuid(0)
            Path(name).chmod(0o755)
        assert file.read_bytes() == b"older"
