"""FusedAdam against torch's Adam: the same steps and the same state, whatever is done between two steps."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch as th
from torch import nn

from sb3_lander.policies.fused_adam import FusedAdam, FusedAdamW, fused_class


class Learner(nn.Module):
    """A network and its optimizer, as a policy of SB3 has them."""

    def __init__(self, optimizer_class: type[th.optim.Optimizer], **options: Any) -> None:
        super().__init__()
        th.manual_seed(0)
        self.network = nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 2))
        self.optimizer = optimizer_class(self.network.parameters(), **{"lr": 0.01, **options})

    def steps(self, n: int = 3) -> None:
        for i in range(n):
            x = th.linspace(-1, 1, 12, dtype=self.network[0].weight.dtype).view(4, 3) + i
            self.optimizer.zero_grad()
            self.network(x).square().sum().backward()
            nn.utils.clip_grad_norm_(self.network.parameters(), 0.5)
            self.optimizer.step()


def check_same(ours: Learner, plain: Learner) -> None:
    for name, value in plain.state_dict().items():
        th.testing.assert_close(ours.state_dict()[name], value)
    states = ours.optimizer.state_dict(), plain.optimizer.state_dict()
    assert states[0]["param_groups"] == states[1]["param_groups"]
    assert states[0]["state"].keys() == states[1]["state"].keys()
    for i, state in states[1]["state"].items():
        th.testing.assert_close(states[0]["state"][i], state)


@pytest.mark.parametrize("set_to_none", [True, False])
def test_zero_grad_forgets_the_gradients_as_torch_does(set_to_none: bool) -> None:
    for kind in (FusedAdam, th.optim.Adam):
        learner = Learner(kind)
        learner.steps()
        before = [p.grad for p in learner.parameters()]
        learner.optimizer.zero_grad(set_to_none)
        for old, parameter in zip(before, learner.parameters(), strict=True):
            assert old is not None
            assert parameter.grad is (None if set_to_none else old)
            assert bool(old.any()) == set_to_none


def nothing(learner: Learner) -> Learner:
    return learner


def pickled(learner: Learner) -> Learner:
    copied: Learner = pickle.loads(pickle.dumps(learner))
    return copied


def take_values_out(learner: Learner) -> Learner:
    for parameter in learner.parameters():
        parameter.data = parameter.data.clone()
    return learner


def freeze(learner: Learner) -> Learner:
    return_value = learner
    learner.network[0].requires_grad_(False)
    return return_value


def freeze_and_thaw(learner: Learner) -> Learner:
    learner.network[2].requires_grad_(False)
    learner.steps(2)
    learner.network[2].requires_grad_(True)
    return learner


def make_double(learner: Learner) -> Learner:
    learner.network.double()
    for state in learner.optimizer.state.values():
        state["exp_avg"], state["exp_avg_sq"] = state["exp_avg"].double(), state["exp_avg_sq"].double()
    return learner


def transpose_a_weights_memory(learner: Learner) -> Learner:
    weight = learner.network[0].weight
    weight.data = weight.data.t().contiguous().t()
    return learner


def add_a_group(learner: Learner) -> Learner:
    learner.network.append(nn.Linear(2, 2))
    learner.network[-1].load_state_dict({"weight": th.eye(2), "bias": th.zeros(2)})
    learner.optimizer.add_param_group({"params": learner.network[-1].parameters(), "lr": 0.1})
    return learner


def replace_a_moment(learner: Learner) -> Learner:
    learner.optimizer.state[learner.network[0].weight]["exp_avg"] = th.ones(5, 3)
    learner.optimizer.state[learner.network[0].weight]["step"] = th.tensor(50.0)
    return learner


CHANGES = [
    nothing,
    copy.deepcopy,
    pickled,
    take_values_out,
    freeze,
    freeze_and_thaw,
    make_double,
    transpose_a_weights_memory,
    add_a_group,
    replace_a_moment,
]
OPTIONS: list[dict[str, Any]] = [
    {},
    {"weight_decay": 0.1, "maximize": True, "eps": 1e-5, "betas": (0.5, 0.9)},
    {"amsgrad": True},
    {"lr": th.tensor(0.01)},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize(("ours", "theirs"), [(FusedAdam, th.optim.Adam), (FusedAdamW, th.optim.AdamW)])
@pytest.mark.parametrize("change", CHANGES)
def test_it_makes_the_same_steps(
    change: Callable[[Learner], Learner],
    ours: type[th.optim.Optimizer],
    theirs: type[th.optim.Optimizer],
    options: dict[str, Any],
) -> None:
    learners = [Learner(ours, **options), Learner(theirs, **options)]
    for i, learner in enumerate(learners):
        learner.steps()
        learners[i] = change(learner)
        learners[i].steps()
    check_same(*learners)


@pytest.mark.parametrize("classes", [(FusedAdam, th.optim.Adam), (th.optim.Adam, FusedAdam)])
def test_its_state_and_adams_can_be_exchanged(classes: tuple[type[th.optim.Optimizer], ...]) -> None:
    one, other, plain = Learner(classes[0]), Learner(classes[1]), Learner(th.optim.Adam)
    for learner in (one, plain):
        learner.steps()
    other.load_state_dict(one.state_dict())
    # A copy, since torch would let both optimizers work on the same moments.
    other.optimizer.load_state_dict(copy.deepcopy(one.optimizer.state_dict()))
    for learner in (other, plain):
        learner.steps()
    check_same(other, plain)


def test_it_takes_a_closure_and_calls_its_hooks_once() -> None:
    learner, plain = Learner(FusedAdam), Learner(th.optim.Adam)
    calls: list[str] = []
    learner.optimizer.register_step_pre_hook(lambda *_: calls.append("before"))
    learner.optimizer.register_step_post_hook(lambda *_: calls.append("after"))
    learner.steps(3)
    assert calls == 3 * ["before", "after"]
    plain.steps(3)
    for each in (learner, plain):

        def loss(each: Learner = each) -> float:
            each.optimizer.zero_grad()
            value = each.network(th.ones(2, 3)).square().sum()
            value.backward()
            return value

        assert each.optimizer.step(loss) > 0
    assert calls == 4 * ["before", "after"]
    check_same(learner, plain)


def test_only_adam_and_adamw_as_they_are_have_a_faster_class() -> None:
    assert fused_class(th.optim.Adam, {"eps": 1e-5}) is FusedAdam
    assert fused_class(th.optim.AdamW, {}) is FusedAdamW
    assert fused_class(th.optim.RMSprop, {}) is th.optim.RMSprop
    for option in ("foreach", "fused", "capturable", "differentiable"):
        assert fused_class(th.optim.Adam, {option: True}) is th.optim.Adam

    class Own(th.optim.Adam):
        pass

    assert fused_class(Own, {}) is Own
