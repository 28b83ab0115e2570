#!/usr/bin/env bash
# What our entry for the walker ends at, with and without the mirror: an hour on two quiet cores. Interrupted, it goes on.
set -euo pipefail
cd "$(dirname "$0")/.."
# Mean returns over 100 tasks, as BipedalWalker's are usually given: two trainings side by side. Nothing was chosen on these seeds.
python -m sb3_lander benchmark scripts/walker_recipes.yml --seeds "${SEEDS:-10}" --first-seed 2920 --jobs 2 \
    --final-episodes 100 --out scripts/results/walker.json
