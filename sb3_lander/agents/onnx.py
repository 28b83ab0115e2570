"""Write a trained policy as ONNX: observation in, action within its bounds out, everything between inside."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch as th
from gymnasium import spaces
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize
from torch import nn

from sb3_lander.agents.agent import Agent
from sb3_lander.runs.files import write_whole

CHECKED_OBSERVATIONS = 10_000
"""Observations of the policy's own flights on which the file is compared with the policy."""

_TOLERANCE = 1e-4
_NEEDED = ("onnx", "onnxscript", "onnxruntime")


def export(agent: Agent, file: str | Path) -> float:
    """Write an agent's deterministic policy as ONNX and compare it with the original.

    The input ``observation`` has the shape ``(batch, *obs_shape)`` and the observations' type, as the environment
    returns them: normalisation statistics are part of the file. The output ``action`` has the shape
    ``(batch, *action_shape)`` and lies within the action space.

    :param agent: The agent; its normalisation becomes part of the file.
    :param file: The ONNX file; it appears once it is checked.
    :return: The greatest difference from torch's actions on :data:`CHECKED_OBSERVATIONS` observations.
    :raises ImportError: If the packages of the extra ``onnx`` are missing.
    :raises FileNotFoundError: If the file's folder does not exist.
    :raises ValueError: If the policy has a state, sees several observations at a time, or the file acts otherwise.
    """
    if missing := [name for name in _NEEDED if importlib.util.find_spec(name) is None]:
        raise ImportError(f'ONNX needs {", ".join(missing)}: pip install "sb3-lander[onnx]"')
    file = Path(file)
    if not file.parent.is_dir():
        raise FileNotFoundError(f"no folder {file.parent} for {file.name}")
    if not isinstance(agent.policy, BasePolicy):
        raise ValueError(f"only policies of Stable-Baselines3 can be exported, got {agent.policy!r:.80}")
    if not isinstance(agent.vec_normalize, VecNormalize | None):
        raise ValueError(f"only VecNormalize's statistics can be exported, got {agent.vec_normalize!r:.80}")
    network = _DeterministicPolicy(agent.policy, agent.vec_normalize)
    content = _to_onnx(network)
    observations = _fly(agent, network)
    with th.no_grad():
        expected = network(th.as_tensor(observations)).numpy()
    onnxruntime: Any = importlib.import_module("onnxruntime")
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    difference = float(np.abs(session.run(None, {"observation": observations})[0] - expected).max())
    if not difference <= _TOLERANCE:
        raise ValueError(f"the exported policy differs from the original by {difference}: not written")
    write_whole(file, lambda out: out.write(content))
    return difference


class _DeterministicPolicy(nn.Module):
    """What SB3's ``predict(observation, deterministic=True)`` computes, with the normalisation, as one module."""

    def __init__(self, policy: BasePolicy, statistics: VecNormalize | None) -> None:
        super().__init__()
        if not isinstance(policy.observation_space, spaces.Box):
            raise ValueError(f"only Box observations can be exported, got {policy.observation_space}")
        if hasattr(policy, "lstm_actor"):
            raise ValueError("a recurrent policy has a state from step to step: it cannot be exported")
        self.policy = policy.eval()
        self.statistics = statistics if statistics is not None and statistics.norm_obs else None
        if self.statistics is not None:
            moments: Any = self.statistics.obs_rms
            std = np.sqrt(moments.var + self.statistics.epsilon)
            self.mean, self.std = (nn.Buffer(th.as_tensor(part, dtype=th.float32)) for part in (moments.mean, std))
        if isinstance(space := policy.action_space, spaces.Box):
            self.low, self.high = nn.Buffer(th.as_tensor(space.low)), nn.Buffer(th.as_tensor(space.high))

    def forward(self, observation: th.Tensor) -> th.Tensor:
        """Return the actions for observations of shape ``(batch, *obs_shape)``."""
        if self.statistics is not None:
            clip = self.statistics.clip_obs
            observation = ((observation - self.mean) / self.std).clamp(-clip, clip)
        action = self.policy._predict(observation, deterministic=True)
        action_space = self.policy.action_space
        action = action.reshape((-1, *action_space.shape)) if action_space.shape else action.reshape(-1)
        if not isinstance(action_space, spaces.Box):
            return action
        if self.policy.squash_output:
            return self.low + 0.5 * (action + 1.0) * (self.high - self.low)
        return th.minimum(th.maximum(action, self.low), self.high)


def _to_onnx(network: _DeterministicPolicy) -> bytes:
    space = network.policy.observation_space
    example = th.as_tensor(np.stack([space.sample() for _ in range(3)]))
    # Checks of a distribution's arguments depend on their values, which no graph can hold.
    distribution = th.distributions.Distribution
    with warnings.catch_warnings(), contextlib.ExitStack() as stack:
        warnings.simplefilter("ignore")  # torch's exporter warns of its own deprecated calls
        stack.callback(distribution.set_default_validate_args, distribution._validate_args)
        distribution.set_default_validate_args(False)
        program: Any = th.onnx.export(
            network,
            (example,),
            input_names=["observation"],
            output_names=["action"],
            dynamic_shapes={"observation": {0: th.export.Dim("batch")}},
            dynamo=True,
            verbose=False,
        )
    return bytes(program.model_proto.SerializeToString())


def _fly(agent: Agent, network: _DeterministicPolicy) -> np.ndarray:
    """Return observations of the policy's own flights, one after the other."""
    with contextlib.closing(DummyVecEnv([agent.make_env])) as env, th.no_grad():
        env.seed(0)
        observations: list[Any] = [env.reset()]
        while len(observations) < CHECKED_OBSERVATIONS:
            observations.append(env.step(network(th.as_tensor(observations[-1])).numpy())[0])
    return np.concatenate(observations)
