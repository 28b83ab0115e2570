#!/usr/bin/env bash
# What a training ends at, whatever its budget: some hours on two quiet cores. Interrupted, it goes on where it stopped.
set -euo pipefail
cd "$(dirname "$0")/.."
# Nothing was ever tuned on the seeds from 1100 on. The budgets of a file alternate, seed by seed.
for recipes in budget_recipes.yml long_budget_recipes.yml; do
    python -m sb3_lander benchmark scripts/$recipes --seeds "${SEEDS:-20}" --first-seed 1100 --jobs 2 \
        --out scripts/results/budgets.json
done
