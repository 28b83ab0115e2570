#!/usr/bin/env bash
# Make the README's figures again: about half an hour on two quiet cores. Interrupted, it goes on where it stopped.
set -euo pipefail
cd "$(dirname "$0")/.."
python -m sb3_lander benchmark ppo --seeds 5 --out scripts/results/default_budget.json
python scripts/throughput.py --seconds 0.2
python scripts/update_readme.py
