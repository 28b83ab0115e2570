"""A policy from a model's file without running any code of it.

The policy's class is one of SB3's, sb3-contrib's or ours, its settings come from plain JSON, its weights from torch's
``weights_only`` reader. What only a pickle holds, and classes that are not known, are refused.
"""

from __future__ import annotations

import base64
import contextlib
import importlib
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
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.torch_layers import CombinedExtractor, FlattenExtractor, NatureCNN
from torch.overrides import TorchFunctionMode

from sb3_lander.policies.networks import ACTIVATIONS
from sb3_lander.runs.archive import read_weights

_POLICY = re.compile(r"((?:stable_baselines3|sb3_contrib)(?:\.\w+)+\.policies|sb3_lander\.policies)\.(\w+)")
_PARTS = {
    f"{cls.__module__}.{cls.__qualname__}": cls
    for cls in (*ACTIVATIONS.values(), FlattenExtractor, NatureCNN, CombinedExtractor)
}
_TEXTS = {"activation_fn", "std", "mirror"}
"""Arguments of our policy that are text."""

_FOR_TRAINING = {"optimizer_class", "optimizer_kwargs", "device"}
"""Arguments of a policy that change nothing in how it acts."""

_CLASS = re.compile(r"<class '([\w.]+)'>")
_SPACE = re.compile(r"<class 'gym(?:nasium)?\.spaces\.(box\.Box|discrete\.Discrete)'>")
_FACTORIES = {th.empty, th.ones, th.zeros, th.rand, th.randn}
_DTYPES = {"float32", "float64", "uint8", "int8", "int16", "int32", "int64"}

TRUST = "; if you trust its author, load it with --trust (in Python trust=True)"
"""What to do where a file cannot be read without running its author's code."""


class _NoOptimizer(th.optim.Optimizer):
    """In the place of an optimizer, which acting does not need: torch's own imports its compiler, for a second."""

    def __init__(self, params: Any, **settings: Any) -> None:
        super().__init__(params, settings)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Keep a group of parameters as it is."""
        self.param_groups.append(param_group)


class UntrustedError(ValueError):
    """A file holds what only running its author's code could read."""


def load_policy(
    path: Path, settings: Mapping[str, Any], make_env: Callable[[], gym.Env[Any, Any]] | None
) -> BasePolicy:
    """Return a model's policy, in evaluation mode, on the CPU. It acts as the one that SB3's ``load`` gives.

    :param path: A ``.zip`` that SB3 or sb3-contrib saved, with any algorithm of the RL Zoo.
    :param settings: What :func:`~sb3_lander.runs.archive.read_settings` says of it.
    :param make_env: Makes the environment, for a file that prints its spaces inexactly; None if unknown.
    :raises ValueError: If the file is damaged.
    :raises UntrustedError: If it holds what only unpickling could read; the message says what.
    """
    weights = read_weights(path)
    try:
        return _build(_policy_class(settings), _arguments(settings) | _spaces(settings, make_env), weights)
    except UntrustedError as error:
        raise UntrustedError(f"{path} cannot be loaded safely: {error}{TRUST}") from error
    except ValueError as error:
        raise ValueError(f"{path} cannot be loaded safely: {error}") from error


def _policy_class(settings: Mapping[str, Any]) -> type:
    """Look the class up by its name, which SB3 leaves readable in what it prints of the class's constructor."""
    printed = settings.get("policy_class")
    fields = printed if isinstance(printed, dict) else {}
    named = re.match(r"<function (\w+)\.__init__ at ", str(fields.get("__init__")))
    name = f"{fields.get('__module__')}.{named[1] if named else '?'}"
    if found := _POLICY.fullmatch(name):
        with contextlib.suppress(ImportError):
            policy_class = getattr(importlib.import_module(found[1]), found[2], None)
            if isinstance(policy_class, type) and issubclass(policy_class, BasePolicy):
                return policy_class
    known = "the policies of stable_baselines3, sb3_contrib and sb3_lander"
    raise UntrustedError(f"its policy {name:.120} is not known; known: {known}")


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
                raise UntrustedError(f"its {key} {named[1]:.120} is not known; known: {', '.join(_PARTS)}")
            value = _PARTS[named[1]]
        elif isinstance(value, str) and printed and key not in _TEXTS:
            # SB3 prints what JSON cannot hold: "True" may have been numpy's True, or anything else.
            raise UntrustedError(f"its {key} can be had by unpickling only, it prints as {value!r:.80}")
        arguments[key] = value
    net_arch = arguments.get("net_arch")
    if isinstance(net_arch, list) and net_arch and isinstance(net_arch[0], dict):
        arguments["net_arch"] = net_arch[0]  # the form before SB3 1.8, as SB3's load reads it
    arguments.setdefault("use_sde", settings.get("use_sde", False))
    return arguments


def _spaces(settings: Mapping[str, Any], make_env: Callable[[], gym.Env[Any, Any]] | None) -> dict[str, Any]:
    """Rebuild the spaces from what is printed of them, or take the environment's, where that is known."""
    try:
        return {key: _space(key, settings.get(key)) for key in ("observation_space", "action_space")}
    except (ValueError, TypeError, KeyError, OverflowError, AssertionError) as error:
        if make_env is not None:
            with make_env() as env:
                return {"observation_space": env.observation_space, "action_space": env.action_space}
        if isinstance(error, ValueError):
            raise
        raise ValueError(f"its spaces are damaged: {error!r}") from error


def _space(key: str, printed: Any) -> spaces.Space[Any]:
    kind = str(printed.get(":type:")) if isinstance(printed, dict) else repr(printed)
    if (known := _SPACE.fullmatch(kind)) is None:
        raise UntrustedError(f"its {key} {kind:.80} can be had by unpickling only, Box and Discrete are read without")
    if known[1] == "discrete.Discrete":
        return spaces.Discrete(int(printed["n"]), start=int(printed.get("start", 0)))
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
    raise UntrustedError(f"its {name} can be had by unpickling only, it prints as {text!r:.80}")


def _build(policy_class: type[Any], arguments: dict[str, Any], weights: dict[str, th.Tensor]) -> BasePolicy:
    """Construct the policy and give it its weights; torch's random state is left as it was."""
    parameters = inspect.signature(policy_class).parameters
    if "use_sde" not in parameters and not arguments.get("use_sde"):
        arguments.pop("use_sde", None)
    if "lr_schedule" in parameters:
        arguments |= {"lr_schedule": lambda _: 0.0, "optimizer_class": _NoOptimizer}
    with th.random.fork_rng(devices=[]):
        try:
            with _Budget(2 * sum(tensor.numel() for tensor in weights.values()) + 2**20):
                policy: BasePolicy = policy_class(**arguments)
            wanted, given = (
                {(name, tensor.shape) for name, tensor in part.items()} for part in (policy.state_dict(), weights)
            )
            if differing := sorted({name for name, _ in wanted ^ given}):
                raise ValueError(f"its weights do not fit its settings: {', '.join(differing[:5])}")
            policy.load_state_dict(weights)
            policy.optimizer_class = th.optim.Adam  # SB3's default, for who saves the policy and loads it with SB3
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
    """Refuse networks of many more numbers than the file's weights, before torch takes memory for them."""

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
