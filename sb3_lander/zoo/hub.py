"""The RL Zoo's upload to the Hugging Face Hub."""

from __future__ import annotations

import importlib
import runpy
import sys
from collections.abc import Sequence
from typing import Any


def push_to_hub(arguments: Sequence[str]) -> None:
    """Run ``python -m rl_zoo3.push_to_hub``.

    The Zoo (2.9.2) imports ``generate_metadata``, which huggingface_sb3 3.0, the only release for gymnasium, calls
    ``_generate_metadata`` and returns as an object instead of a mapping: by itself the Zoo's command ends there.

    :param arguments: Its command line: ``--algo``, ``--env``, ``-f``, ``-orga``, ...
    """
    # Not `import ... as`: the package gives the module's name to a function of it.
    library: Any = importlib.import_module("huggingface_sb3.push_to_hub")
    if not hasattr(library, "generate_metadata"):

        def generate_metadata(*about: Any) -> dict[str, Any]:
            metadata: dict[str, Any] = library._generate_metadata(*about).to_dict()
            return metadata

        library.generate_metadata = generate_metadata
    sys.argv = ["push_to_hub", *arguments]
    runpy.run_module("rl_zoo3.push_to_hub", run_name="__main__")
