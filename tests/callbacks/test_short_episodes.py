"""ShortEpisodes: which training episodes are cut, until when, and that nothing else is."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import pytest
import yaml
from gymnasium.envs.classic_control import CartPoleEnv
from stable_baselines3 import PPO, SAC
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.monitor import load_results
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv, VecEnv, VecNormalize

from sb3_lander.benchmark.recipes import Recipe
from sb3_lander.callbacks.short_episodes import ShortEpisodes
from sb3_lander.envs.envpool_vec_env import EnvPoolVecEnv
from sb3_lander.envs.registration import V3_ID

pytestmark = pytest.mark.filterwarnings("ignore:builtin type .* has no __module__ attribute:DeprecationWarning")

N_ENVS = 2


class Log(BaseCallback):
    """Keeps the infos of the episodes' ends, with the step at which each ended."""

    def __init__(self) -> None:
        super().__init__()
        self.ends: list[tuple[int, dict[str, Any]]] = []

    def _on_step(self) -> bool:
        self.ends += [(self.num_timesteps, info) for info in self.locals["infos"] if "episode" in info]
        return True


def gym_envs(vec_env_cls: type[VecEnv] = DummyVecEnv) -> VecEnv:
    return make_vec_env(lambda **given: gym.spec(V3_ID).make(**given), N_ENVS, seed=0, vec_env_cls=vec_env_cls)


ENVS: dict[str, Callable[[], VecEnv]] = {
    "dummy": gym_envs,
    "subproc": lambda: gym_envs(SubprocVecEnv),
    "envpool": lambda: EnvPoolVecEnv(V3_ID, N_ENVS, seed=0),
    "normalised": lambda: VecNormalize(EnvPoolVecEnv(V3_ID, N_ENVS, seed=0)),
}


def train(callback: ShortEpisodes, env: VecEnv, steps: int) -> list[tuple[int, dict[str, Any]]]:
    log = Log()
    PPO("MlpPolicy", env, n_steps=20, batch_size=40, n_epochs=1, seed=0).learn(steps, [callback, log])
    env.close()
    return log.ends


@pytest.mark.parametrize("kind", ENVS)
def test_training_episodes_are_cut_and_bootstrapped(kind: str) -> None:
    ends = train(ShortEpisodes(40), ENVS[kind](), 240)
    # No flight of an untrained agent is over after 40 steps, so each is cut there, with what SB3 needs to bootstrap.
    assert [(step, info["episode"]["l"]) for step, info in ends] == [(80, 40)] * 2 + [(160, 40)] * 2 + [(240, 40)] * 2
    assert all(info["TimeLimit.truncated"] and "terminal_observation" in info for _, info in ends)


@pytest.mark.parametrize("kind", ENVS)
def test_whole_episodes_follow(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    ends = train(ShortEpisodes(40, until=100, verbose=1), ENVS[kind](), 1000)
    assert [info["episode"]["l"] for step, info in ends if step <= 100] == [40, 40]
    later = [info for step, info in ends if step > 100]
    assert len(later) > 2
    assert all(info["episode"]["l"] > 40 and not info["TimeLimit.truncated"] for info in later)
    assert capsys.readouterr().out == "Training episodes are whole from step 100 on\n"


def test_a_training_that_goes_on_later_keeps_to_the_same_step() -> None:
    env, log = EnvPoolVecEnv(V3_ID, N_ENVS, seed=0), Log()
    model = PPO("MlpPolicy", env, n_steps=20, batch_size=40, n_epochs=1, seed=0)
    short = ShortEpisodes(40, until=300)
    model.learn(160, [short, log])
    assert env.max_episode_steps == 1000
    model.learn(480, [short, log], reset_num_timesteps=False)
    model.learn(80, [ShortEpisodes(40, until=300)], reset_num_timesteps=False)
    assert env.max_episode_steps == 1000
    lengths = [(step, info["episode"]["l"]) for step, info in log.ends]
    assert {length for step, length in lengths if step <= 300} == {40}
    assert all(length > 40 for step, length in lengths if step > 300)
    assert lengths[-1][0] > 300
    env.close()


def test_a_share_of_the_budget_stretches_with_it() -> None:
    for budget in (400, 800):
        env = gym_envs()
        ends = train(ShortEpisodes(40, until=0.5), env, budget)
        # Two environments are cut every 80 steps of the training.
        cut = [step for step, info in ends if info["episode"]["l"] == 40]
        assert cut == [step for step in range(80, budget // 2 + 1, 80) for _ in range(N_ENVS)]


def test_a_limit_above_the_tasks_own_changes_nothing() -> None:
    env = gym.make("LunarLanderContinuous-v3", max_episode_steps=30)
    log = Log()
    PPO("MlpPolicy", env, n_steps=30, batch_size=30, n_epochs=1).learn(90, [ShortEpisodes(40), log])
    assert [info["episode"]["l"] for _, info in log.ends] == [30] * 3


def test_an_off_policy_algorithm_has_short_episodes_too() -> None:
    log = Log()
    model = SAC("MlpPolicy", V3_ID, learning_starts=1000, buffer_size=1000)
    model.learn(90, [ShortEpisodes(40), log])
    assert [info["episode"]["l"] for _, info in log.ends] == [40, 40]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_episode_steps": 0}, "max_episode_steps=0 must be at least 1"),
        ({"max_episode_steps": 9, "until": 0}, "until=0 must be a share of the budget between 0 and 1, a whole number"),
        ({"max_episode_steps": 9, "until": 1.5}, "until=1.5 must be a share of the budget between 0 and 1, a whole"),
        ({"max_episode_steps": 9, "until": math.nan}, "until=nan must be a share"),
    ],
)
def test_numbers_that_make_no_sense_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ShortEpisodes(**options)


@pytest.mark.parametrize("vec_env_cls", [DummyVecEnv, SubprocVecEnv])
def test_envs_without_a_limit_are_refused(vec_env_cls: type[VecEnv]) -> None:
    endless = make_vec_env(CartPoleEnv, 2, vec_env_cls=vec_env_cls)
    with pytest.raises(ValueError, match="environments have no TimeLimit to shorten"):
        PPO("MlpPolicy", endless).learn(1, ShortEpisodes(40))


@pytest.mark.parametrize("vec_env", ["dummy", "subproc"])
def test_in_the_zoo_only_training_episodes_are_short(zoo: Callable[..., str], tmp_path: Path, vec_env: str) -> None:
    small = {"n_envs": 2, "n_steps": 64, "batch_size": 64, "n_epochs": 1}
    entry = Recipe("x", changes=small).entry(V3_ID)
    entry["callback"] = [{"sb3_lander.callbacks.short_episodes.ShortEpisodes": {"max_episode_steps": 40}}]
    (tmp_path / "entry.yml").write_text(yaml.safe_dump({V3_ID: entry}))
    command = f"train --algo ppo --env {V3_ID} -n 512 --eval-freq 256 --eval-episodes 4 --conf-file entry.yml"
    output = zoo(f"{command} --vec-env {vec_env}")
    run = tmp_path / "logs" / "ppo" / f"{V3_ID}_1"
    assert set(load_results(str(run))["l"]) == {40}
    lengths = [float(line.split("length: ")[1].split()[0]) for line in output.splitlines() if "Episode length" in line]
    assert len(lengths) == 2
    assert min(lengths) > 40
