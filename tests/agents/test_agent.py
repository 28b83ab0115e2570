"""Agent: a policy with all that it needs to act, and runs of earlier releases of this package."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
from conftest import REPO, ShortRun, python
from sb3_contrib import ARS
from sb3_evaluation import assert_flies_as_with_sb3
from stable_baselines3 import A2C, PPO
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

from sb3_lander import Agent, evaluate, fixed_tasks
from sb3_lander.agents import UntrustedError, shipped_agent

V2, V3 = "LunarLanderContinuous-v2", "LunarLanderContinuous-v3"
OLD = REPO / "tests" / "data" / "run_by_0.1.0"
"""Runs of the literal commands, made and evaluated by the package as of 2026-11-24, before its modules had rooms."""


def test_three_lines_load_a_run_and_fly_it(v2_run: ShortRun) -> None:
    agent = Agent.load(v2_run.folder)
    env = agent.make_env()
    action, _ = agent.predict(env.reset(seed=0)[0])
    theirs = PPO.load(v2_run.folder / f"{V2}.zip", device="cpu").predict(env.reset(seed=0)[0], deterministic=True)[0]
    assert action.tobytes() == theirs.tobytes()
    assert (agent.env_id, agent.step, agent.run and agent.run.algo) == (V2, 16384, "ppo")


def test_the_agents_of_checkpoints_come_in_step_order_each_when_asked_for(v2_run: ShortRun, tmp_path: Path) -> None:
    run = Path(shutil.copytree(v2_run.folder, tmp_path / "run"))
    agents = Agent.load_checkpoints(run)
    assert next(agents).step == 8192
    (run / "rl_model_16384_steps.zip").write_bytes(b"damaged by now")
    with pytest.raises(ValueError, match="rl_model_16384_steps"):
        next(agents)


def test_an_agent_normalises_what_it_observes() -> None:
    venv = VecNormalize(DummyVecEnv([lambda: gym.make(V3)]), norm_reward=False)
    model = A2C("MlpPolicy", venv, device="cpu", seed=0).learn(200)
    agent = Agent.of(model, V3)
    observation = np.arange(8, dtype=np.float32)[None]
    expected = model.predict(venv.normalize_obs(observation), deterministic=True)[0]
    assert agent.predict(observation)[0].tobytes() == expected.tobytes()
    tasks = fixed_tasks(V3, 2)
    assert evaluate(agent, tasks) == evaluate(model, tasks)


def test_an_agent_of_an_unknown_algorithm_does_not_ship() -> None:
    valid = f"ships with the package; valid: ppo for LunarLander-v3, ppo for {V3}, sac for {V3}"
    with pytest.raises(ValueError, match=f"no agent of 'sarsa' for '{V3}' {valid}"):
        shipped_agent("sarsa")
    for not_a_name in ("", "*", "/ppo"):
        with pytest.raises(ValueError, match=r"no agent of '.*' for"):
            shipped_agent(not_a_name)
    with pytest.raises(ValueError, match=f"no agent for 'CartPole-v1' {valid}"):
        shipped_agent(env_id="CartPole-v1")
    with pytest.raises(ValueError, match=f"'LunarLander-v3' and any weather ships .*; valid: ppo for {V3}$"):
        shipped_agent(env_id="LunarLander-v3", weather=True)


def assert_flies_as_before(run: Path, model: BaseAlgorithm, statistics: Path | None = None) -> None:
    """Compare with SB3 here, flight by flight, and with the record by what another processor leaves alone."""
    agent, tasks = Agent.load(run, trust=statistics is not None), fixed_tasks(V2, 10)
    assert_flies_as_with_sb3(evaluate(agent, tasks, batch_size=1), model, statistics)
    found = json.loads(evaluate(agent, tasks).to_json())["episodes"]
    before = json.loads((OLD / f"{run.parent.name}.json").read_text())["episodes"]
    keys = ("seed", "length", "success", "outcome")
    assert [[e[key] for key in keys] for e in found] == [[e[key] for key in keys] for e in before]
    # The longer a flight, the further the last bits lead.
    ended = [i for i, e in enumerate(before) if e["outcome"] != "timed_out"]
    assert [found[i]["return"] for i in ended] == pytest.approx([before[i]["return"] for i in ended], rel=0.01)


def test_an_old_run_flies_as_it_did() -> None:
    run = OLD / "ppo" / f"{V2}_1"
    before = json.loads((OLD / "ppo.json").read_text())
    assert [e["outcome"] for e in before["episodes"]].count("timed_out") == 7  # it does use its engines
    assert_flies_as_before(run, PPO.load(run / f"{V2}.zip", device="cpu"))


def test_an_old_run_that_normalises_needs_trust_and_then_flies_as_it_did() -> None:
    run = OLD / "ars" / f"{V2}_1"
    with pytest.raises(UntrustedError, match="VecNormalize's statistics are a pickle"):
        Agent.load(run)
    assert_flies_as_before(run, ARS.load(run / f"{V2}.zip", device="cpu"), run / V2 / "vecnormalize.pkl")


def test_an_old_run_is_watched_and_resumed(tmp_path: Path) -> None:
    for algo in ("ppo", "ars"):
        shutil.copytree(OLD / algo, tmp_path / "logs" / algo)
    for algo in ("ppo", "ars"):
        command = f"-m rl_zoo3.enjoy --algo {algo} --env {V2} -f logs -n 100 --no-render"
        watched = python(command, cwd=tmp_path)
        assert watched.status == 0, watched.output
        run = tmp_path / "logs" / algo / f"{V2}_1"
        (run / f"{V2}.zip").unlink()
        resumed = python("-m sb3_lander resume", run, cwd=tmp_path)
        assert resumed.status == 0, resumed.output
        assert Agent.load(run).step >= 60_000


def test_the_names_in_old_yaml_files_still_mean_what_they_meant() -> None:
    import sb3_lander.short_episodes
    import sb3_lander.vec_env

    from sb3_lander.callbacks import ShortEpisodes
    from sb3_lander.envs import prefer_envpool

    assert sb3_lander.vec_env.prefer_envpool is prefer_envpool
    assert sb3_lander.short_episodes.ShortEpisodes is ShortEpisodes
