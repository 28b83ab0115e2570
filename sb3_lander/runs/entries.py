"""The hyperparameter files: find one, read an entry, and merge a tuning trial into it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

PREFER_ENVPOOL = (
    "sb3_lander.envs.prefer_envpool",
    "sb3_lander.envs.selection.prefer_envpool",
    "sb3_lander.vec_env.prefer_envpool",
)
"""The names under which an entry's ``vec_env_wrapper`` may have our choice of environments."""


def _config_folder() -> Path:
    """Return the folder of the YAML files: inside the package in a wheel, beside it in a checkout."""
    package = Path(__file__).resolve().parents[1]
    for folder in (package / "hyperparams", package.parent / "hyperparams"):
        if (folder / "ppo.yml").is_file():
            return folder
    raise FileNotFoundError(f"no hyperparams folder in {package} or beside it: install sb3-lander again")


def config_names() -> list[str]:
    """Return the names that :func:`default_config` knows: the algorithms, and the ported configurations."""
    return sorted(path.stem for path in _config_folder().glob("*.yml"))


def default_config(algo: str) -> Path:
    """Return the path of this package's hyperparameters for an algorithm.

    :param algo: The Zoo's name of the algorithm (``ppo``, ``sac``, ...), ``allenact``, ``weather`` or ``walker``.
    :raises ValueError: If the package has no such file; the message lists the valid names.
    """
    names = config_names()
    if algo not in names:
        raise ValueError(f"no hyperparameters for {algo!r}; valid names: {', '.join(names)}")
    return _config_folder() / f"{algo}.yml"


def has_entry(algo: str, env_id: str) -> bool:
    """Tell whether this package has hyperparameters for an algorithm and an environment."""
    return algo in config_names() and env_id in read_yaml(default_config(algo), "hyperparameter file")


def default_space(algo: str) -> Path | None:
    """Return the path of this package's search space for an algorithm, or None where it has none."""
    path = _config_folder() / "spaces" / f"{algo}.yml"
    return path if path.is_file() else None


class Hyperparameters(dict[str, Any]):
    """A ``dict`` whose ``update`` merges as :func:`merge_kwargs` does, and keeps one ``gamma``.

    The Zoo's Optuna objective copies an entry and updates it with what it sampled, of ``policy_kwargs`` only a part. A
    replay buffer of n-step returns has the algorithm's ``gamma``, which SB3 gives to its own buffer only.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._share_gamma()

    def copy(self) -> Hyperparameters:
        """Return a shallow copy that merges too."""
        return Hyperparameters(self)

    def update(self, *args: Any, **kwargs: Any) -> None:
        """Update as ``dict`` does, but merge (the new values win), and share a new ``gamma``."""
        super().update(merge_kwargs(self, dict(*args, **kwargs)))
        self._share_gamma()

    def _share_gamma(self) -> None:
        given = self.get("replay_buffer_kwargs")
        if isinstance(given, Mapping) and "n_steps" in given and "gamma" in self:
            self["replay_buffer_kwargs"] = {**given, "gamma": self["gamma"]}


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


MERGED = ("policy_kwargs", "replay_buffer_kwargs", "env_kwargs", "normalize")
"""Hyperparameters that are mappings of arguments: a change to one argument leaves the others as they are."""


def merge_kwargs(base: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``new`` with the arguments of ``base`` below its own, where both have a mapping of :data:`MERGED`.

    What ``base`` gives to its replay buffer is not for the other that ``new`` may name.
    """
    merged = dict(new)
    for key in MERGED:
        ours, theirs = base.get(key), new.get(key)
        another = key == "replay_buffer_kwargs" and "replay_buffer_class" in new
        if isinstance(ours, Mapping) and isinstance(theirs, Mapping) and not another:
            merged[key] = {**ours, **theirs}
    return merged


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
