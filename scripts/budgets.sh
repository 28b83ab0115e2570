#!/usr/bin/env bash
# What a training ends at, whatever its budget: some hours on two quiet cores. Interrupted, it goes on where it stopped.
#   bash scripts/budgets.sh [SEEDS [RECIPES]]
set -euo pipefail
cd "$(dirname "$0")/.."
# Nothing was ever tuned on the seeds from 1100 on. Several budgets alternate, seed by seed, the smaller ones first.
python -m sb3_lander benchmark "${2:-scripts/budget_recipes.yml}" --seeds "${1:-20}" --first-seed 1100 \
  --final-episodes 1000 --jobs 2 --out scripts/results/budgets.json
