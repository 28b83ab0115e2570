"""Read a run folder of the RL Zoo: what was trained, how, and where its models are. Nothing is unpickled."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

_SAME_START = 60.0
"""Seconds between a training's start and its events file; SB3 opens the file within the first of them."""


@dataclass(frozen=True)
class Checkpoint:
    """One saved model of a run.

    :param step: Environment steps that had been taken when it was saved.
    :param model: The model's ``.zip``.
    :param vecnormalize: The ``VecNormalize`` statistics saved with it (a pickle), None where the run has none.
    :param replay_buffer: The replay buffer saved with it (a pickle), None where there is none.
    """

    step: int
    model: Path
    vecnormalize: Path | None
    replay_buffer: Path | None = None


@dataclass(frozen=True)
class Run:
    """A run folder of the RL Zoo, such as ``logs/ppo/LunarLanderContinuous-v2_1``.

    :param path: The run folder itself.
    :param algo: The Zoo's name of the algorithm: ``ppo``, ``sac``, ...
    :param env_id: The environment that it was trained on.
    :param config: The hyperparameters as the YAML file and the command line gave them.
    :param args: The command line of ``rl_zoo3.train``, parsed.
    :param env_kwargs: Keyword arguments of the environment: the command line's, else the hyperparameters'.
    :param final_model: The model at the end of training; None if the run has not ended.
    :param best_model: The model of the best evaluation; None if there was none.
    :param checkpoints: What ``--save-freq`` saved, in the order of their steps.
    :param vecnormalize: The latest ``VecNormalize`` statistics (a pickle), None where observations are not normalised.
    """

    path: Path
    algo: str
    env_id: str
    config: dict[str, Any]
    args: dict[str, Any]
    env_kwargs: dict[str, Any]
    final_model: Path | None
    best_model: Path | None
    checkpoints: tuple[Checkpoint, ...]
    vecnormalize: Path | None

    @classmethod
    def load(cls, path: str | Path) -> Run:
        """Read a run folder.

        :param path: The folder that holds the models, not its inner one named after the environment.
        :raises FileNotFoundError: If it does not exist or is not a run of the Zoo.
        :raises ValueError: If its YAML files are damaged or hold Python objects of an unknown kind.
        """
        path = Path(path)
        if not path.is_dir():
            raise FileNotFoundError(f"no run folder {path}")
        settings = [file.parent for file in path.glob("*/config.yml") if file.with_name("args.yml").is_file()]
        if len(settings) != 1:
            wanted = "it must hold one <env id>/config.yml and args.yml"
            raise FileNotFoundError(f"{path} is not a run of the RL Zoo: {wanted}")
        inner = settings[0]
        config, args = _read_mapping(inner / "config.yml"), _read_mapping(inner / "args.yml")
        for key in ("algo", "env"):
            if not isinstance(args.get(key), str):
                raise ValueError(f"{inner / 'args.yml'} does not say {key!r}")
        kwargs = dict(args.get("env_kwargs") or config.get("env_kwargs") or {})
        files = (path / f"{inner.name}.zip", path / "best_model.zip", inner / "vecnormalize.pkl")
        final, best, statistics = map(_if_file, files)
        return cls(path, args["algo"], args["env"], config, args, kwargs, final, best, checkpoints(path), statistics)

    @classmethod
    def of(cls, path: str | Path) -> Run | None:
        """Return the run that a folder is, or that a model's ``.zip`` lies in; None for a ``.zip`` on its own.

        :raises FileNotFoundError: If there is no such file, or the folder is no run.
        :raises ValueError: If the run's YAML files are damaged.
        """
        path = Path(path)
        if not path.exists():
            raise FileNotFoundError(f"{path} does not exist: give a run folder of the RL Zoo, or a model's .zip")
        if path.is_dir():
            return cls.load(path)
        return cls.load(path.parent) if any(path.parent.glob("*/args.yml")) else None

    @property
    def normalizes_observations(self) -> bool:
        """Whether the run's models see observations that ``VecNormalize`` has normalised."""
        given = self.config.get("normalize")
        return bool(given.get("norm_obs", True) if isinstance(given, Mapping) else given)

    def model(self, *, best: bool = False) -> Path:
        """Return the final model, or the best one.

        :raises FileNotFoundError: If there is none.
        """
        model = self.best_model if best else self.final_model
        if model is not None:
            return model
        hint = "best model: train with --eval-freq" if best else "final model yet: ask for the best or the checkpoints"
        raise FileNotFoundError(f"{self.path} has no {hint}")

    def tensorboard_folder(self, started: float) -> Path | None:
        """Return the folder of the run's TensorBoard log.

        The Zoo does not note which of ``<log>/<env id>/PPO_1, PPO_2, ...`` is the run's. But a model knows when its
        training began, and the name of an events file has the second in which it was opened.

        :param started: When a training of this run began, in seconds since the epoch.
        :return: The folder; ``tensorboard`` in the run where the log is not found; None for a run without a log.
        """
        inside, named = self.path / "tensorboard", self.args.get("tensorboard_log")
        if not named:
            return inside if inside.is_dir() else None
        # The Zoo was started where <log folder>/<algo>/<run> begins; joined to it, an absolute path stays itself.
        depth = len(Path(self.args.get("log_folder") or "logs").parts)
        base = self.path.resolve().parents[: depth + 2][-1] / named
        found = [
            (abs(int(match[1]) - started), file.parent)
            for file in base.glob("*/*/events.out.tfevents.*")
            if (match := re.match(r"events\.out\.tfevents\.(\d+)\.", file.name))
        ]
        distance, folder = min(found, default=(_SAME_START, inside))
        return folder if distance < _SAME_START else inside


def thin_out(checkpoints: Sequence[Checkpoint], every: int) -> list[Checkpoint]:
    """Keep the checkpoints closest to 0, ``every``, 2 ``every``, ... as AllenAct's ``--approx_ckpt_step_interval``.

    The last multiple is the first not below the last checkpoint. Of two equally close checkpoints the earlier is kept.

    :param checkpoints: In the order of their steps, as a :class:`Run` has them.
    :param every: Environment steps, at least 1.
    :raises ValueError: If ``every`` is below 1.
    """
    if every < 1:
        raise ValueError(f"every must be a number of steps >= 1, got {every}")
    # If any multiple is closest to a checkpoint, then one of its two neighbours is: no need to try the others.
    multiples = {k * every for c in checkpoints for k in (c.step // every, -(-c.step // every))}
    chosen = {min(checkpoints, key=lambda c: (abs(c.step - multiple), c.step)).step for multiple in multiples}
    return [checkpoint for checkpoint in checkpoints if checkpoint.step in chosen]


def _if_file(path: Path) -> Path | None:
    return path if path.is_file() else None


def checkpoints(path: Path) -> tuple[Checkpoint, ...]:
    """Return the checkpoints in a folder, in the order of their steps."""
    found = []
    for model in path.glob("rl_model_*_steps.zip"):
        if match := re.fullmatch(r"rl_model_(\d+)_steps\.zip", model.name):
            beside = (path / f"rl_model_{kind}_{match[1]}_steps.pkl" for kind in ("vecnormalize", "replay_buffer"))
            found.append(Checkpoint(int(match[1]), model, *map(_if_file, beside)))
    return tuple(sorted(found, key=lambda checkpoint: checkpoint.step))


class _ZooLoader(yaml.SafeLoader):
    """Plain YAML, and the three Python tags that the Zoo's own files hold; none of them runs code."""


def _ordered_dict(loader: yaml.SafeLoader, node: Any) -> dict[str, Any]:
    # The Zoo dumps an OrderedDict as a sequence that holds one sequence of [key, value] pairs.
    pairs = loader.construct_sequence(node, deep=True)
    return dict(pairs[0]) if pairs else {}


def _tuple(loader: yaml.SafeLoader, node: Any) -> tuple[Any, ...]:
    return tuple(loader.construct_sequence(node, deep=True))


_PYTHON = "tag:yaml.org,2002:python/"
_ZooLoader.add_constructor(f"{_PYTHON}object/apply:collections.OrderedDict", _ordered_dict)
_ZooLoader.add_constructor(f"{_PYTHON}tuple", _tuple)
_ZooLoader.add_multi_constructor(f"{_PYTHON}name:torch.nn.modules.activation.", lambda _, name, node: name.lower())


def _read_mapping(path: Path) -> dict[str, Any]:
    try:
        content = yaml.load(path.read_text(), Loader=_ZooLoader)
    except (yaml.YAMLError, UnicodeDecodeError, TypeError, ValueError) as error:
        raise ValueError(f"cannot read {path} safely: {error}") from error
    if not isinstance(content, Mapping):
        raise ValueError(f"{path} must hold a mapping, but holds {content!r:.80}")
    return dict(content)
