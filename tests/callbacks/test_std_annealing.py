"""AnnealStd: when the noise falls, how far, and for which policies."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sb3_contrib import TRPO
from stable_baselines3 import A2C, PPO, SAC
from stable_baselines3.common.callbacks import BaseCallback

from sb3_lander.callbacks import AnnealStd
from sb3_lander.envs import V3_ID
from sb3_lander.policies import SeparateActorCriticPolicy

STILL = {"learning_rate": 0.0, "n_steps": 100, "seed": 0, "device": "cpu"}


class Log(BaseCallback):
    """Keeps the log std of each rollout's first step."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: dict[int, list[float]] = {}

    def _on_step(self) -> bool:
        if self.num_timesteps % 100 == 1:
            self.seen[self.num_timesteps - 1] = self.model.policy.log_std.tolist()  # type: ignore[operator]  # a tensor
        return True


def ppo(policy: Any = "MlpPolicy", **policy_kwargs: Any) -> PPO:
    return PPO(policy, V3_ID, batch_size=100, n_epochs=1, policy_kwargs=policy_kwargs, **STILL)


def test_the_bound_falls_in_a_straight_line_over_the_last_part_of_the_budget() -> None:
    model, log = ppo(log_std_init=0.5), Log()
    model.learn(1000, [AnnealStd(end=-1.0, start=0.0, since=0.5), log])
    expected = {0: 0.0, 100: 0.0, 200: 0.0, 300: 0.0, 400: 0.0, 500: 0.0, 600: -0.2, 700: -0.4, 800: -0.6, 900: -0.8}
    assert log.seen == {step: pytest.approx([bound] * 2, abs=1e-6) for step, bound in expected.items()}
    assert model.policy.log_std.tolist() == pytest.approx([-1.0] * 2)


def test_the_bound_is_down_at_the_share_that_was_named_and_stays_there() -> None:
    model, log = ppo(log_std_init=0.5), Log()
    model.learn(1000, [AnnealStd(end=-1.0, start=0.0, since=0.2, until=0.6), log])
    expected = {100: 0.0, 200: 0.0, 300: -0.25, 400: -0.5, 500: -0.75, 600: -1.0, 900: -1.0}
    assert {step: log.seen[step] for step in expected} == {
        step: pytest.approx([bound] * 2, abs=1e-6) for step, bound in expected.items()
    }


def test_noise_that_is_lower_by_itself_stays_as_it_is() -> None:
    model = ppo(log_std_init=-2.0).learn(300, AnnealStd(end=-1.0))
    assert model.policy.log_std.tolist() == [-2.0] * 2


def test_a_training_that_goes_on_later_takes_up_the_same_line() -> None:
    model, log = ppo(log_std_init=0.0), Log()
    model.learn(400, AnnealStd(since=0.0, end=-1.0))
    model.policy.log_std.data.fill_(0.0)
    model.learn(600, [AnnealStd(since=0.0, end=-1.0), log], reset_num_timesteps=False)
    assert log.seen[400] == pytest.approx([-0.4] * 2)
    assert log.seen[900] == pytest.approx([-0.9] * 2)


@pytest.mark.parametrize(("algorithm", "options"), [(A2C, {}), (TRPO, {"batch_size": 100})])
def test_other_algorithms_with_a_learned_std_have_it_too(algorithm: Any, options: dict[str, Any]) -> None:
    model = algorithm("MlpPolicy", V3_ID, **STILL, **options).learn(300, AnnealStd(end=-1.0))
    assert model.policy.log_std.tolist() == pytest.approx([-1.0] * 2)


def test_the_policys_own_lower_bound_stays_in_force() -> None:
    model = ppo(SeparateActorCriticPolicy, log_std_bounds=[-0.5, 0.5]).learn(300, AnnealStd(end=-1.0))
    observation = model.policy.obs_to_tensor(np.zeros(8, dtype=np.float32))[0]
    stddev = model.policy.get_distribution(observation).distribution.stddev  # type: ignore[attr-defined]  # a Gaussian's
    assert stddev.tolist() == [pytest.approx([0.60653066] * 2)]  # exp(-0.5)


def test_the_fast_policy_trains_on_with_it_as_the_plain_one_does() -> None:
    def trained(fast: bool) -> PPO:
        kwargs = {"fast": fast, "log_std_init": -0.5}
        settings = STILL | {"learning_rate": 1e-3}
        model = PPO(SeparateActorCriticPolicy, V3_ID, batch_size=50, n_epochs=2, policy_kwargs=kwargs, **settings)
        return model.learn(300, AnnealStd(end=-1.0, since=0.0))

    plain, fast = trained(fast=False), trained(fast=True)
    for name, tensor in fast.policy.state_dict().items():
        assert tensor.numpy() == pytest.approx(plain.policy.state_dict()[name].numpy(), abs=1e-4), name


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"end": 0.5}, r"end=0.5 must be at most start=0.0"),
        ({"since": 1.0}, r"since=1.0 and until=1.0 must be shares of the budget"),
        ({"since": -0.1}, r"since=-0.1 and until=1.0 must be shares of the budget"),
        ({"until": 0.5}, r"since=0.6 and until=0.5 must be shares of the budget"),
        ({"until": 1.1}, r"since=0.6 and until=1.1 must be shares of the budget"),
    ],
)
def test_numbers_that_make_no_sense_are_refused(options: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        AnnealStd(**options)


def test_policies_without_a_learned_std_are_refused() -> None:
    with pytest.raises(ValueError, match="SACPolicy has no learned log_std"):
        SAC("MlpPolicy", V3_ID, buffer_size=100).learn(1, AnnealStd())
    with pytest.raises(ValueError, match="SeparateActorCriticPolicy has no learned log_std"):
        ppo(SeparateActorCriticPolicy, std="fixed").learn(1, AnnealStd())
