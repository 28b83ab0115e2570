"""Whether an entry of a hyperparameter file can work: its keys, values, policy and buffer, before a training begins.

By hand, since what is valid is what the algorithm's constructor and the RL Zoo take, which no schema library reads.
"""

import difflib
import inspect
import math
import types
import typing
from collections.abc import Mapping
from typing import Any

import gymnasium as gym
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.buffers import ReplayBuffer

# What the RL Zoo itself takes out of an entry, whatever the algorithm.
_ZOO_KEYS = {"n_timesteps", "n_envs", "policy", "policy_kwargs", "normalize", "frame_stack", "env_kwargs"}
_ZOO_KEYS |= {"env_wrapper", "vec_env_wrapper", "monitor_kwargs", "callback"}
_FROM_THE_ZOO = {"self", "env", "seed", "device", "verbose", "tensorboard_log", "_init_setup_model", "kwargs"}
_SCHEDULES = ("learning_rate", "clip_range", "clip_range_vf", "delta_std")
_COUNTS = {"n_timesteps", "n_envs", "n_steps", "batch_size", "n_epochs", "buffer_size", "n_delta", "frame_stack"}
_FRACTIONS = ("gamma", "gae_lambda", "tau")
# The types of the keys that the algorithm's constructor does not tell, and how to say so.
_TYPES: dict[str, tuple[Any, str]] = {
    **dict.fromkeys(("n_envs", "frame_stack"), (int, "a whole number")),
    "env_kwargs": (Mapping, "a mapping"),
    **dict.fromkeys(("policy_kwargs", "replay_buffer_kwargs"), (Mapping | str | None, "a mapping")),
    "monitor_kwargs": (Mapping | str, "a mapping"),
    "normalize": (bool | Mapping | str, "true, false or a mapping"),
    "policy": (str, "the name of a policy, or its dotted path"),
    "replay_buffer_class": (str | type | None, "the dotted path of a replay buffer"),
}
_WORDS = {int: "a whole number", float: "a number", bool: "true or false", str: "a string", types.NoneType: "null"}


def check(entry: Mapping[str, Any], algo_class: type[BaseAlgorithm]) -> None:
    """Check an entry's keys and types against the Zoo and the algorithm's constructor.

    :param entry: Hyperparameters as the YAML file and the command line give them.
    :param algo_class: The SB3 class that they are for.
    :raises ValueError: On an unknown key, a wrong type, or a number out of range; the message names the key,
        the value, and what would be valid.
    """
    # Not typing.get_type_hints: some of the annotations name what SB3 imports for the type checker only.
    parameters = inspect.signature(algo_class.__init__).parameters
    hints = {name: parameter.annotation for name, parameter in parameters.items() if name not in _FROM_THE_ZOO}
    allowed = _ZOO_KEYS | set(hints) | ({"noise_type", "noise_std"} if "action_noise" in hints else set())
    for key, value in entry.items():
        if key not in allowed:
            close = difflib.get_close_matches(str(key), allowed, n=1)
            hint = f"did you mean {close[0]!r}? " if close else ""
            valid = ", ".join(sorted(allowed))
            raise ValueError(f"unknown hyperparameter {key!r} for {algo_class.__name__}: {hint}valid: {valid}")
        _check_value(key, value, hints.get(key, Any))
    for key in ("n_timesteps", "policy"):
        if key not in entry:
            raise ValueError(f"the hyperparameters lack {key!r}")


def _check_value(key: str, value: Any, hint: Any) -> None:
    def refuse(valid: str) -> typing.NoReturn:
        note = ""
        if isinstance(value, str) and _is_number(value):
            note = f" (YAML reads {value} as a string: write {float(value)!r} or !!float {value})"
        raise ValueError(f"{key}: {value!r} is not valid, it must be {valid}{note}")

    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    hint, words = _TYPES.get(key, (hint, ""))
    if key in _SCHEDULES:
        kind, _, start = value.partition("_") if isinstance(value, str) else ("", "", "")
        if not (number or (kind in ("lin", "linear") and _is_number(start))):
            refuse("a number, or lin_<number> for a linear decay to 0")
    elif key == "n_timesteps":
        if not number or not math.isfinite(value) or int(value) != value:
            refuse("a whole number of steps")
    elif not _matches(value, hint):
        refuse(words or " or ".join(_WORDS.get(option, str(option)) for option in _options(hint)))
    if number and key in _COUNTS and value < 1:
        refuse("at least 1")
    if number and key in _FRACTIONS and not 0 <= value <= 1:
        refuse("between 0 and 1")


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def _options(hint: Any) -> tuple[Any, ...]:
    return typing.get_args(hint) if typing.get_origin(hint) in (typing.Union, types.UnionType) else (hint,)


def _matches(value: Any, hint: Any) -> bool:
    """Tell whether a YAML value suits a type hint; only plain values, mappings and their unions are judged."""
    options = _options(hint)
    if len(options) > 1:
        return any(_matches(value, option) for option in options)
    if hint in (int, float):
        return isinstance(value, (int, hint)) and not isinstance(value, bool)
    if hint in (bool, str, type, Mapping, types.NoneType):
        return isinstance(value, hint)
    return typing.get_origin(hint) is not tuple or isinstance(value, (list, tuple))


def policy_class(name: str, algo_class: type[BaseAlgorithm]) -> type:
    """Return the class of an entry's ``policy``.

    :param name: One of the algorithm's aliases, or a dotted path.
    :param algo_class: The SB3 class.
    :raises ValueError: If there is none.
    """
    from rl_zoo3.utils import get_class_by_name

    aliases = algo_class.policy_aliases
    try:
        return get_class_by_name(name) if "." in name else aliases[name]
    except (KeyError, ImportError, AttributeError) as error:
        valid = f"one of {', '.join(aliases)}, or the dotted path of a class"
        raise ValueError(f"policy: {name!r} is not valid, it must be {valid} ({error!r})") from error


def replay_buffer_class(entry: Mapping[str, Any]) -> type[ReplayBuffer] | None:
    """Return the class of an entry's ``replay_buffer_class``; None unless that is a dotted path.

    :raises ValueError: If it is no replay buffer.
    """
    from rl_zoo3.utils import get_class_by_name

    name = entry.get("replay_buffer_class")
    # A name without a dot, as HerReplayBuffer, and an expression are the Zoo's to read.
    if not isinstance(name, str) or "." not in name or not name.replace(".", "").isidentifier():
        return None
    try:
        found: type[ReplayBuffer] = get_class_by_name(name)
        if not issubclass(found, ReplayBuffer):
            raise TypeError(f"{found} is no subclass of ReplayBuffer")
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        valid = "the dotted path of a replay buffer"
        raise ValueError(f"replay_buffer_class: {name!r} is not valid, it must be {valid} ({error!r})") from error
    return found


def build_replay_buffer(
    entry: Mapping[str, Any],
    buffer_class: type[ReplayBuffer],
    observation_space: gym.Space[Any],
    action_space: gym.Space[Any],
) -> None:
    """Construct the entry's replay buffer once, with room for one step, so that wrong arguments show before the run.

    :raises ValueError: With the reason, if the class refuses its arguments.
    """
    given = dict(entry.get("replay_buffer_kwargs") or {})
    try:
        buffer_class(
            1,
            observation_space,
            action_space,
            device="cpu",
            optimize_memory_usage=entry.get("optimize_memory_usage", False),
            **given,
        )
    except (TypeError, ValueError, AssertionError, NotImplementedError) as error:
        raise ValueError(f"replay_buffer_kwargs {given} do not suit {buffer_class.__name__}: {error}") from error


def build_policy(
    entry: Mapping[str, Any], policy_class: Any, observation_space: gym.Space[Any], action_space: gym.Space[Any]
) -> None:
    """Construct the entry's policy once and drop it, so that wrong ``policy_kwargs`` show before the run.

    torch's random state is left as it was.

    :raises ValueError: With the reason, if the policy refuses its arguments.
    """
    import torch

    parameters = inspect.signature(policy_class.__init__).parameters
    arguments: dict[str, Any] = {"lr_schedule": lambda _: 1e-3, "use_sde": bool(entry.get("use_sde", False))}
    arguments = {name: value for name, value in arguments.items() if name in parameters}
    policy_kwargs = dict(entry.get("policy_kwargs") or {})
    with torch.random.fork_rng(devices=[]):
        try:
            # SB3 writes use_sde into the mapping that the Zoo then saves, so a run's own entry may have both.
            policy_class(observation_space, action_space, **{**arguments, **policy_kwargs})
        except (TypeError, ValueError, AssertionError, AttributeError) as error:
            raise ValueError(f"policy_kwargs {policy_kwargs} do not suit {policy_class.__name__}: {error}") from error
