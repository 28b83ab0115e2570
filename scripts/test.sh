#!/usr/bin/env bash
# Install the package with its development tools and run the tests: in .venv, unless an environment is active.
set -euo pipefail
cd "$(dirname "$0")/.."
if [ -z "${VIRTUAL_ENV:-}" ]; then
    python3 -m venv .venv
    source .venv/bin/activate
fi
python -m pip install --quiet -e ".[dev]"
# Two tests at a time: most of them wait for a command that uses one core.
python -m pytest -n 2 --dist worksteal "$@"
