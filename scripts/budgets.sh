#!/usr/bin/env bash
# What PPO's entry ends at, whatever the budget is: two hours on two quiet cores. Interrupted, it goes on.
set -euo pipefail
cd "$(dirname "$0")/.."
# Nothing was ever tuned on the seeds from 1100 on. The budgets alternate, seed by seed.
run() { python -m sb3_lander benchmark "$@" --first-seed 1100 --jobs "${JOBS:-2}"; }
run scripts/budget_recipes.yml --seeds 20 --out scripts/results/budgets.json
run scripts/long_budget_recipes.yml --seeds 10 --out scripts/results/long_budgets.json
