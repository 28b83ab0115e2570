"""A replay buffer of our own in the Zoo's YAML."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch as th
import yaml
from conftest import python
from stable_baselines3 import SAC
from stable_baselines3.common.save_util import load_from_pkl

from sb3_lander.policies import MirrorReplayBuffer
from sb3_lander.runs import Run

PENDULUM = {"obs_permutation": [0, 1, 2], "obs_sign": [1, -1, -1], "action_sign": [-1]}
V3 = "LunarLanderContinuous-v3"


def entry(**changes: Any) -> dict[str, Any]:
    return {
        "n_timesteps": 450,
        "policy": "MlpPolicy",
        "learning_starts": 100,
        "buffer_size": 1000,
        "policy_kwargs": {"net_arch": [8]},
        "replay_buffer_class": "sb3_lander.policies.MirrorReplayBuffer",
        **changes,
    }


@pytest.mark.parametrize(("env_id", "mirror"), [(V3, "lunar_lander"), ("Pendulum-v1", PENDULUM)])
def test_an_entry_names_it_by_its_path_for_any_environment_and_a_killed_run_gets_it_back(
    env_id: str, mirror: Any, tmp_path: Path
) -> None:
    given = entry(replay_buffer_kwargs={"mirror": mirror})
    (tmp_path / "mine.yml").write_text(yaml.safe_dump({env_id: given}))
    command = f"-m rl_zoo3.train --algo sac --env {env_id} --conf-file mine.yml --save-freq 200 --save-replay-buffer"
    trained = python(command, "--eval-freq -1", cwd=tmp_path)
    assert trained.status == 0, trained.output
    folder = tmp_path / f"logs/sac/{env_id}_1"
    buffer_keys = {"replay_buffer_class", "replay_buffer_kwargs"}
    assert {key: value for key, value in Run.load(folder).config.items() if key in buffer_keys} == {
        key: given[key] for key in buffer_keys
    }
    final = folder / f"{env_id}.zip"
    assert SAC.load(final).replay_buffer_class is MirrorReplayBuffer

    final.unlink()
    resumed = python(f"-m sb3_lander resume {folder}", cwd=tmp_path)
    assert resumed.status == 0, resumed.output
    assert f"Resuming logs/sac/{env_id}_1 at 400 of 450" in resumed.output.replace(f"{tmp_path}/", "")
    assert "so it is filled anew" not in resumed.output
    buffer = load_from_pkl(folder / "replay_buffer.pkl")
    assert type(buffer) is MirrorReplayBuffer
    assert buffer.pos > 400, "the buffer was filled anew"
    stored = buffer.observations[: buffer.pos, 0, 0]
    seen = buffer.sample(256).observations[:, 0].numpy()
    # The lander's x changes its sign in the mirror, the pendulum's cosine does not.
    assert set(seen.tolist()) <= {*stored.tolist(), *(-stored).tolist()}
    assert (set(seen.tolist()) <= set(stored.tolist())) == (env_id == "Pendulum-v1")
    assert buffer.symmetry.mirror_action(th.ones(1, buffer.action_dim))[0, -1] == -1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"replay_buffer_class": "sb3_lander.policies.MirrorBuffer"}, "replay_buffer_class: 'sb3_lander.policies.Mirr"),
        ({"replay_buffer_class": "sb3_lander.policies.MirrorSymmetry"}, "is no subclass of ReplayBuffer"),
        ({"replay_buffer_class": 3}, "replay_buffer_class: 3 is not valid, it must be the dotted path"),
        ({"replay_buffer_kwargs": {"mirror": "up"}}, "do not suit MirrorReplayBuffer: mirror='up' is unknown"),
        ({"replay_buffer_kwargs": {"miror": "up"}}, "do not suit MirrorReplayBuffer: "),
        ({"replay_buffer_kwargs": {"mirror": PENDULUM}}, "have 3 entries, the observation has 8"),
    ],
)
def test_one_that_cannot_work_is_one_error_and_leaves_nothing_behind(
    zoo: Callable[..., str], changes: dict[str, Any], message: str, tmp_path: Path
) -> None:
    (tmp_path / "bad.yml").write_text(yaml.safe_dump({V3: entry(**changes)}))
    with pytest.raises(ValueError, match=re.escape(message)):
        zoo(f"train --algo sac --env {V3} --conf-file bad.yml")
    assert [path.name for path in tmp_path.iterdir()] == ["bad.yml"]
