#!/usr/bin/env bash
# What a training of the PPO entry ends at, whatever its budget: about two hours and a half on two quiet cores.
# Interrupted, it goes on. Its own budget is in scripts/benchmark.sh.
set -euo pipefail
cd "$(dirname "$0")/.."
# Nothing was ever chosen on the seeds from 1400 on. The budgets alternate, seed by seed. The committed ones from 1410 on, and those
# with 3 million steps, are from an Intel Xeon, the others from an AMD EPYC.
python -m sb3_lander benchmark scripts/budget_recipes.yml --seeds "${SEEDS:-20}" --first-seed 1400 --jobs 2 \
    --out scripts/results/budgets.json
