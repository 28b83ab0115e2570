"""FastLstmPolicy: sb3-contrib's LSTM policy, whose updates go through whole sequences at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch as th
from gymnasium import spaces
from sb3_contrib.common.recurrent.policies import RecurrentActorCriticPolicy
from stable_baselines3.common.type_aliases import Schedule
from torch import nn

from sb3_lander.policies.networks import activation_factory

__all__ = ["FastLstmPolicy"]


class FastLstmPolicy(RecurrentActorCriticPolicy):
    """sb3-contrib's recurrent policy with faster updates, for ``RecurrentPPO`` (the Zoo's ``ppo_lstm``).

    ``RecurrentPPO`` begins a sequence wherever an episode begins, and where one of a batch's sequences begins an
    episode, which is nearly always, sb3-contrib's policy steps through all of them in Python. Here the states of those
    are reset first, and torch goes through all sequences in one call. Results differ by float rounding only, and with
    dropout by what it draws.

    :param observation_space: Observation space.
    :param action_space: Action space.
    :param lr_schedule: Learning rate schedule; its value at 1 is the optimizer's first learning rate.
    :param activation_fn: What makes a hidden layer's activation, such as its class, or its name (``"tanh"``,
        ``"relu"``, ``"elu"``, ...).
    :param kwargs: As for sb3-contrib's ``MlpLstmPolicy``; with ``features_extractor_class`` it sees pictures or
        dictionaries.
    :raises ValueError: If the activation's name is unknown.
    """

    def __init__(
        self,
        observation_space: spaces.Space[Any],
        action_space: spaces.Space[Any],
        lr_schedule: Schedule,
        *,
        activation_fn: str | Callable[[], nn.Module] = nn.Tanh,
        **kwargs: Any,
    ) -> None:
        activation: Any = activation_factory(activation_fn)  # SB3 only calls it
        super().__init__(observation_space, action_space, lr_schedule, activation_fn=activation, **kwargs)

    @staticmethod
    def _process_sequence(
        features: th.Tensor, lstm_states: tuple[th.Tensor, th.Tensor], episode_starts: th.Tensor, lstm: nn.LSTM
    ) -> tuple[th.Tensor, th.Tensor]:  # the second is a pair of states; the base class types it so
        hidden, cell = lstm_states
        starts = episode_starts.reshape(hidden.shape[1], -1)  # (n_sequences, length)
        if starts.shape[1] > 1 and not starts[:, 1:].any():
            kept = (1.0 - starts[:, 0]).view(1, -1, 1)
            lstm_states, episode_starts = (kept * hidden, kept * cell), th.zeros_like(episode_starts)
        return RecurrentActorCriticPolicy._process_sequence(features, lstm_states, episode_starts, lstm)


# Saved models name the class by this path: it must not follow the file.
FastLstmPolicy.__module__ = "sb3_lander.policies"
