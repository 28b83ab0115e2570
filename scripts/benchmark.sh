#!/usr/bin/env bash
# Make every figure of the README again: some hours on two quiet cores. Interrupted, it goes on where it stopped.
set -euo pipefail
cd "$(dirname "$0")/.."
results=scripts/results
python -m sb3_lander benchmark scripts/recipes.yml --baseline zoo --until-solved --final-episodes 0 --out $results/solving.json
python -m sb3_lander benchmark ppo --out $results/default_budget.json
python scripts/throughput.py
python scripts/update_readme.py
