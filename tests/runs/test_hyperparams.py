"""Every entry of hyperparams/ resolves, without a training."""

from __future__ import annotations

import argparse
import math
import re
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import rl_zoo3
import yaml
from conftest import REPO
from rl_zoo3.exp_manager import ExperimentManager
from rl_zoo3.utils import ALGOS, get_class_by_name
from stable_baselines3 import PPO
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from torch import nn

from sb3_lander.envs.registration import ENV_IDS, SuccessWrapper
from sb3_lander.envs.weather import RandomWeather
from sb3_lander.runs.entries import has_entry
from sb3_lander.zoo.hook import register

pytestmark = pytest.mark.filterwarnings(r"ignore:.*LunarLander\w*-v2 is out of date:DeprecationWarning")

FILES = sorted((REPO / "hyperparams").glob("*.yml"))
ENTRIES = [(file, env_id) for file in FILES for env_id in yaml.safe_load(file.read_text())]


def model_of(file: Path, env_id: str, log_folder: Path, **changes: Any) -> Any:
    register()
    algo = file.stem if file.stem in ALGOS else "ppo"  # the tutorial's configuration
    options = {"eval_freq": -1, "hyperparams": changes, "config": str(file), "verbose": 0}
    manager = ExperimentManager(argparse.Namespace(num_threads=1), algo, env_id, str(log_folder), **options)
    results = manager.setup_experiment()
    assert results is not None
    return results[0]


@pytest.mark.parametrize("env_id", ENV_IDS)
def test_every_algorithm_that_can_act_in_an_environment_has_an_entry_for_it(env_id: str) -> None:
    env = gym.make(env_id)

    def can_act(algo: str) -> bool:
        try:
            ALGOS[algo](next(iter(ALGOS[algo].policy_aliases)), env, device="cpu", _init_setup_model=False)
        except AssertionError:  # "The algorithm only supports ... as action spaces"
            return False
        return True

    assert [algo for algo in ALGOS if has_entry(algo, env_id)] == [algo for algo in ALGOS if can_act(algo)]
    env.close()


@pytest.mark.parametrize(("file", "env_id"), ENTRIES, ids=lambda part: getattr(part, "stem", part))
def test_every_entry_makes_its_model_and_its_environments(file: Path, env_id: str, tmp_path: Path) -> None:
    entry = yaml.safe_load(file.read_text())[env_id]
    model = model_of(file, env_id, tmp_path)
    expected = np.prod([entry.get("n_envs", 1), entry.get("n_steps", 1)])
    if isinstance(model, OnPolicyAlgorithm):
        assert model.n_envs * model.n_steps == expected
    if "policy_kwargs" in entry:
        assert entry["policy_kwargs"].items() <= model.policy_kwargs.items()
    env = model.get_env()
    task = gym.make(env_id)
    assert (env.observation_space, env.action_space) == (task.observation_space, task.action_space)
    env.close()


def test_n_step_returns_have_the_discount_that_the_algorithm_is_given(tmp_path: Path) -> None:
    model = model_of(REPO / "hyperparams/sac.yml", "LunarLanderContinuous-v2", tmp_path, gamma=0.9)
    assert model.gamma == model.replay_buffer.gamma == model.get_vec_normalize_env().gamma == 0.9
    model.get_env().close()


@pytest.mark.parametrize("file", [file for file in FILES if file.stem != "walker"], ids=lambda file: file.stem)
def test_a_file_has_the_same_settings_for_v2_and_v3_and_nothing_else(file: Path) -> None:
    content = yaml.safe_load(file.read_text())
    assert set(content) <= set(ENV_IDS)
    for env_id, entry in content.items():
        assert content[env_id[:-1] + ("3" if env_id.endswith("2") else "2")] == entry


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_file_says_where_its_numbers_come_from(file: Path) -> None:
    comments = " ".join(line for line in file.read_text().splitlines() if line.startswith("#"))
    assert "Provenance: " in comments


def strings(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [text for item in value.values() for text in strings(item)]
    if isinstance(value, list):
        return [text for item in value for text in strings(item)]
    return [value] if isinstance(value, str) else []


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_file_holds_no_python(file: Path) -> None:
    plain = re.compile(r"[\w.]+|lin_[\d.e-]+|ornstein-uhlenbeck")
    assert [text for text in strings(yaml.safe_load(file.read_text())) if not plain.fullmatch(text)] == []
    assert "!!python" not in file.read_text()


TUNED = {
    *((algo, "LunarLander-v3") for algo in ("ppo", "trpo", "dqn", "qrdqn")),
    *((algo, "LunarLanderContinuous-v3") for algo in ALGOS),
}
"""Our own; all others are the Zoo's."""


@pytest.mark.parametrize(
    ("file", "env_id"),
    [
        (file, env_id)
        for file, env_id in ENTRIES
        if file.stem in ALGOS and env_id.endswith("3") and (file.stem, env_id) not in TUNED
    ],
    ids=lambda part: getattr(part, "stem", part),
)
def test_the_other_algorithms_have_the_zoos_numbers(file: Path, env_id: str) -> None:
    algo = file.stem
    zoo = yaml.safe_load((Path(rl_zoo3.__file__).parent / f"hyperparams/{algo}.yml").read_text())
    theirs = zoo["LunarLanderNoVel-v2" if algo == "ppo_lstm" else env_id]
    theirs = {key: eval(value, {"nn": nn}) if "dict" in str(value) else value for key, value in theirs.items()}
    ours = yaml.safe_load(file.read_text())[env_id]
    assert ours.pop("env_wrapper") == "sb3_lander.envs.SuccessWrapper"
    if algo == "ppo_lstm":  # with the faster policy, whose activation has a name
        assert theirs["policy"] == "MlpLstmPolicy"
        assert theirs["policy_kwargs"]["activation_fn"] is nn.ReLU
        theirs["policy"], theirs["policy_kwargs"]["activation_fn"] = "sb3_lander.policies.FastLstmPolicy", "relu"
    assert ours == theirs


def test_allenacts_numbers_are_those_of_its_tutorial(tmp_path: Path) -> None:
    model = model_of(REPO / "hyperparams/allenact.yml", "LunarLanderContinuous-v2", tmp_path)
    assert isinstance(model, PPO)
    assert (model.n_envs, model.n_steps, model.n_epochs, model.batch_size) == (8, 2000, 80, 16000)
    assert (model.gamma, model.gae_lambda, model.max_grad_norm, model.ent_coef) == (0.99, 1.0, 100, 0.0)
    assert model.clip_range(1.0) == model.clip_range(0.0) == 0.2
    assert model.clip_range_vf(1.0) == model.clip_range_vf(0.0) == 0.2
    assert model.vf_coef == 0.5 * 0.5  # its coefficient, and the half inside its value loss
    assert model.normalize_advantage
    assert model.lr_schedule(1.0) == 1e-3
    assert model.lr_schedule(0.25) == pytest.approx(2.5e-4)
    assert (model.policy.optimizer.defaults["eps"], model.policy.optimizer.defaults["betas"]) == (1e-8, (0.9, 0.999))
    shapes = [tuple(parameter.shape) for parameter in model.policy.parameters() if parameter.ndim == 2]
    assert sorted(shapes) == sorted([(64, 8), (32, 64), (2, 32), (64, 8), (32, 64), (1, 32)])
    distribution = model.policy.get_distribution(model.policy.obs_to_tensor(np.zeros(8, dtype=np.float32))[0])
    assert math.isclose(float(distribution.distribution.stddev[0, 0]), 0.5, rel_tol=1e-6)
    model.get_env().close()


def test_the_weather_is_drawn_anew_in_every_env_of_its_entry(tmp_path: Path) -> None:
    env = model_of(REPO / "hyperparams/weather.yml", "LunarLanderContinuous-v3", tmp_path).get_env()
    assert env.env_is_wrapped(RandomWeather) == [True] * env.num_envs
    env.seed(5)
    env.reset()
    weathers = [info["weather"] for info in env.reset_infos]
    for name, (lowest, highest) in {"gravity": (-12, -2), "wind_power": (0, 20), "turbulence_power": (0, 2)}.items():
        values = [weather[name] for weather in weathers]
        # The extremes are drawn often, so these alone coincide.
        between = [value for value in values if lowest + 0.01 < value < highest]
        assert len(set(between)) == len(between) > env.num_envs / 4
        assert lowest <= min(values) < lowest + 0.3 * (highest - lowest)
        assert highest >= max(values) > highest - 0.3 * (highest - lowest)
    env.close()


@pytest.mark.parametrize(("file", "env_id"), ENTRIES, ids=lambda part: getattr(part, "stem", part))
def test_every_entry_flags_success_by_the_environments_own_threshold(file: Path, env_id: str) -> None:
    entry = yaml.safe_load(file.read_text())[env_id]
    innermost = entry["env_wrapper"][0] if isinstance(entry["env_wrapper"], list) else entry["env_wrapper"]
    assert get_class_by_name(innermost) is SuccessWrapper
    env = SuccessWrapper(gym.make(env_id))
    assert env.threshold == (300 if env_id == "BipedalWalker-v3" else 200)
    env.close()
