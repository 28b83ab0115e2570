"""Print the oldest versions that this package's requirements allow, as constraints for pip.

    python scripts/oldest_versions.py > oldest.txt && pip install --constraint oldest.txt -e ".[dev]"

A requirement without a lower bound gets no line.
"""

from importlib.metadata import requires

from packaging.requirements import Requirement


def main() -> None:
    """Turn each ``name>=version`` into ``name==version``."""
    oldest = {
        requirement.name: specifier.version
        for requirement in map(Requirement, requires("sb3-lander") or ())
        for specifier in requirement.specifier
        if specifier.operator == ">="
    }
    for name, version in sorted(oldest.items()):
        print(f"{name}=={version}")


if __name__ == "__main__":
    main()
