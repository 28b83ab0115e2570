"""Save a model, and what belongs to it, in files that are whole at any moment."""

from __future__ import annotations

import pickle
from pathlib import Path

from stable_baselines3.common.base_class import BaseAlgorithm

from sb3_lander.runs import normalization
from sb3_lander.runs.files import write_whole


def save_model(model: BaseAlgorithm, path: str | Path) -> None:
    """Save a model as ``model.save(path)`` does, and before it the statistics that it normalises with, in a plain form.

    :raises OSError: See :func:`~sb3_lander.runs.files.write_whole`.
    """
    if (statistics := model.get_vec_normalize_env()) is not None:
        normalization.save(statistics, normalization.beside(Path(path)))
    write_whole(path, model.save)


def save_vecnormalize(model: BaseAlgorithm, path: str | Path) -> bool:
    """Save SB3's own form of the statistics, a pickle, with which a training goes on; if there are any.

    :return: Whether there are any.
    :raises OSError: See :func:`~sb3_lander.runs.files.write_whole`.
    """
    if (statistics := model.get_vec_normalize_env()) is not None:
        # As VecNormalize.save does, which takes no open file.
        write_whole(path, lambda file: pickle.dump(statistics, file))
    return statistics is not None
