#!/usr/bin/env bash
# What our entry for the walker ends at, with and without the mirror, and how long it takes: an hour on two quiet cores.
# Interrupted, it goes on.
set -euo pipefail
cd "$(dirname "$0")/.."
# Mean returns over 100 tasks, as BipedalWalker's are usually given: two trainings side by side. Nothing was chosen on these seeds.
python -m sb3_lander benchmark scripts/walker_recipes.yml --seeds "${SEEDS:-10}" --first-seed 2930 --jobs 2 \
    --final-episodes 100 --out scripts/results/walker.json
# Seconds: one after the other, alone.
python -m sb3_lander benchmark scripts/walker_recipes.yml --seeds 1 --first-seed 1600 --final-episodes 0 \
    --out scripts/results/walker_times.json
