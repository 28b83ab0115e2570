"""The ONNX file acts as the policy does, and flies the lander without torch."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from conftest import REPO, python
from sb3_contrib import ARS, RecurrentPPO
from stable_baselines3 import DQN, PPO, SAC
from stable_baselines3.common.vec_env import VecNormalize

from sb3_lander import Agent, SeparateActorCriticPolicy
from sb3_lander.__main__ import main
from sb3_lander.agents import onnx as export
from sb3_lander.policies.symmetry import SYMMETRIES

V3, DISCRETE = "LunarLanderContinuous-v3", "LunarLander-v3"
FOUR = {"mirror": "lunar_lander_discrete", "fast": True, "activation_fn": "relu"}
AVERAGE = {**SYMMETRIES["lunar_lander"], "method": "average"}
OURS = {"mirror": "lunar_lander", "bounded_mean": True, "fast": True, "activation_fn": "relu"}


@pytest.fixture(autouse=True)
def fewer_observations(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "CHECKED_OBSERVATIONS", 500)


def acts(file: Path, observations: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"observation": observations})[0])


@pytest.mark.parametrize(
    ("make", "env_id"),
    [
        (lambda: PPO(SeparateActorCriticPolicy, V3, policy_kwargs=OURS), V3),
        (lambda: PPO("MlpPolicy", V3, policy_kwargs={"log_std_init": 2.0}), V3),
        (lambda: PPO(SeparateActorCriticPolicy, V3, policy_kwargs={"log_std_bounds": [-1, 0.5], "fast": True}), V3),
        (lambda: PPO(SeparateActorCriticPolicy, V3, policy_kwargs={"mirror": AVERAGE}), V3),
        (lambda: PPO(SeparateActorCriticPolicy, DISCRETE, policy_kwargs=FOUR), DISCRETE),
        (lambda: SAC("MlpPolicy", "Pendulum-v1"), "Pendulum-v1"),
        (lambda: ARS("LinearPolicy", "Pendulum-v1"), "Pendulum-v1"),
        (lambda: DQN("MlpPolicy", "CartPole-v1"), "CartPole-v1"),
    ],
)
def test_the_file_acts_as_sb3s_predict_does(make: Callable[[], Any], env_id: str, tmp_path: Path) -> None:
    model = make()
    model.save(tmp_path / "model.zip")
    file = tmp_path / "model.onnx"
    assert export.export(Agent.load(tmp_path / "model.zip", env_id=env_id), file) < 1e-5
    rng = np.random.default_rng(0)
    observations = rng.normal(0.0, 2.0, (64, *model.observation_space.shape)).astype(np.float32)
    # On the seam of the mirror and on both of its sides; far out, where actions are clipped.
    observations[:8, 0] = 0.0
    observations[8:16] *= 100.0
    theirs = model.predict(observations, deterministic=True)[0]
    np.testing.assert_allclose(acts(file, observations), theirs, atol=1e-5)
    np.testing.assert_allclose(acts(file, observations[:1]), theirs[:1], atol=1e-5)


def test_normalisation_is_part_of_the_file(zoo: Callable[..., str], tmp_path: Path) -> None:
    zoo("train --algo ppo --env Pendulum-v1 -n 600 --eval-freq -1 --seed 1 -params normalize:True n_envs:2 n_steps:64")
    run = tmp_path / "logs" / "ppo" / "Pendulum-v1_1"
    assert main(["export", str(run), "--onnx", str(tmp_path / "model.onnx"), "--trust"]) == 0
    agent = Agent.load(run, trust=True)
    assert isinstance(agent.vec_normalize, VecNormalize)
    observations = np.random.default_rng(0).normal(0.0, 3.0, (50, 3)).astype(np.float32)
    theirs = agent.policy.predict(agent.vec_normalize.normalize_obs(observations), deterministic=True)[0]
    np.testing.assert_allclose(acts(tmp_path / "model.onnx", observations), theirs, atol=1e-5)


def test_the_example_flies_with_onnxruntime_and_gymnasium_alone(tmp_path: Path) -> None:
    PPO(SeparateActorCriticPolicy, V3, policy_kwargs=OURS).save(tmp_path / "model.zip")
    command = ["export", str(tmp_path / "model.zip"), "--onnx", str(tmp_path / "lander.onnx")]
    assert main(command) == 0
    flown = python(REPO / "scripts" / "fly_onnx.py", "lander.onnx", cwd=tmp_path)
    assert flown.status == 0, flown.output
    assert flown.output.count("return") == 5
    imports = [line for line in (REPO / "scripts" / "fly_onnx.py").read_text().splitlines() if "import" in line]
    assert imports[-3:] == ["import sys", "import gymnasium as gym", "import onnxruntime"]


def test_what_cannot_be_exported_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    RecurrentPPO("MlpLstmPolicy", "Pendulum-v1").save(tmp_path / "model.zip")
    command = ["export", str(tmp_path / "model.zip"), "--env", "Pendulum-v1", "--onnx"]
    assert main([*command, str(tmp_path / "model.onnx")]) == 2
    assert "a recurrent policy has a state" in capsys.readouterr().err
    assert main([*command, str(tmp_path / "nowhere" / "model.onnx")]) == 2
    assert "no folder" in capsys.readouterr().err
    assert [file.name for file in tmp_path.iterdir()] == ["model.zip"]


def test_without_the_extra_one_line_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    PPO("MlpPolicy", V3).save(tmp_path / "model.zip")
    monkeypatch.setattr(export, "_NEEDED", ("onnx", "a_package_that_nobody_has"))
    assert main(["export", str(tmp_path / "model.zip"), "--onnx", str(tmp_path / "model.onnx")]) == 2
    expected = 'sb3_lander: error: ONNX needs a_package_that_nobody_has: pip install "sb3-lander[onnx]"\n'
    assert capsys.readouterr().err == expected
