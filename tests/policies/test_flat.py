"""All parameters in one tensor: the same steps as with each on its own, whatever is done to the parameters between."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch as th
from torch import nn

from sb3_lander.policies.flat import FlatParameters


def network(seed: int = 0) -> nn.Sequential:
    th.manual_seed(seed)
    return nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 2))


class Learner(nn.Module):
    """A network and its optimizer, as a policy of SB3 has them."""

    def __init__(self, flat: bool) -> None:
        super().__init__()
        self.network = network()
        self.optimizer = th.optim.Adam(self.network.parameters(), lr=0.01, fused=True)
        self.flat = FlatParameters(list(self.network.parameters()), self.optimizer) if flat else None

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if self.flat is not None:
            self.flat.attach(self.optimizer)

    def steps(self, n: int = 3) -> None:
        for i in range(n):
            x = th.linspace(-1, 1, 12).view(4, 3) + i
            self.optimizer.zero_grad()
            self.network(x).square().sum().backward()
            parameters = self.network.parameters() if self.flat is None else [self.flat.flat]
            nn.utils.clip_grad_norm_(parameters, 0.5)
            self.optimizer.step()


def nothing(learner: Learner) -> Learner:
    return learner


def take_values_out(learner: Learner) -> Learner:
    for parameter in learner.network.parameters():
        parameter.data = parameter.data.clone()
    return learner


def take_gradients_out(learner: Learner) -> Learner:
    for parameter in learner.network.parameters():
        parameter.grad = None
    return learner


def load_other_values(learner: Learner) -> Learner:
    learner.network.load_state_dict(network(seed=1).state_dict())
    return learner


def there_and_back(learner: Learner) -> Learner:
    return learner.double().float()


def pickled(learner: Learner) -> Learner:
    copied: Learner = pickle.loads(pickle.dumps(learner))
    return copied


@pytest.mark.parametrize(
    "between",
    [nothing, copy.deepcopy, pickled, take_values_out, take_gradients_out, load_other_values, there_and_back],
)
def test_it_makes_the_same_steps(between: Callable[[Learner], Learner]) -> None:
    learners = [Learner(flat=True), Learner(flat=False)]
    for i, learner in enumerate(learners):
        learner.steps()
        learners[i] = between(learner)
        learners[i].steps()
    ours, plain = (learner.network.state_dict() for learner in learners)
    assert ours.keys() == plain.keys()
    for name, value in plain.items():
        th.testing.assert_close(ours[name], value)
    assert learners[0].flat is not None
    assert learners[0].flat.is_linked()


def test_the_optimizers_state_can_be_stored_and_loaded() -> None:
    one, other = Learner(flat=True), Learner(flat=True)
    one.steps()
    other.load_state_dict(one.state_dict())
    # A copy, since torch would let both optimizers work on the same moments.
    other.optimizer.load_state_dict(copy.deepcopy(one.optimizer.state_dict()))
    one.steps()
    other.steps()
    for name, value in one.state_dict().items():
        th.testing.assert_close(other.state_dict()[name], value)
