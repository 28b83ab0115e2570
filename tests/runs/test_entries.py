"""Finding, checking and merging hyperparameters."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from sb3_contrib import ARS
from stable_baselines3 import DDPG, PPO, SAC

from sb3_lander.runs import entries
from sb3_lander.zoo import checks

GOOD: dict[str, Any] = {"n_timesteps": 1e6, "policy": "MlpPolicy"}


@pytest.mark.parametrize(
    ("algo_class", "change"),
    [
        (PPO, {"learning_rate": "lin_3e-4", "clip_range": 0.2, "target_kl": None, "normalize": True}),
        (PPO, {"ent_coef": 0, "normalize": {"norm_obs": True}, "policy_kwargs": "dict(net_arch=[8])"}),
        (SAC, {"ent_coef": "auto_0.1", "train_freq": [1, "episode"], "gradient_steps": -1}),
        (DDPG, {"noise_type": "normal", "noise_std": 0.1}),
        (ARS, {"delta_std": "lin_0.1", "n_top": None}),
        (SAC, {"policy_kwargs": None, "replay_buffer_kwargs": None}),
    ],
)
def test_a_good_entry_passes(algo_class: Any, change: dict[str, Any]) -> None:
    checks.check({**GOOD, **change}, algo_class)


@pytest.mark.parametrize(
    ("algo_class", "change", "message"),
    [
        (PPO, {"n_envs": 2.5}, "n_envs: 2.5 is not valid, it must be a whole number"),
        (PPO, {"n_envs": True}, "n_envs: True is not valid"),
        (PPO, {"n_envs": 0}, "n_envs: 0 is not valid, it must be at least 1"),
        (PPO, {"batch_size": "64"}, "batch_size: '64' is not valid, it must be a whole number (YAML reads 64 as"),
        (PPO, {"n_timesteps": "1e6"}, "n_timesteps: '1e6' is not valid, it must be a whole number of steps (YAML"),
        (PPO, {"n_timesteps": float("nan")}, "n_timesteps: nan is not valid"),
        (PPO, {"learning_rate": "cos_1e-3"}, "learning_rate: 'cos_1e-3' is not valid, it must be a number, or lin_"),
        (PPO, {"clip_range": None}, "clip_range: None is not valid"),
        (PPO, {"gae_lambda": 2}, "gae_lambda: 2 is not valid, it must be between 0 and 1"),
        (PPO, {"normalize_advantage": "yes"}, "normalize_advantage: 'yes' is not valid, it must be true or false"),
        (PPO, {"target_kl": "small"}, "target_kl: 'small' is not valid, it must be a number or null"),
        (PPO, {"policy_kwargs": [64]}, "policy_kwargs: [64] is not valid, it must be a mapping"),
        (PPO, {"policy": 3}, "policy: 3 is not valid"),
        (PPO, {"monitor_kwargs": None}, "monitor_kwargs: None is not valid, it must be a mapping"),
        (PPO, {"normalize": 1}, "normalize: 1 is not valid, it must be true, false or a mapping"),
        (PPO, {"noise_std": 0.1}, "unknown hyperparameter 'noise_std' for PPO"),
        (PPO, {"device": "cpu"}, "unknown hyperparameter 'device' for PPO"),
        (PPO, {"n_step": 64}, "unknown hyperparameter 'n_step' for PPO: did you mean 'n_steps'?"),
        (SAC, {"n_epochs": 3}, "unknown hyperparameter 'n_epochs' for SAC"),
        (SAC, {"env_kwargs": "wind"}, "env_kwargs: 'wind' is not valid, it must be a mapping"),
    ],
)
def test_a_bad_entry_is_refused_with_the_key_the_value_and_what_would_be_valid(
    algo_class: Any, change: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        checks.check({**GOOD, **change}, algo_class)


def test_an_entry_without_a_policy_or_a_budget_is_refused() -> None:
    with pytest.raises(ValueError, match="lack 'n_timesteps'"):
        checks.check({"policy": "MlpPolicy"}, PPO)
    with pytest.raises(ValueError, match="lack 'policy'"):
        checks.check({"n_timesteps": 1}, PPO)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [", "is not valid YAML"),
        ("- 1", "must map environment ids to hyperparameters, but holds [1]"),
        ("", "must map environment ids to hyperparameters, but holds None"),
        ("CartPole-v1: {n_envs: 1}", "has no entry for Lander-v0; it has: CartPole-v1"),
        ("Lander-v0: 3", "the entry of Lander-v0 must be a mapping, but is 3"),
        ("Lander-v0: !!python/object/apply:os.getcwd []", "is not valid YAML"),
    ],
)
def test_a_file_that_is_no_hyperparameter_file_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "bad.yml").write_text(text)
    with pytest.raises(ValueError, match=re.escape(message)):
        entries.read_entry(tmp_path / "bad.yml", "Lander-v0")


def test_the_default_entry_serves_an_environment_without_its_own(tmp_path: Path) -> None:
    (tmp_path / "a.yml").write_text("default: {n_envs: 1}\nB-v0: {n_envs: 2}\n")
    assert entries.read_entry(tmp_path / "a.yml", "A-v0") == {"n_envs": 1}
    assert entries.read_entry(tmp_path / "a.yml", "B-v0") == {"n_envs": 2}


def test_an_update_merges_policy_kwargs_and_leaves_the_original_alone() -> None:
    ours = entries.Hyperparameters(gamma=0.9, policy_kwargs={"mirror": "x", "net_arch": [8]})
    trial = ours.copy()
    trial.update({"gamma": 0.8, "policy_kwargs": {"net_arch": [16]}})
    assert trial == {"gamma": 0.8, "policy_kwargs": {"mirror": "x", "net_arch": [16]}}
    assert ours == {"gamma": 0.9, "policy_kwargs": {"mirror": "x", "net_arch": [8]}}


def test_an_update_gives_a_buffer_of_n_step_returns_the_new_gamma_and_leaves_the_original_alone() -> None:
    ours = entries.Hyperparameters(gamma=0.9, replay_buffer_kwargs={"n_steps": 3, "gamma": 0.9})
    trial = ours.copy()
    trial.update(gamma=0.8)
    assert trial["replay_buffer_kwargs"] == {"n_steps": 3, "gamma": 0.8}
    assert ours["replay_buffer_kwargs"] == {"n_steps": 3, "gamma": 0.9}
    others = entries.Hyperparameters(gamma=0.9, replay_buffer_kwargs={"n_sampled_goal": 4})
    others.update(gamma=0.8)
    assert others["replay_buffer_kwargs"] == {"n_sampled_goal": 4}


def test_an_update_merges_the_buffers_arguments_unless_it_names_another_buffer() -> None:
    ours = entries.Hyperparameters(gamma=0.9, replay_buffer_kwargs={"mirror": "x", "n_steps": 3})
    trial = ours.copy()
    trial.update(gamma=0.8, replay_buffer_kwargs={"n_steps": 5})
    assert trial["replay_buffer_kwargs"] == {"mirror": "x", "n_steps": 5, "gamma": 0.8}
    assert ours["replay_buffer_kwargs"] == {"mirror": "x", "n_steps": 3, "gamma": 0.9}
    another = {"replay_buffer_class": "HerReplayBuffer", "replay_buffer_kwargs": {"n_sampled_goal": 4}}
    trial.update(another)
    assert trial == {"gamma": 0.8, **another}


def test_nothing_is_merged_into_policy_kwargs_given_as_python() -> None:
    ours = entries.Hyperparameters(policy_kwargs="dict(net_arch=[8])")
    ours.update(policy_kwargs={"net_arch": [16]})
    assert ours == {"policy_kwargs": {"net_arch": [16]}}


def test_an_unknown_configuration_lists_the_valid_names() -> None:
    with pytest.raises(ValueError, match=r"no hyperparameters for 'ppp'; valid names: a2c, allenact, ars, .*, trpo"):
        entries.default_config("ppp")
