"""Load an agent from a file that nobody vouches for: :func:`load_policy` runs no code of the file's author.

The policy's class comes from a list, its settings from plain JSON, its weights from torch's ``weights_only``
reader. What cannot be had that way is refused: ``VecNormalize`` statistics (a pickle), policies and network
parts of unknown classes, Python objects in YAML.
"""

from __future__ import annotations

import base64
import inspect
import math
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import torch as th
from gymnasium import spaces
from sb3_contrib import ARS, QRDQN, TQC, TRPO, CrossQ, RecurrentPPO
from stable_baselines3 import A2C, DDPG, DQN, PPO, SAC, TD3
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.torch_layers import CombinedExtractor, FlattenExtractor, NatureCNN
from torch.overrides import TorchFunctionMode

from sb3_lander.envs.registration import register_envs
from sb3_lander.policies.networks import ACTIVATIONS
from sb3_lander.policies.policy import SeparateActorCriticPolicy
from sb3_lander.runs.archive import read_settings, read_weights
from sb3_lander.runs.run import Run

__all__ = ["check_safe_env", "load_policy"]


def _by_path(*classes: type) -> dict[str, type]:
    return {f"{cls.__module__}.{cls.__qualname__}": cls for cls in classes}


_ALGORITHMS = (A2C, DDPG, DQN, PPO, SAC, TD3, ARS, QRDQN, TQC, TRPO, CrossQ, RecurrentPPO)
_POLICIES = _by_path(SeparateActorCriticPolicy, *(cls for a in _ALGORITHMS for cls in a.policy_aliases.values()))
_PARTS = _by_path(*ACTIVATIONS.values(), FlattenExtractor, NatureCNN, CombinedExtractor)
_TEXTS = {"activation_fn", "std", "mirror"}
"""Arguments of our policy that are text."""

_FOR_TRAINING = {"optimizer_class", "optimizer_kwargs", "device"}
"""Arguments of a policy that change nothing in how it acts."""

_SAFE_WRAPPERS = {
    "gymnasium.wrappers.ClipAction",
    "gymnasium.wrappers.FlattenObservation",
    "gymnasium.wrappers.RescaleAction",
    "rl_zoo3.wrappers.HistoryWrapper",
    "rl_zoo3.wrappers.MaskVelocityWrapper",
    "rl_zoo3.wrappers.TimeFeatureWrapper",
    "sb3_lander.envs.SuccessWrapper",
}
_CLASS = re.compile(r"<class '([\w.]+)'>")
_BOX = re.compile(r"<class 'gym(nasium)?\.spaces\.box\.Box'>")
_DISCRETE = re.compile(r"<class 'gym(nasium)?\.spaces\.discrete\.Discrete'>")
_FACTORIES = {th.empty, th.ones, th.zeros, th.rand, th.randn}
_DTYPES = {"float32", "float64", "uint8", "int8", "int16", "int32", "int64"}


def load_policy(path: str | Path) -> BasePolicy:
    """Load a policy without running any code from its file.

    It acts as the one that SB3's ``load`` gives, to the last bit, on the CPU.

    :param path: A ``.zip`` that SB3 or sb3-contrib saved, with any algorithm of the RL Zoo, or a run folder of
        the Zoo, whose final model is taken. For a ``.zip`` inside a run folder the run's settings are heeded.
    :return: The policy, in evaluation mode, with SB3's ``predict(observation, state, episode_start,
        deterministic)``: observations of shape ``(n, *obs_shape)`` to actions of shape ``(n, *action_shape)``.
    :raises FileNotFoundError: If there is no such file, or the run has no final model.
    :raises ValueError: If the file is damaged, or holds what only unpickling could read; the message says what.
    """
    path = Path(path)
    run = None
    if path.is_dir():
        run = Run.load(path)
        if run.final_model is None:
            raise FileNotFoundError(f"{path} has no final model yet: name one of its .zip files")
        path = run.final_model
    elif any(path.parent.glob("*/args.yml")):
        run = Run.load(path.parent)
    if run is not None and run.config.get("normalize"):
        raise ValueError(
            f"{run.path} normalises its observations, and VecNormalize's statistics are a pickle, which can run "
            "any code: load it the usual way if you trust its author"
        )
    settings, weights = read_settings(path), read_weights(path)
    try:
        policy_class, arguments = _policy_class(settings), _arguments(settings)
        observation_space, action_space = _spaces(settings, run)
        return _build(policy_class, observation_space, action_space, arguments, weights)
    except ValueError as error:
        raise ValueError(f"{path} cannot be loaded safely: {error}") from error


def check_safe_env(env_id: str, config: Mapping[str, Any]) -> None:
    """Refuse environments and wrappers whose making could run code of a file's choice.

    :param env_id: The id that a run's files name; ``module:id`` would import the module.
    :param config: The run's hyperparameters; ``env_wrapper`` names classes, and any callable would be called.
    :raises ValueError: If the environment is not gymnasium's own, or a wrapper not on the list of known ones.
    """
    register_envs()
    spec = gym.registry.get(env_id)
    if spec is None or not str(spec.entry_point).startswith("gymnasium.envs."):
        raise ValueError(f"the environment {env_id!r:.80} is none of gymnasium's own, so making it may run any code")
    wrappers = config.get("env_wrapper") or []
    for wrapper in wrappers if isinstance(wrappers, list) else [wrappers]:
        name = next(iter(wrapper), None) if isinstance(wrapper, Mapping) else wrapper
        if not isinstance(name, str) or name not in _SAFE_WRAPPERS:
            known = ", ".join(sorted(_SAFE_WRAPPERS))
            raise ValueError(f"the wrapper {name!r:.80} is not known to be safe; known: {known}")


def _env_spaces(run: Run) -> tuple[spaces.Space[Any], spaces.Space[Any]]:
    """Return the spaces of a run's environment, wrapped, importing nothing that its files choose."""
    check_safe_env(run.env_id, run.config)
    from rl_zoo3.utils import get_wrapper_class

    wrapper = get_wrapper_class(run.config)
    try:
        env = gym.make(gym.spec(run.env_id), **run.env_kwargs)
        wrapped = env if wrapper is None else wrapper(env)
    except (gym.error.Error, TypeError, AssertionError) as error:
        raise ValueError(f"cannot make {run.env_id!r} with {run.env_kwargs}: {error}") from error
    wrapped.close()
    return wrapped.observation_space, wrapped.action_space


def _policy_class(settings: Mapping[str, Any]) -> type:
    """Look the class up by its name, which SB3 leaves readable in what it prints of the class's constructor."""
    printed = settings.get("policy_class")
    fields = printed if isinstance(printed, dict) else {}
    named = re.match(r"<function (\w+)\.__init__ at ", str(fields.get("__init__")))
    name = f"{fields.get('__module__')}.{named[1] if named else '?'}"
    if name not in _POLICIES:
        raise ValueError(f"its policy {name:.120} is not known; known: {', '.join(_POLICIES)}")
    return _POLICIES[name]


def _arguments(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the policy's keyword arguments as far as they change how it acts."""
    given = settings.get("policy_kwargs", {})
    if not isinstance(given, dict):
        raise ValueError(f"its policy_kwargs are {given!r:.80}, not a mapping")
    printed = ":serialized:" in given
    arguments: dict[str, Any] = {}
    for key, value in given.items():
        if key.startswith(":") or key in _FOR_TRAINING:
            continue
        if isinstance(value, str) and (named := _CLASS.fullmatch(value)):
            if named[1] not in _PARTS:
                raise ValueError(f"its {key} {named[1]:.120} is not known; known: {', '.join(_PARTS)}")
            value = _PARTS[named[1]]
        elif isinstance(value, str) and printed and key not in _TEXTS:
            # SB3 prints what JSON cannot hold: "True" may have been numpy's True, or anything else.
            raise ValueError(f"its {key} can be had by unpickling only, it prints as {value!r:.80}")
        arguments[key] = value
    net_arch = arguments.get("net_arch")
    if isinstance(net_arch, list) and net_arch and isinstance(net_arch[0], dict):
        arguments["net_arch"] = net_arch[0]  # the form before SB3 1.8, as SB3's load reads it
    arguments.setdefault("use_sde", settings.get("use_sde", False))
    return arguments


def _spaces(settings: Mapping[str, Any], run: Run | None) -> tuple[spaces.Space[Any], spaces.Space[Any]]:
    """Rebuild the spaces from what is printed of them, or take the environment's, where the run tells it."""
    try:
        observation_space, action_space = (
            _space(key, settings.get(key)) for key in ("observation_space", "action_space")
        )
        return observation_space, action_space
    except (ValueError, TypeError, KeyError, OverflowError, AssertionError) as error:
        if run is None:
            known = isinstance(error, ValueError)
            raise ValueError(str(error) if known else f"its spaces are damaged: {error!r}") from error
        return _env_spaces(run)


def _space(key: str, printed: Any) -> spaces.Space[Any]:
    kind = str(printed.get(":type:")) if isinstance(printed, dict) else repr(printed)
    if _DISCRETE.fullmatch(kind):
        return spaces.Discrete(int(printed["n"]), start=int(printed.get("start", 0)))
    if not _BOX.fullmatch(kind):
        raise ValueError(f"its {key} {kind:.80} can be had by unpickling only, Box and Discrete are read without")
    if printed["dtype"] not in _DTYPES:
        raise ValueError(f"its {key} has the unknown type {printed['dtype']!r:.80}")
    dtype, shape = np.dtype(printed["dtype"]), tuple(int(length) for length in printed["_shape"])
    pickled = base64.b64decode(printed[":serialized:"], validate=True)
    low, high = (_bound(f"{key}'s {name}", str(printed[name]), dtype, shape, pickled) for name in ("low", "high"))
    return spaces.Box(low, high, dtype=dtype.type)


def _bound(name: str, text: str, dtype: np.dtype[Any], shape: tuple[int, ...], pickled: bytes) -> np.ndarray:
    """Read a printed array, and compare it with the raw numbers in the pickle's bytes: print rounds some."""
    tokens, count = re.sub(r"[\[\]]", " ", text).split(), math.prod(shape)
    if count * dtype.itemsize <= len(pickled):
        if "..." in tokens and len(set(tokens)) == 2:
            tokens = [next(token for token in tokens if token != "...")] * count
        if len(tokens) == count and "..." not in tokens:
            bound = np.array([dtype.type(token) for token in tokens], dtype=dtype).reshape(shape)
            if bound.tobytes() in pickled:
                return bound
    raise ValueError(f"its {name} can be had by unpickling only, it prints as {text!r:.80}")


def _build(
    policy_class: Callable[..., BasePolicy],
    observation_space: spaces.Space[Any],
    action_space: spaces.Space[Any],
    arguments: dict[str, Any],
    weights: dict[str, th.Tensor],
) -> BasePolicy:
    """Construct the policy and give it its weights; torch's random state is left as it was."""
    parameters = inspect.signature(policy_class).parameters
    if "use_sde" not in parameters and not arguments.get("use_sde"):
        arguments.pop("use_sde", None)
    if "lr_schedule" in parameters:
        arguments["lr_schedule"] = lambda _: 0.0
    with th.random.fork_rng(devices=[]):
        try:
            with _Budget(2 * sum(tensor.numel() for tensor in weights.values()) + 2**20):
                policy = policy_class(observation_space, action_space, **arguments)
            if (wanted := _shapes(policy.state_dict())) != (given := _shapes(weights)):
                differing = sorted(name for name in wanted.keys() | given.keys() if wanted.get(name) != given.get(name))
                raise ValueError(f"its weights do not fit its settings: {', '.join(differing[:5])}")
            policy.load_state_dict(weights)
            if arguments.get("use_sde"):
                policy.reset_noise()  # type: ignore[operator]  # torch's modules answer any name
        except ValueError:
            raise
        # Settings that are no policy's can fail in any way in SB3's and torch's constructors.
        except Exception as error:
            raise ValueError(f"{type(error).__name__}: {error}") from error
    policy.set_training_mode(False)
    return policy


class _Budget(TorchFunctionMode):
    """Refuse networks that are much larger than the weights in the file, before torch takes memory for them.

    :param numbers: How many numbers may be allocated in all.
    """

    def __init__(self, numbers: int) -> None:
        super().__init__()
        self._left = numbers

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Count what torch's factory functions are asked for."""
        if func in _FACTORIES:
            self._left -= math.prod(args[0] if isinstance(args[0], (tuple, list)) else args)
            if self._left < 0:
                raise ValueError("its settings describe networks much larger than its weights")
        return func(*args, **(kwargs or {}))


def _shapes(weights: Mapping[str, th.Tensor]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in weights.items()}
