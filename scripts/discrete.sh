#!/usr/bin/env bash
# What our entries for the lander with four actions end at, and how long their commands take: two hours on two quiet cores.
# Interrupted, it goes on.
set -euo pipefail
cd "$(dirname "$0")/.."
on_policy=scripts/discrete_recipes.yml off_policy=scripts/discrete_off_policy_recipes.yml
run() { python -m sb3_lander benchmark --env LunarLander-v3 "$@"; }
# Returns: two trainings side by side. Nothing was chosen on these seeds.
run $on_policy --seeds "${SEEDS:-10}" --first-seed 1640 --jobs 2 --out scripts/results/discrete.json
run $off_policy --seeds "${OFF_POLICY_SEEDS:-5}" --first-seed 1640 --jobs 2 --out scripts/results/discrete.json
# Seconds: one after the other, alone.
run $on_policy $off_policy --seeds 1 --first-seed 1600 --final-episodes 0 --out scripts/results/discrete_times.json
