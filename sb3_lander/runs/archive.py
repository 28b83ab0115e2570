"""A model's ``.zip`` as Stable-Baselines3 writes it, read without unpickling anything.

SB3's own reader unpickles what the member ``data`` holds in base64, which runs any code of its author. Here ``data`` is
read as the JSON that it is, ``policy.pth`` by torch's ``weights_only`` reader, each after a check of its size, and no
other member. By hand, since skops reads scikit-learn's models only, and safetensors needs a file of its own.
"""

from __future__ import annotations

import io
import json
import pickle
import re
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch as th

MAX_MEMBERS = 1000
"""Members of a zip; SB3 writes 6 to 8, and torch one for each tensor and a few more."""

MAX_SETTINGS = 64 * 2**20
"""Bytes of ``data``, unpacked. It is a few kB, or some MB where a training observed images."""

MAX_WEIGHTS = 512 * 2**20
"""Bytes of ``policy.pth``, unpacked: 128 million parameters."""

_FLAT_NAME = re.compile(r"\w[\w.-]*")
_TORCH_NAME = re.compile(r"[\w.-]+/(data\.pkl|version|byteorder|\.format_version|\.storage_alignment|\.?data/\w+)")


def check_whole(path: str | Path) -> None:
    """Refuse a model's ``.zip`` that is cut short or damaged; every member's checksum is compared.

    :raises FileNotFoundError: If there is no such file.
    :raises ValueError: If it is not whole.
    """
    with _checked(path, "is not a whole checkpoint") as archive:
        if damaged := archive.testzip():
            raise ValueError(f"its member {damaged} has a wrong checksum")


def read_settings(path: str | Path) -> dict[str, Any]:
    """Return the member ``data``: the algorithm's attributes.

    What JSON cannot hold is a mapping: its type (``":type:"``), its pickle in base64 (``":serialized:"``, never looked
    into) and its own attributes, as JSON or as ``str`` prints them.

    :param path: A ``.zip`` of an SB3 or sb3-contrib model.
    :raises FileNotFoundError: If there is no such file.
    :raises ValueError: If it is not a whole zip of SB3's, or larger than a model can be.
    """
    with _checked(path) as archive:
        settings = json.loads(_read(archive, "data", MAX_SETTINGS))
        if not isinstance(settings, dict):
            raise ValueError(f"its settings are a {type(settings).__name__}, not a mapping")
        return settings


def read_weights(path: str | Path) -> dict[str, th.Tensor]:
    """Return the member ``policy.pth``: the policy's parameters and buffers, as dense tensors on the CPU.

    :param path: A ``.zip`` of an SB3 or sb3-contrib model.
    :raises FileNotFoundError: If there is no such file.
    :raises ValueError: If it is not a whole zip of SB3's, or holds anything else than tensors.
    """
    with _checked(path) as archive:
        content = _read(archive, "policy.pth", MAX_WEIGHTS)
        with zipfile.ZipFile(io.BytesIO(content)) as inner:
            # torch would unpack them as well: a small member can be a large tensor.
            _check_members(inner, _TORCH_NAME, {zipfile.ZIP_STORED})
        try:
            weights = th.load(io.BytesIO(content), map_location="cpu", weights_only=True)
        except pickle.UnpicklingError as error:
            # torch's own message goes on to recommend the unsafe reader.
            named = re.search(r"GLOBAL (\S+)", str(error))
            what = f"name {named[1]:.80}, which no weights need" if named else "are damaged, or not weights alone"
            raise ValueError(f"its weights {what}") from error
        if not isinstance(weights, dict):
            raise ValueError(f"its weights are a {type(weights).__name__}, not a mapping")
        for name, tensor in weights.items():
            dense = isinstance(tensor, th.Tensor) and tensor.layout == th.strided and not tensor.is_quantized
            if not isinstance(name, str) or not dense or tensor.device.type != "cpu":
                raise ValueError(f"its weight {name!r:.80} is not a dense tensor")
        return dict(weights)


@contextmanager
def _checked(path: str | Path, complaint: str = "cannot be read safely") -> Iterator[zipfile.ZipFile]:
    """Open a zip whose list of members is plausible, and turn every failure into one clear error."""
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no model {path}: it must be the .zip that Stable-Baselines3 saved")
    try:
        with zipfile.ZipFile(path) as archive:
            _check_members(archive, _FLAT_NAME, {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})
            # A truncated file may end within policy.pth, which is itself a zip and then passes for the whole.
            if missing := {"data", "policy.pth"} - set(archive.namelist()):
                raise ValueError(f"it lacks {' and '.join(sorted(missing))}, which SB3's models have")
            yield archive
    # Damage shows in any way: zlib, JSON and torch's reader have no error in common. All of them mean: refused.
    except Exception as error:
        kind = "" if isinstance(error, (ValueError, zipfile.BadZipFile)) else f"{type(error).__name__}: "
        raise ValueError(f"{path} {complaint}: {kind}{error}") from error


def _check_members(archive: zipfile.ZipFile, name_pattern: re.Pattern[str], compressions: set[int]) -> None:
    names = archive.namelist()
    if len(names) > MAX_MEMBERS:
        raise ValueError(f"it has {len(names)} members, more than {MAX_MEMBERS}")
    for name, member in zip(names, archive.infolist(), strict=True):
        if not name_pattern.fullmatch(name):
            raise ValueError(f"its member {name!r:.80} is none that Stable-Baselines3 writes")
        if names.count(name) > 1:
            raise ValueError(f"its member {name} occurs twice")
        if member.compress_type not in compressions or member.flag_bits & 0x1:
            raise ValueError(f"its member {name} is encrypted or compressed in a way that SB3 never uses")


def _read(archive: zipfile.ZipFile, name: str, limit: int) -> bytes:
    # zipfile stops at the size that the member declares, and then compares the checksum.
    size = archive.getinfo(name).file_size
    if size > limit:
        raise ValueError(f"its member {name} unpacks to {size:,} bytes, more than {limit:,}")
    return archive.read(name)
