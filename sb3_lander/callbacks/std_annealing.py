"""An upper bound of a Gaussian policy's noise that falls towards the end of the training."""

import torch as th
from stable_baselines3.common.callbacks import BaseCallback


class AnnealStd(BaseCallback):
    """Let the policy's noise die down towards the end of the training, whatever the training's budget is.

    What is kept is the policy without its noise, and a task can reward what the noise never lets happen. The lander
    gets its last 100 points when it has lain still for half a second, with no engine on; a policy with a std of 0.5
    fires the side engines in every third step, and never sees them. Before that, large noise finds what works.

    At the start of each rollout the log std is brought below a bound, which falls in a straight line. Works with every
    policy of SB3 and sb3-contrib that has one learned std an action (``log_std``).

    :param end: The log std's bound at the training's end, a natural logarithm; -1.6 is a std of 0.2. A lower bound of
        the policy's own, as ``log_std_bounds``, stays in force.
    :param start: The bound until ``since``; 0.0 is a std of 1.
    :param since: The share of the training's budget at which the bound starts to fall, at least 0 and below ``until``.
    :param until: The share at which it is down at ``end``, at most 1. Below 1, the rest of the training learns with
        the noise that is left.
    :raises ValueError: If ``end`` is above ``start`` or ``since`` and ``until`` no such shares, or, when the training
        starts, if the policy has no learned ``log_std``.
    """

    def __init__(self, end: float = -1.6, start: float = 0.0, since: float = 0.6, until: float = 1.0) -> None:
        super().__init__()
        if end > start:
            raise ValueError(f"end={end} must be at most start={start}")
        if not 0 <= since < until <= 1:
            raise ValueError(f"since={since} and until={until} must be shares of the budget: 0 <= since < until <= 1")
        self.end, self.start, self.since, self.until = end, start, since, until

    def _on_training_start(self) -> None:
        if not isinstance(getattr(self.model.policy, "log_std", None), th.nn.Parameter):
            raise ValueError(f"{type(self.model.policy).__name__} has no learned log_std for AnnealStd to lower")

    def _on_rollout_start(self) -> None:
        # SB3's own schedules count from the same number.
        progress = self.num_timesteps / self.model._total_timesteps
        fallen = min(1.0, max(0.0, progress - self.since) / (self.until - self.since))
        log_std = self.model.policy.log_std
        assert isinstance(log_std, th.nn.Parameter)
        # In place, so that an optimizer's or a flat tensor's view of it stays one.
        log_std.data.clamp_(max=self.start + fallen * (self.end - self.start))

    _on_training_end = _on_rollout_start

    def _on_step(self) -> bool:
        return True
