"""The hyperparameter files: find one, read an entry, check it, and merge a tuning trial into it."""

from __future__ import annotations

import difflib
import inspect
import math
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

if typing.TYPE_CHECKING:
    from gymnasium import spaces
    from stable_baselines3.common.base_class import BaseAlgorithm

__all__ = [
    "Hyperparameters",
    "build_policy",
    "check",
    "config_names",
    "default_config",
    "default_space",
    "merge_policy_kwargs",
    "policy_class",
    "read_entry",
    "read_yaml",
    "vec_env_wrappers",
]

_ZOO_KEYS = {"n_timesteps", "n_envs", "policy", "policy_kwargs", "normalize", "frame_stack", "env_kwargs"} | {
    "env_wrapper",
    "vec_env_wrapper",
    "monitor_kwargs",
    "callback",
}
"""What the RL Zoo itself takes out of an entry, whatever the algorithm."""

_FROM_THE_ZOO = {"self", "env", "seed", "device", "verbose", "tensorboard_log", "_init_setup_model", "kwargs"}
_SCHEDULES = ("learning_rate", "clip_range", "clip_range_vf", "delta_std")
_COUNTS = {"n_timesteps", "n_envs", "n_steps", "batch_size", "n_epochs", "buffer_size", "n_delta", "frame_stack"}
_FRACTIONS = ("gamma", "gae_lambda", "tau")
_MAPPING_OR_TEXT = ("policy_kwargs", "monitor_kwargs", "normalize", "replay_buffer_kwargs")


def _config_folder() -> Path:
    """Return the folder of the YAML files: inside the package in a wheel, beside it in a checkout."""
    package = Path(__file__).resolve().parent.parent
    for folder in (package / "hyperparams", package.parent / "hyperparams"):
        if (folder / "ppo.yml").is_file():
            return folder
    raise FileNotFoundError(f"no hyperparams folder in {package} or beside it: install sb3-lander again")


def config_names() -> list[str]:
    """Return the names that :func:`default_config` knows: the algorithms, and the ported configurations."""
    return sorted(path.stem for path in _config_folder().glob("*.yml"))


def default_config(algo: str) -> Path:
    """Return the path of this package's hyperparameters for an algorithm.

    :param algo: The Zoo's name of the algorithm (``ppo``, ``sac``, ...), or ``allenact``.
    :raises ValueError: If the package has no such file; the message lists the valid names.
    """
    names = config_names()
    if algo not in names:
        raise ValueError(f"no hyperparameters for {algo!r}; valid names: {', '.join(names)}")
    return _config_folder() / f"{algo}.yml"


def default_space(algo: str) -> Path | None:
    """Return the path of this package's search space for an algorithm, or None where it has none."""
    path = _config_folder() / "spaces" / f"{algo}.yml"
    return path if path.is_file() else None


class Hyperparameters(dict[str, Any]):
    """A ``dict`` whose ``update`` merges ``policy_kwargs`` instead of replacing them.

    The Zoo's Optuna objective does ``kwargs = hyperparams.copy(); kwargs.update(sampled)``, where ``sampled``
    names only ``net_arch`` and ``activation_fn``: with a plain ``dict`` a trial would lose all the rest.
    """

    def copy(self) -> Hyperparameters:
        """Return a shallow copy that merges as well."""
        return Hyperparameters(self)

    def update(self, *args: Any, **kwargs: Any) -> None:
        """Update as ``dict`` does, but merge ``policy_kwargs`` (the new values win)."""
        super().update(merge_policy_kwargs(self, dict(*args, **kwargs)))


def vec_env_wrappers(hyperparams: Mapping[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Return the entry's ``vec_env_wrapper`` as pairs of a dotted path and its keyword arguments.

    :raises ValueError: If it is neither a path, nor a mapping of one to its arguments, nor a list of these.
    """
    given = hyperparams.get("vec_env_wrapper") or []
    found: list[tuple[str, dict[str, Any]]] = []
    for wrapper in given if isinstance(given, list) else [given]:
        ((name, options),) = wrapper.items() if isinstance(wrapper, Mapping) and len(wrapper) == 1 else [(wrapper, {})]
        if not isinstance(name, str) or not isinstance(options or {}, Mapping):
            raise ValueError(f"vec_env_wrapper: {wrapper!r} is neither a dotted path nor a mapping of one to arguments")
        found.append((name, dict(options or {})))
    return found


def merge_policy_kwargs(base: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``new`` with the ``policy_kwargs`` of ``base`` added below its own.

    Nothing is merged where either gives them as a string of Python, the Zoo's older form.
    """
    ours, theirs = base.get("policy_kwargs"), new.get("policy_kwargs")
    if isinstance(ours, Mapping) and isinstance(theirs, Mapping):
        return {**new, "policy_kwargs": {**ours, **theirs}}
    return dict(new)


def read_yaml(path: str | Path, kind: str) -> Any:
    """Return what a YAML file holds; ``kind`` says in the error what it should be.

    :raises FileNotFoundError: If there is no such file.
    :raises ValueError: If it is not YAML.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"no {kind} {path}")
    try:
        return yaml.safe_load(Path(path).read_text())
    except yaml.YAMLError as error:
        raise ValueError(f"{path} is not valid YAML: {error}") from error


def read_entry(path: str | Path, env_id: str) -> dict[str, Any]:
    """Read an environment's entry of a YAML file of the Zoo's format, or the file's ``default`` entry.

    :raises FileNotFoundError: If there is no such file.
    :raises ValueError: If the file is not YAML, is not a mapping of mappings, or has no entry for ``env_id``.
    """
    content = read_yaml(path, "hyperparameter file")
    if not isinstance(content, dict):
        raise ValueError(f"{path} must map environment ids to hyperparameters, but holds {content!r:.80}")
    if env_id not in content and "default" not in content:
        raise ValueError(f"{path} has no entry for {env_id}; it has: {', '.join(map(str, content)) or 'none'}")
    entry = content[env_id if env_id in content else "default"]
    if not isinstance(entry, dict):
        raise ValueError(f"{path}: the entry of {env_id} must be a mapping, but is {entry!r:.80}")
    return entry


def check(entry: Mapping[str, Any], algo_class: type[BaseAlgorithm]) -> None:
    """Check an entry's keys and types against the Zoo and the algorithm's constructor.

    :param entry: Hyperparameters as the YAML file and the command line give them.
    :param algo_class: The SB3 class that they are for.
    :raises ValueError: On an unknown key, a wrong type, or a number out of range; the message names the key,
        the value, and what would be valid.
    """
    hints = _constructor_hints(algo_class)
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


def _constructor_hints(algo_class: type[BaseAlgorithm]) -> dict[str, Any]:
    # Not typing.get_type_hints: some of the annotations name what SB3 imports for the type checker only.
    parameters = inspect.signature(algo_class.__init__).parameters
    return {name: parameter.annotation for name, parameter in parameters.items() if name not in _FROM_THE_ZOO}


def _check_value(key: str, value: Any, hint: Any) -> None:
    def refuse(valid: str) -> typing.NoReturn:
        note = ""
        if isinstance(value, str) and _is_number(value):
            note = f" (YAML reads {value} as a string: write {float(value)!r} or !!float {value})"
        raise ValueError(f"{key}: {value!r} is not valid, it must be {valid}{note}")

    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if key in _SCHEDULES:
        kind, _, start = value.partition("_") if isinstance(value, str) else ("", "", "")
        if not (number or (kind in ("lin", "linear") and _is_number(start))):
            refuse("a number, or lin_<number> for a linear decay to 0")
    elif key == "n_timesteps":
        if not number or not math.isfinite(value) or int(value) != value:
            refuse("a whole number of steps")
    elif key in ("n_envs", "frame_stack"):
        if not isinstance(value, int) or isinstance(value, bool):
            refuse("a whole number")
    elif key == "env_kwargs":
        if not isinstance(value, Mapping):
            refuse("a mapping")
    elif key in _MAPPING_OR_TEXT:
        if not isinstance(value, (Mapping, str)) and not (key == "normalize" and isinstance(value, bool)):
            refuse("true, false or a mapping" if key == "normalize" else "a mapping")
    elif key == "policy":
        if not isinstance(value, str):
            refuse("the name of a policy, or its dotted path")
    elif not _matches(value, hint):
        refuse(_describe(hint))
    if number and key in _COUNTS and value < 1:
        refuse("at least 1")
    if number and key in _FRACTIONS and not 0 <= value <= 1:
        refuse("between 0 and 1")


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def _matches(value: Any, hint: Any) -> bool:
    """Tell whether a YAML value suits a type hint; only plain values and their unions are judged."""
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return any(_matches(value, option) for option in typing.get_args(hint))
    if hint is bool:
        return isinstance(value, bool)
    if hint in (int, float):
        return isinstance(value, (int, hint)) and not isinstance(value, bool)
    if hint is str:
        return isinstance(value, str)
    if hint in (None, types.NoneType):
        return value is None
    if typing.get_origin(hint) is tuple:
        return isinstance(value, (list, tuple))
    return True


def _describe(hint: Any) -> str:
    options = typing.get_args(hint) if typing.get_origin(hint) in (typing.Union, types.UnionType) else (hint,)
    names = {
        int: "a whole number",
        float: "a number",
        bool: "true or false",
        str: "a string",
        types.NoneType: "null",
    }
    return " or ".join(names.get(option, str(option)) for option in options)


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


def build_policy(
    entry: Mapping[str, Any],
    policy_class: type,
    observation_space: spaces.Space[Any],
    action_space: spaces.Space[Any],
) -> None:
    """Construct the entry's policy once and drop it, so that wrong ``policy_kwargs`` show before the run.

    torch's random state is left as it was.

    :raises ValueError: With the reason, if the policy refuses its arguments.
    """
    import torch

    parameters = inspect.signature(policy_class.__init__).parameters  # type: ignore[misc] # the class is only known at run time
    arguments: dict[str, Any] = {"lr_schedule": lambda _: 1e-3, "use_sde": bool(entry.get("use_sde", False))}
    arguments = {name: value for name, value in arguments.items() if name in parameters}
    policy_kwargs = dict(entry.get("policy_kwargs") or {})
    with torch.random.fork_rng(devices=[]):
        try:
            policy_class(observation_space, action_space, **arguments, **policy_kwargs)
        except (TypeError, ValueError, AssertionError, AttributeError) as error:
            raise ValueError(f"policy_kwargs {policy_kwargs} do not suit {policy_class.__name__}: {error}") from error
