"""The mean of the weights over a training's last part, in place of the last ones."""

from typing import Any

import torch as th
from stable_baselines3.common.callbacks import BaseCallback


class AverageWeights(BaseCallback):
    """End a training with the mean of its policy's weights over the last part of its budget.

    The last update is as noisy as every other, and can cost landings that the ones before it still made. The mean is
    steadier, as Polyak and Juditsky, *Acceleration of Stochastic Approximation by Averaging* (1992), prove for convex
    problems, Izmailov et al., *Averaging Weights Leads to Wider Optima and Better Generalization* (2018), show for
    networks, and Nikishin et al., *Improving Stability in Deep Reinforcement Learning with Weight Averaging* (2018),
    for agents. The training itself stays as it is, bit for bit: the mean takes the weights' place when the
    budget is used up. Evaluations and checkpoints before that are of the weights that learn.

    Works with every algorithm of SB3 and sb3-contrib that learns by rollouts. The mean so far is an attribute of the
    algorithm, so it is saved with each checkpoint, and a training that goes on from one takes it up. A training that
    another callback ends before its budget keeps the weights that it has.

    :param since: The share of the training's budget from which on weights count, at least 0 and below 1. All of them
        count alike, those at the start of each rollout.
    :raises ValueError: If ``since`` is no such share.
    """

    def __init__(self, since: float = 0.5) -> None:
        super().__init__()
        if not 0 <= since < 1:
            raise ValueError(f"since={since} must be a share of the budget, at least 0 and below 1")
        self.since = since

    def _weights(self) -> list[th.Tensor]:
        # Views of the policy's own: what is written into them is the policy's.
        return [value for value in self.model.policy.state_dict().values() if value.is_floating_point()]

    def _progress(self) -> float:
        # SB3's own schedules count from the same numbers.
        return self.num_timesteps / self.model._total_timesteps

    def _on_training_start(self) -> None:
        # What an earlier training of the same model left when it was interrupted.
        if self._progress() <= self.since:
            vars(self.model).pop("weight_average", None)

    def _on_rollout_start(self) -> None:
        if self._progress() >= self.since:
            self._count()

    def _count(self) -> None:
        model: Any = self.model
        # On the CPU, so that a checkpoint of a training on a GPU loads without one.
        weights = [value.cpu() for value in self._weights()]
        count, mean = getattr(model, "weight_average", (0, [th.zeros_like(value) for value in weights]))
        th._foreach_lerp_(mean, weights, 1 / (count + 1))
        model.weight_average = (count + 1, mean)

    def _on_training_end(self) -> None:
        if self._progress() >= 1:
            self._count()
            _, mean = vars(self.model).pop("weight_average")
            for value, average in zip(self._weights(), mean, strict=True):
                value.copy_(average)

    def _on_step(self) -> bool:
        return True
