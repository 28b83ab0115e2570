"""Scalars and videos in a TensorBoard log: videos as animated GIFs, which its images tab plays."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from sb3_lander.evaluation.video import Recording


def add_to_tensorboard(
    folder: str | Path, entries: Iterable[tuple[int, Mapping[str, float], Mapping[str, Recording]]]
) -> None:
    """Write scalars and videos to a TensorBoard log, as one more events file.

    :param folder: The log's folder; made if missing.
    :param entries: For each number of environment steps what :func:`summary` takes.
    """
    from torch.utils.tensorboard.writer import FileWriter

    with contextlib.closing(FileWriter(str(folder))) as writer:
        for step, scalars, videos in entries:
            writer.add_summary(summary(scalars, videos), step)


def summary(scalars: Mapping[str, float], videos: Mapping[str, Recording]) -> Any:
    """Return scalars and videos as a TensorBoard ``Summary``; with moviepy 2 torch's ``add_video`` writes an empty one.

    :param scalars: By their tags.
    :param videos: By their tags; they show in the images tab.
    """
    from tensorboard.compat.proto.summary_pb2 import Summary  # type: ignore[import-untyped]  # it ships no types

    values = [Summary.Value(tag=tag, simple_value=value) for tag, value in scalars.items()]
    for tag, recording in videos.items():
        width, height = recording.size
        image = Summary.Image(height=height, width=width, colorspace=3, encoded_image_string=recording.gif)
        values.append(Summary.Value(tag=tag, image=image))
    return Summary(value=values)
