#!/usr/bin/env bash
# What a training of the candidate ends at, whatever its budget: some hours on two quiet cores. Interrupted, it goes on.
set -euo pipefail
cd "$(dirname "$0")/.."
# Nothing was ever tuned on the seeds from 1100 on. The budgets alternate, seed by seed.
python -m sb3_lander benchmark scripts/budget_recipes.yml --seeds "${SEEDS:-20}" --first-seed 1100 --jobs 2 \
    --out scripts/results/budgets.json
