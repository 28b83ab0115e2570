#!/usr/bin/env bash
# What our entries for the lander with four actions end at, and how long their commands take: an hour on two quiet cores.
# Interrupted, it goes on.
set -euo pipefail
cd "$(dirname "$0")/.."
run() { python -m sb3_lander benchmark scripts/discrete_recipes.yml --env LunarLander-v3 "$@"; }
# Returns: two trainings side by side. Nothing was chosen on these seeds.
run --seeds "${SEEDS:-10}" --first-seed 1640 --jobs 2 --out scripts/results/discrete.json
# Seconds: one after the other, alone.
run --seeds 1 --first-seed 1600 --final-episodes 0 --out scripts/results/discrete_times.json
