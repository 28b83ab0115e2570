"""Search spaces: what YAML may say, what is suggested, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import optuna
import pytest
import yaml
from conftest import REPO
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from stable_baselines3 import PPO
from torch import nn

from sb3_lander.runs.entries import default_config, merge_kwargs, read_entry
from sb3_lander.tuning.search import make_search
from sb3_lander.tuning.search_space import YamlSpace, ZooSpace, plain, read_space

SPACE = """
learning_rate: {low: 1.0e-4, high: 1.0e-2, log: true, as: linear_schedule}
n_epochs: {low: 4, high: 12, step: 2}
gamma: {low: 0.001, high: 0.1, log: true, as: one_minus}
n_steps: {low: 5, high: 8, as: power_of_2}
max_grad_norm: {low: 0.5, high: 2.0}
use_sde: {choices: [true, false]}
sde_sample_freq: {low: 4, high: 64, log: true, when: {use_sde: true}}
policy_kwargs.net_arch: {choices: {small: [16], two: {pi: [16], vf: [32]}}}
policy_kwargs.log_std_init: {low: -1, high: 0.5, when: {use_sde: [false], policy_kwargs.net_arch: two}}
"""


def fixed(**params: Any) -> optuna.trial.FixedTrial:
    return optuna.trial.FixedTrial({name.replace("__", "."): value for name, value in params.items()})


def test_every_kind_of_parameter_becomes_a_change() -> None:
    space = YamlSpace.parse(yaml.safe_load(SPACE))
    known = {"learning_rate": 2e-3, "n_epochs": 8, "gamma": 0.01, "n_steps": 7, "max_grad_norm": 1.5}
    small = space.suggest(fixed(**known, use_sde=True, sde_sample_freq=8, policy_kwargs__net_arch="small"))
    assert small == {
        **{"learning_rate": "lin_0.002", "n_epochs": 8, "gamma": 0.99, "n_steps": 128, "max_grad_norm": 1.5},
        **{"use_sde": True, "sde_sample_freq": 8, "policy_kwargs": {"net_arch": [16]}},
    }
    two = space.suggest(fixed(**known, use_sde=False, policy_kwargs__net_arch="two", policy_kwargs__log_std_init=-0.5))
    assert two["policy_kwargs"] == {"net_arch": {"pi": [16], "vf": [32]}, "log_std_init": -0.5}
    assert "sde_sample_freq" not in two


@pytest.mark.parametrize(
    "raw",
    [
        {"use_sde": True, "sde_sample_freq": 8, "policy_kwargs.net_arch": "small"},
        {"use_sde": False, "policy_kwargs.net_arch": "two", "policy_kwargs.log_std_init": -0.5},
    ],
)
def test_the_parameters_of_an_entry_are_found_again(raw: dict[str, Any]) -> None:
    space = YamlSpace.parse(yaml.safe_load(SPACE))
    raw = {"learning_rate": 2e-3, "n_epochs": 8, "gamma": 0.0078125, "n_steps": 7, "max_grad_norm": 1.5, **raw}
    entry = space.suggest(optuna.trial.FixedTrial(raw))
    assert space.locate({"policy": "MlpPolicy", **entry}) == raw


def test_what_of_an_entry_no_parameter_can_give_is_left_out() -> None:
    space = YamlSpace.parse(yaml.safe_load(SPACE))
    outside = {"learning_rate": 2e-3, "n_epochs": 7, "gamma": 0.5, "n_steps": 100, "use_sde": "yes"}
    assert space.locate({**outside, "policy_kwargs": "dict(net_arch=[16])"}) == {}
    assert space.locate({"policy_kwargs": {"net_arch": [8]}, "n_steps": 0, "max_grad_norm": None}) == {}


def test_our_space_has_our_entry_in_it() -> None:
    space = read_space(None, "ppo", 2, 32)
    assert isinstance(space, YamlSpace)
    entry = read_entry(default_config("ppo"), "LunarLanderContinuous-v3")
    located = space.locate(entry)
    assert located.keys() == space.parameters.keys()
    changes = merge_kwargs(entry, space.suggest(optuna.trial.FixedTrial(located)))
    assert {**entry, **changes} == {**entry, "learning_rate": "lin_0.0012"}


def test_ranges_are_optunas() -> None:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    space = YamlSpace.parse(yaml.safe_load(SPACE))
    seen: dict[str, Any] = {}
    for _ in range(20):
        trial = study.ask()
        changes = space.suggest(trial)
        seen |= trial.distributions
        assert ("sde_sample_freq" in changes) is changes["use_sde"]
        study.tell(trial, 0.0)
    assert seen == {
        "learning_rate": FloatDistribution(1e-4, 1e-2, log=True),
        "n_epochs": IntDistribution(4, 12, step=2),
        "gamma": FloatDistribution(0.001, 0.1, log=True),
        "n_steps": IntDistribution(5, 8),
        "max_grad_norm": FloatDistribution(0.5, 2.0),
        "use_sde": CategoricalDistribution([True, False]),
        "sde_sample_freq": IntDistribution(4, 64, log=True),
        "policy_kwargs.net_arch": CategoricalDistribution(["small", "two"]),
        "policy_kwargs.log_std_init": FloatDistribution(-1, 0.5),
    }


def test_extremes_are_the_ends_of_every_range() -> None:
    found = list(
        YamlSpace.parse(
            yaml.safe_load("{n_steps: {low: 5, high: 8, as: power_of_2}, gamma: {choices: [1, 2]}}")
        ).extremes()
    )
    assert found == [{"n_steps": 32}, {"n_steps": 256}, {"gamma": 1}, {"gamma": 2}]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "must map hyperparameters to ranges, but this is None"),
        ("{}", "must map hyperparameters to ranges, but this is {}"),
        ("[1, 2]", "must map hyperparameters to ranges"),
        ("a: 3", "a: 3 must be a mapping with keys among as, choices, high"),
        ("a: {lo: 1, high: 2}", "must be a mapping with keys among"),
        ("a: {low: 1}", "a: high=None must be a number"),
        ("a: {low: 1e-4, high: 1}", r"a: low='1e-4' must be a number \(YAML wants 1.0e-4, not 1e-4\)"),
        ("a: {low: 2, high: 1}", "a: low=2 must be less than high=1"),
        ("a: {low: 0, high: 1, log: true}", "needs low above 0 and no step"),
        ("a: {low: 1, high: 9, log: true, step: 2}", "needs low above 0 and no step"),
        ("a: {low: 1, high: 9, step: 0}", "a: step=0 must be above 0"),
        ("a: {low: 1, high: 9, as: square}", "a: as='square' is unknown, choose one of one_minus"),
        ("a: {low: 0.5, high: 9, as: power_of_2}", "powers of 2 need a range of whole numbers"),
        ("a: {choices: []}", "choices must be a list of values"),
        ("a: {choices: [[64], [32]]}", "choices that are lists or mappings need names"),
        ("a: {choices: [1], low: 1}", "'low' does not go with 'choices'"),
        ("a: {low: 1, high: 2, when: {b: 1}}", "'when' names 'b', which does not stand above it"),
        ("{b: {choices: [1]}, a: {low: 1, high: 2, when: {b: 2}}}", "wants b to be 2, which is no choice of it"),
        ("{b: {choices: [1]}, a: {low: 1, high: 2, when: b}}", "'when' must map parameters to values"),
    ],
)
def test_what_makes_no_sense_is_refused(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        YamlSpace.parse(yaml.safe_load(text))
    (tmp_path / "space.yml").write_text(text)
    with pytest.raises(ValueError, match=r"space\.yml: "):
        YamlSpace.read(tmp_path / "space.yml")


def test_files_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no search space"):
        read_space(tmp_path / "none.yml", "ppo", 2, 1)
    (tmp_path / "broken.yml").write_text("a: [1")
    with pytest.raises(ValueError, match="is not valid YAML"):
        read_space(tmp_path / "broken.yml", "ppo", 2, 1)


@pytest.mark.parametrize("algo", sorted(path.stem for path in (REPO / "hyperparams/spaces").glob("*.yml")))
def test_a_space_of_ours_holds_the_entry_that_it_lies_around(algo: str) -> None:
    ours = read_space(None, algo, 2, 32)
    assert isinstance(ours, YamlSpace)
    assert ours.content == yaml.safe_load((REPO / f"hyperparams/spaces/{algo}.yml").read_text())
    entry = read_entry(default_config(algo), "LunarLanderContinuous-v3")
    # So the first trial of a study is the entry itself, and every range's ends can be trained.
    assert list(ours.locate(entry)) == list(ours.parameters)
    assert make_search(algo, "LunarLanderContinuous-v3").space == ours.content


def test_without_a_space_of_ours_an_algorithm_has_the_zoos() -> None:
    assert isinstance(read_space(None, "sac", 2, 1), ZooSpace)
    with pytest.raises(ValueError, match="neither we nor the Zoo have a search space for crossq"):
        read_space(None, "crossq", 2, 1)


def test_the_zoos_activations_become_what_the_entrys_policy_takes() -> None:
    trial = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0)).ask()
    changes = ZooSpace("ppo", 2, 8).suggest(trial)
    assert changes["policy_kwargs"]["activation_fn"] in (nn.Tanh, nn.ReLU)
    named = plain(changes, {"policy": "sb3_lander.policies.SeparateActorCriticPolicy"})
    assert named["policy_kwargs"]["activation_fn"] in ("tanh", "relu")
    text = plain(changes, {"policy": "MlpPolicy", "policy_kwargs": {"ortho_init": False}})["policy_kwargs"]
    # The Zoo evaluates it with torch's nn in reach.
    policy_kwargs = eval(text, {"nn": nn})
    assert policy_kwargs == {"ortho_init": False, **changes["policy_kwargs"]}
    assert PPO("MlpPolicy", "Pendulum-v1", policy_kwargs=policy_kwargs).policy.net_arch == policy_kwargs["net_arch"]
    assert plain({"gamma": 0.9}, {"policy": "MlpPolicy"}) == {"gamma": 0.9}
