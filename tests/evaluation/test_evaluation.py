"""The evaluation: hand-computed reports, the same bits whatever the parallelism, outcomes in the simulator."""

from __future__ import annotations

import json
import math
import pickle
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch as th
from conftest import python
from gymnasium import spaces
from gymnasium.envs.box2d.lunar_lander import heuristic
from gymnasium.wrappers import TransformObservation, TransformReward
from sb3_contrib import ARS, TQC, RecurrentPPO
from sb3_evaluation import assert_flies_as_with_sb3
from scipy import stats
from stable_baselines3 import PPO, SAC
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

from sb3_lander.evaluation.evaluator import evaluate
from sb3_lander.evaluation.report import Episode, EvaluationReport
from sb3_lander.evaluation.rollout import Rollout
from sb3_lander.evaluation.task import Task, fixed_tasks

V3 = "LunarLanderContinuous-v3"
SCRIPTED = "SB3LanderTestScripted-v0"
SMALL_LSTM: dict[str, Any] = {"policy_kwargs": {"lstm_hidden_size": 32}}


class Scripted(gym.Env[Any, Any]):
    """An episode of ``seed + 1`` steps that shows the seed; a step is worth the seed plus the action."""

    observation_space = spaces.Box(-100.0, 100.0, (1,), np.float32)
    action_space = spaces.Box(-100.0, 100.0, (1,), np.float32)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Begin the script that the seed names."""
        super().reset(seed=seed)
        assert seed is not None
        self._seed, self._left = seed, seed + 1
        return np.array([seed], np.float32), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Pay for one step."""
        self._left -= 1
        return np.array([self._seed], np.float32), self._seed + float(action[0]), self._left == 0, False, {}


class Acts:
    """A model that is one function of the batch of observations."""

    def __init__(self, function: Callable[[np.ndarray], Any]) -> None:
        self.function = function

    def predict(
        self, observation: Any, state: Any = None, episode_start: Any = None, deterministic: bool = False
    ) -> tuple[np.ndarray, Any]:
        """Act as SB3's models do."""
        return np.asarray(self.function(observation), np.float32), state


def constant(*action: float) -> Acts:
    return Acts(lambda observation: np.tile(np.float32(action), (len(observation), 1)))


class Continuous:
    """What :func:`gymnasium.envs.box2d.lunar_lander.heuristic` asks of its environment."""

    continuous = True

    @property
    def unwrapped(self) -> Continuous:
        return self


def heuristic_at(x: float = 0.0, y: float = 0.0) -> Acts:
    """Gymnasium's own controller, made to believe that the pad is at another place; y > 0 makes it hover."""

    def act(observation: np.ndarray) -> list[Any]:
        return [heuristic(Continuous(), row - np.float32([x, y, 0, 0, 0, 0, 0, 0])) for row in observation]

    return Acts(act)


NOTHING = constant(0.0)


@pytest.fixture(autouse=True)
def scripted_env() -> Iterator[None]:
    gym.register(SCRIPTED, entry_point=Scripted, reward_threshold=6.0)
    yield
    del gym.registry[SCRIPTED]


def random_model(algorithm: type[BaseAlgorithm], policy: str = "MlpPolicy", **kwargs: Any) -> BaseAlgorithm:
    """Build an untrained model whose flights differ enough for a wrong bit to show in its return."""
    model = algorithm(policy, gym.make(V3), seed=3, device="cpu", **kwargs)
    noise = th.Generator().manual_seed(1)
    with th.no_grad():
        for parameter in model.policy.parameters():
            parameter += 0.3 * th.randn(parameter.shape, generator=noise)
    return model


@pytest.fixture(scope="module")
def ppo() -> BaseAlgorithm:
    return random_model(PPO)


# --- the report's numbers ---------------------------------------------------------------------------------


def test_a_report_has_the_hand_computed_numbers() -> None:
    report = evaluate(NOTHING, fixed_tasks(SCRIPTED, 4, first_seed=0))
    assert [e.seed for e in report.episodes] == [0, 1, 2, 3]
    assert [e.episode_return for e in report.episodes] == [0.0, 2.0, 6.0, 12.0]
    assert [e.length for e in report.episodes] == [1, 2, 3, 4]
    assert [e.success for e in report.episodes] == [False, False, True, True]
    assert report.mean_return == 5.0
    assert report.std_return == math.sqrt((25 + 9 + 1 + 49) / 4)
    assert report.iqm_return == (2 + 6) / 2
    assert report.success_rate == 0.5
    assert report.mean_length == 2.5
    assert report.outcomes == {"terminated": 4}
    assert report.mean_fuel is None


def test_a_time_limit_is_a_timed_out_episode() -> None:
    report = evaluate(NOTHING, fixed_tasks(SCRIPTED, 4, first_seed=0, env_kwargs={"max_episode_steps": 3}))
    assert [e.episode_return for e in report.episodes] == [0.0, 2.0, 6.0, 9.0]
    assert report.outcomes == {"timed_out": 1, "terminated": 3}


def test_an_explicit_threshold_decides_on_success() -> None:
    report = evaluate(NOTHING, fixed_tasks(SCRIPTED, 4, first_seed=0), success_threshold=12.0)
    assert [e.success for e in report.episodes] == [False, False, False, True]


def report_on(returns: list[float], threshold: float = 0.5) -> EvaluationReport:
    episodes = tuple(Episode(i, r, 1, r >= threshold, "terminated") for i, r in enumerate(returns))
    return EvaluationReport("any", {}, True, threshold, episodes)


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 7, 8, 100, 1001])
def test_the_interquartile_mean_is_scipys_trimmed_mean(n: int) -> None:
    returns = np.random.default_rng(n).normal(size=n) * 100
    assert report_on(returns.tolist()).iqm_return == pytest.approx(stats.trim_mean(returns, 0.25), rel=1e-12)


@pytest.mark.parametrize(("successes", "n"), [(0, 10), (1, 10), (10, 10), (998, 1000), (1000, 1000)])
def test_the_success_interval_is_scipys_wilson_interval(successes: int, n: int) -> None:
    report = report_on([1.0] * successes + [0.0] * (n - successes))
    expected = stats.binomtest(successes, n).proportion_ci(0.95, method="wilson")
    assert report.success_rate == successes / n
    assert report.success_interval == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_a_report_survives_json_to_the_last_bit() -> None:
    report = evaluate(heuristic_at(), fixed_tasks(V3, 2, env_kwargs={"enable_wind": True}))
    data = json.loads(report.to_json())
    assert EvaluationReport.from_dict(data) == report
    assert set(data) >= {"mean_return", "std_return", "iqm_return", "success_rate", "mean_length", "episodes"}
    assert data["episodes"][0]["return"] == report.episodes[0].episode_return


def test_reading_something_else_as_a_report_says_what_is_missing() -> None:
    with pytest.raises(ValueError, match=r"'episodes'.*missing"):
        EvaluationReport.from_dict({"env_id": "any", "env_kwargs": {}})
    data = report_on([1.0]).to_dict()
    del data["episodes"][0]["return"]
    with pytest.raises(ValueError, match=r"'return'.*missing"):
        EvaluationReport.from_dict(data)


def test_a_printed_report_shows_the_figures() -> None:
    text = str(evaluate(constant(-1.0, 0.0), fixed_tasks(V3, 3)))
    for part in ("LunarLanderContinuous-v3: 3 fixed tasks", "interquartile mean", "95% interval", "crashed"):
        assert part in text


# --- the same report, whatever the parallelism ---------------------------------------------------------------


def test_the_report_is_the_same_for_any_number_of_envs_and_any_order(ppo: BaseAlgorithm) -> None:
    tasks = fixed_tasks(V3, 24)
    reports = [evaluate(ppo, tasks, n_envs=n) for n in (32, 1, 5, 45)]
    reports.append(evaluate(ppo, [tasks[i] for i in np.random.default_rng(0).permutation(24)]))
    assert all(report.to_json() == reports[0].to_json() for report in reports)


def test_an_episode_does_not_depend_on_the_other_tasks(ppo: BaseAlgorithm) -> None:
    together = evaluate(ppo, fixed_tasks(V3, 40, first_seed=100))
    alone = [evaluate(ppo, [Task(V3, seed)]).episodes[0] for seed in (100, 117, 139)]
    assert alone == [together.episodes[i] for i in (0, 17, 39)]


def test_worker_processes_give_the_same_report(ppo: BaseAlgorithm) -> None:
    tasks = fixed_tasks(V3, 24, env_kwargs={"enable_wind": True})
    here = evaluate(ppo, tasks).to_json()
    assert evaluate(ppo, tasks, n_processes=2, n_envs=5).to_json() == here
    with ThreadPoolExecutor(1) as executor:
        assert evaluate(ppo, tasks, executor=executor, n_envs=7).to_json() == here
    # An id that only this process has registered, and a model that is no SB3 model.
    tasks = fixed_tasks(SCRIPTED, 9, first_seed=0)
    assert evaluate(NOTHING, tasks, n_processes=3, n_envs=2) == evaluate(NOTHING, tasks)


def test_the_number_of_torch_threads_does_not_matter_and_is_left_as_it_was(ppo: BaseAlgorithm) -> None:
    reports = []
    for threads in (2, 1):
        th.set_num_threads(threads)
        reports.append(evaluate(ppo, fixed_tasks(V3, 12)).to_json())
        assert th.get_num_threads() == threads
    assert reports[0] == reports[1]


@pytest.mark.parametrize(
    ("algorithm", "policy", "kwargs"),
    [
        (SAC, "MlpPolicy", {"buffer_size": 1}),
        (TQC, "MlpPolicy", {"buffer_size": 1, "policy_kwargs": {"net_arch": [400, 300]}}),
        (RecurrentPPO, "MlpLstmPolicy", SMALL_LSTM),
        (PPO, "MlpPolicy", {"policy_kwargs": {"net_arch": [37, 19]}}),
        (ARS, "LinearPolicy", {}),
    ],
)
def test_every_kind_of_model_gives_the_same_report_for_any_number_of_envs(
    algorithm: type[BaseAlgorithm], policy: str, kwargs: dict[str, Any]
) -> None:
    model = random_model(algorithm, policy, **kwargs)
    tasks = fixed_tasks(V3, 12)
    assert evaluate(model, tasks, n_envs=3).to_json() == evaluate(model, tasks[::-1], n_envs=12).to_json()


def test_a_model_whose_answer_depends_on_the_row_gets_one_row_at_a_time() -> None:
    model = Acts(lambda observation: observation * 0 + np.arange(len(observation))[:, None])
    report = evaluate(model, fixed_tasks(SCRIPTED, 4, first_seed=0))
    assert [e.episode_return for e in report.episodes] == [0.0, 2.0, 6.0, 12.0]


def test_a_stochastic_policy_repeats_its_episodes(ppo: BaseAlgorithm) -> None:
    tasks = fixed_tasks(V3, 10)
    first = evaluate(ppo, tasks, deterministic=False)
    assert evaluate(ppo, tasks[::-1], deterministic=False, n_envs=4) == first
    assert evaluate(ppo, tasks, deterministic=False, n_processes=2, n_envs=3) == first
    assert [e.episode_return for e in evaluate(ppo, tasks).episodes] != first.returns.tolist()


def test_evaluating_leaves_the_random_numbers_of_a_training_alone(ppo: BaseAlgorithm) -> None:
    before, numpy_before = th.get_rng_state(), np.random.get_state()[1].tolist()
    evaluate(ppo, fixed_tasks(V3, 2), deterministic=False)
    assert th.equal(th.get_rng_state(), before)
    assert np.random.get_state()[1].tolist() == numpy_before


# --- what the model sees ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("algorithm", "policy", "kwargs"), [(PPO, "MlpPolicy", {}), (RecurrentPPO, "MlpLstmPolicy", SMALL_LSTM)]
)
def test_one_row_at_a_time_flies_as_sb3s_own_evaluation_does(
    algorithm: type[BaseAlgorithm], policy: str, kwargs: dict[str, Any]
) -> None:
    model = random_model(algorithm, policy, **kwargs)
    report = evaluate(model, fixed_tasks(V3, 3), batch_size=1, n_envs=2)
    assert_flies_as_with_sb3(report, model)


def test_a_model_may_see_a_dictionary_or_a_number() -> None:
    parts = {"seed": Scripted.observation_space, "parity": spaces.Discrete(2)}
    for space, show in (
        (spaces.Dict(parts), lambda seen: {"seed": seen, "parity": np.int64(seen[0] % 2)}),
        (spaces.Discrete(9), lambda seen: np.int64(seen[0])),
    ):
        as_seen = Acts(lambda seen: (seen["seed"] if isinstance(seen, dict) else seen.reshape(-1, 1)) * 1.0)
        wrap = partial(TransformObservation, func=show, observation_space=space)
        report = evaluate(as_seen, fixed_tasks(SCRIPTED, 3, first_seed=0), env_wrapper=wrap, n_envs=2)
        assert [e.episode_return for e in report.episodes] == [0.0, 4.0, 12.0]


def test_an_lstm_starts_each_episode_from_zero_states() -> None:
    model = random_model(RecurrentPPO, "MlpLstmPolicy", **SMALL_LSTM)
    in_one_place = evaluate(model, fixed_tasks(V3, 4), n_envs=1)
    assert [evaluate(model, [Task(V3, e.seed)]).episodes[0] for e in in_one_place.episodes] == list(
        in_one_place.episodes
    )


def scripted_statistics() -> VecNormalize:
    statistics = VecNormalize(DummyVecEnv([Scripted]), epsilon=0.0)
    statistics.obs_rms.mean, statistics.obs_rms.var = np.array([1.0]), np.array([4.0])
    statistics.ret_rms.var = np.array(1e6)
    return statistics


def test_vec_normalize_changes_the_observations_and_not_the_rewards() -> None:
    as_seen = Acts(lambda observation: observation)
    report = evaluate(as_seen, fixed_tasks(SCRIPTED, 3, first_seed=0), vec_normalize=scripted_statistics())
    # A step is worth seed + (seed - 1) / 2, an episode has seed + 1 of them.
    assert [e.episode_return for e in report.episodes] == [-0.5, 2.0, 7.5]


def test_saved_statistics_need_no_environment(tmp_path: Path) -> None:
    scripted_statistics().save(str(tmp_path / "vecnormalize.pkl"))
    loaded = pickle.loads((tmp_path / "vecnormalize.pkl").read_bytes())
    as_seen, tasks = Acts(lambda observation: observation), fixed_tasks(SCRIPTED, 3, first_seed=0)
    assert evaluate(as_seen, tasks, vec_normalize=loaded) == evaluate(
        as_seen, tasks, vec_normalize=scripted_statistics()
    )


def test_a_models_own_vec_normalize_is_used() -> None:
    model = PPO("MlpPolicy", scripted_statistics(), n_steps=64, device="cpu")
    with th.no_grad():
        model.policy.action_net.weight *= 1000
    tasks = fixed_tasks(SCRIPTED, 5, first_seed=0)
    own = evaluate(model, tasks)
    assert own == evaluate(model, tasks, vec_normalize=scripted_statistics())
    assert own != evaluate(model.policy, tasks)


def test_a_wrapper_changes_what_the_model_sees_but_no_return() -> None:
    def wrap(env: gym.Env[Any, Any]) -> gym.Env[Any, Any]:
        seen = TransformObservation(env, lambda observation: observation + 1, env.observation_space)
        return TransformReward(seen, lambda reward: reward * 1000)

    as_seen = Acts(lambda observation: observation)
    report = evaluate(as_seen, fixed_tasks(SCRIPTED, 3, first_seed=0), env_wrapper=wrap)
    assert [e.episode_return for e in report.episodes] == [1.0, 6.0, 15.0]


# --- the lander ------------------------------------------------------------------------------------------------


def outcomes(model: Acts, n: int, **env_kwargs: Any) -> list[str]:
    return [e.outcome for e in evaluate(model, fixed_tasks(V3, n, first_seed=0, env_kwargs=env_kwargs)).episodes]


def test_falling_without_engines_is_a_crash_that_burns_nothing() -> None:
    report = evaluate(constant(-1.0, 0.0), fixed_tasks(V3, 4))
    assert report.outcomes == {"crashed": 4}
    assert report.mean_fuel == 0.0


def test_gymnasiums_heuristic_lands_on_the_pad() -> None:
    report = evaluate(heuristic_at(), fixed_tasks(V3, 8, first_seed=0))
    assert report.outcomes == {"landed_on_pad": 8}
    assert report.success_rate == 1.0
    for episode in report.episodes:
        assert episode.touchdown_speed is not None
        assert 0.1 < episode.touchdown_speed < 4.0
        assert episode.touchdown_distance is not None
        assert episode.touchdown_distance < 2.0


def test_landing_beside_the_pad_is_told_from_landing_on_it() -> None:
    report = evaluate(heuristic_at(x=0.3), fixed_tasks(V3, 8, first_seed=0))
    landed_off = [e for e in report.episodes if e.outcome == "landed_off_pad"]
    assert landed_off
    for episode in landed_off:
        assert episode.touchdown_distance is not None
        assert episode.touchdown_distance > 1.0


def test_flying_sideways_leaves_the_screen() -> None:
    assert outcomes(heuristic_at(x=3.0, y=1.0), 4) == ["left_screen"] * 4


def test_hovering_times_out_without_a_touchdown() -> None:
    report = evaluate(heuristic_at(y=1.0), fixed_tasks(V3, 4, env_kwargs={"max_episode_steps": 150}))
    assert report.outcomes == {"timed_out": 4}
    assert {e.length for e in report.episodes} == {150}
    assert {e.touchdown_speed for e in report.episodes} == {None}


@pytest.mark.parametrize(
    ("action", "fuel_per_step"),
    [
        ((1.0, 0.75), 0.30 + 0.03 * 0.75),
        ((0.5, -1.0), 0.30 * 0.75 + 0.03),
        ((0.0, 0.5), 0.0),
        ((9.0, -9.0), 0.33),
    ],
)
def test_fuel_is_what_the_simulator_charges(action: tuple[float, float], fuel_per_step: float) -> None:
    report = evaluate(constant(*action), fixed_tasks(V3, 2, env_kwargs={"max_episode_steps": 10}))
    assert [e.fuel for e in report.episodes] == pytest.approx([10 * fuel_per_step] * 2)


def test_fuel_of_the_discrete_lander_is_counted_too() -> None:
    tasks = fixed_tasks("LunarLander-v3", 1, env_kwargs={"max_episode_steps": 10})
    for action, fuel_per_step in enumerate([0.0, 0.03, 0.30, 0.03]):
        model = Acts(lambda observation: None)
        model.predict = lambda observation, action=action, **_: (np.full(len(observation), action), None)  # type: ignore[method-assign]  # integers
        assert evaluate(model, tasks).episodes[0].fuel == pytest.approx(10 * fuel_per_step)


def test_the_touchdown_is_what_box2d_says() -> None:
    model = heuristic_at()
    episode = evaluate(model, [Task(V3, 5)]).episodes[0]
    env = gym.make(V3)
    observation, _ = env.reset(seed=5)
    lander: Any = env.unwrapped
    while not any(leg.ground_contact for leg in lander.legs):
        speed = lander.lander.linearVelocity.length
        observation, *_ = env.step(model.predict(observation[None])[0][0])
    assert episode.touchdown_speed == pytest.approx(speed, rel=1e-5)
    assert episode.touchdown_tilt == abs(lander.lander.angle)
    assert episode.touchdown_distance == abs(lander.lander.position.x - 10.0)


def test_v2_and_v3_are_the_same_tasks() -> None:
    v2, v3 = (evaluate(heuristic_at(), fixed_tasks(f"LunarLanderContinuous-{v}", 2)) for v in ("v2", "v3"))
    assert v2.episodes == v3.episodes


# --- progress and bad input ------------------------------------------------------------------------------------


def test_the_progress_bar_is_off_unless_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    evaluate(NOTHING, fixed_tasks(SCRIPTED, 3, first_seed=0))
    assert capsys.readouterr().err == ""
    evaluate(NOTHING, fixed_tasks(SCRIPTED, 3, first_seed=0), progress=True)
    assert "3/3" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("tasks", "message"),
    [
        ([], "no tasks"),
        ([Task("Nowhere-v0", 1)], "unknown environment 'Nowhere-v0'"),
        ([Task(V3, 1), Task(V3, 1)], "the seed 1 occurs twice"),
        ([Task(V3, 1), Task(SCRIPTED, 2)], "one environment"),
        ([Task(V3, 1), Task(V3, 2, {"enable_wind": True})], "one environment"),
        ([Task(V3, 1, {"winds": True})], "cannot make .*winds"),
        ([Task(V3, 1, {"gravity": 5.0})], "gravity"),
        ([Task("Pendulum-v1", 1)], "declares no reward_threshold"),
    ],
)
def test_tasks_that_cannot_be_evaluated_are_named(tasks: list[Task], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        evaluate(constant(0.0, 0.0), tasks)


@pytest.mark.parametrize("env_id", ["CartPole-v1", "LunarLander-v3", "BipedalWalker-v3"])
def test_a_model_of_another_environment_is_refused(ppo: BaseAlgorithm, env_id: str) -> None:
    with pytest.raises(ValueError, match=f"does not fit {env_id}"):
        evaluate(ppo, fixed_tasks(env_id, 1))


def test_statistics_of_another_environment_are_refused(ppo: BaseAlgorithm) -> None:
    with pytest.raises(ValueError, match="statistics do not fit"):
        evaluate(ppo, fixed_tasks(V3, 1), vec_normalize=scripted_statistics())
    with pytest.raises(ValueError, match=r"must be a VecNormalize, got 'vecnormalize\.pkl'"):
        evaluate(ppo, fixed_tasks(V3, 1), vec_normalize="vecnormalize.pkl")  # type: ignore[arg-type]  # refused


@pytest.mark.parametrize("option", ["n_envs", "n_processes", "batch_size"])
def test_a_number_below_one_is_refused(option: str) -> None:
    with pytest.raises(ValueError, match=f"{option} must be an integer >= 1, got 0"):
        evaluate(NOTHING, fixed_tasks(SCRIPTED, 1), **{option: 0})


def test_tasks_with_impossible_numbers_are_refused() -> None:
    with pytest.raises(ValueError, match="n must be an integer >= 1, got 0"):
        fixed_tasks(V3, 0)
    with pytest.raises(ValueError, match="got -1"):
        Task(V3, -1)
    with pytest.raises(ValueError, match=r"got 1\.5"):
        Task(V3, 1.5)  # type: ignore[arg-type]  # the point of the test


def test_a_script_without_the_main_guard_is_told_so(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(
        "from sb3_lander import evaluate, fixed_tasks\n"
        "class Model:\n"
        "    def predict(self, observation, **_):\n"
        "        return observation[:, :2], None\n"
        "evaluate(Model(), fixed_tasks('LunarLanderContinuous-v3', 4), n_processes=2, n_envs=2)\n"
    )
    done = python("script.py", cwd=tmp_path)
    assert done.status == 1
    assert "__main__" in done.output
    assert "ChildProcessError: a worker process ended early" in done.output


def test_a_failing_environment_fails_the_evaluation_in_a_worker_too() -> None:
    def fail(observation: np.ndarray) -> np.ndarray:
        if (np.abs(observation) == 3).any():
            raise ZeroDivisionError("seed 3")
        return np.zeros((len(observation), 1))

    with pytest.raises(ZeroDivisionError, match="seed 3"):
        evaluate(Acts(fail), fixed_tasks(SCRIPTED, 5, first_seed=0), n_processes=2, n_envs=2)


def test_the_player_that_is_sent_to_a_worker_holds_the_policy_only(ppo: BaseAlgorithm) -> None:
    import cloudpickle

    rollout = Rollout(ppo.policy, gym.spec(V3), {}, 200.0)
    assert len(cloudpickle.dumps(rollout)) < 500_000
