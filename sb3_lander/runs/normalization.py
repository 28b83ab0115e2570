"""The statistics that normalise observations, as plain numbers: SB3's own file of them is a pickle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from gymnasium import spaces
from stable_baselines3.common.running_mean_std import RunningMeanStd
from stable_baselines3.common.vec_env import VecEnv, VecNormalize

from sb3_lander.runs.files import write_whole


def beside(model: Path) -> Path:
    """Return where the statistics of a saved model lie: ``best_model.vecnormalize.npz`` for ``best_model.zip``."""
    return model.with_suffix(".vecnormalize.npz")


def save(statistics: VecNormalize, path: Path) -> None:
    """Write what normalises observations as plain arrays, a ``.npz``; only a training normalises rewards.

    :raises OSError: See :func:`~sb3_lander.runs.files.write_whole`.
    """
    arrays: dict[str, Any] = {"clip_obs": statistics.clip_obs, "epsilon": statistics.epsilon}
    for key, moments in _moments(statistics).items():
        arrays |= {f"mean/{key}": moments.mean, f"var/{key}": moments.var, f"count/{key}": moments.count}
    write_whole(path, lambda file: np.savez(file, **arrays))


def load(path: Path, venv: VecEnv) -> VecNormalize:
    """Read what :func:`save` wrote, frozen. Nothing is unpickled.

    :param venv: Environments as the model sees them.
    :raises ValueError: If the file is damaged, or is of other observations.
    """
    try:
        with np.load(path, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
        options = {name: float(arrays.pop(name)) for name in ("clip_obs", "epsilon")}
        keys = sorted(name.removeprefix("mean/") for name in arrays if name.startswith("mean/"))
        named = keys if keys and isinstance(venv.observation_space, spaces.Dict) else None
        statistics = VecNormalize(
            venv, training=False, norm_obs=bool(keys), norm_reward=False, norm_obs_keys=named, **options
        )
        found = _moments(statistics)
        if sorted(found) != keys:
            raise ValueError(f"it is of the observations {keys}, the environment shows {sorted(found)}")
        for key, moments in found.items():
            mean, var, wanted = arrays[f"mean/{key}"], arrays[f"var/{key}"], moments.mean.shape
            if not mean.shape == var.shape == wanted:
                raise ValueError(f"its observations have the shape {mean.shape}, the environment's {wanted}")
            moments.mean, moments.var, moments.count = mean, var, float(arrays[f"count/{key}"])
    # numpy's readers fail in any way on a damaged file.
    except Exception as error:
        raise ValueError(f"cannot read the normalisation statistics {path}: {error}") from error
    return statistics


def _moments(statistics: VecNormalize) -> dict[str, RunningMeanStd]:
    """Return the moments by the observation's key, which is ``""`` where the observation has no keys."""
    moments: Any = statistics.obs_rms if statistics.norm_obs else {}
    return dict(moments) if isinstance(moments, dict) else {"": moments}
