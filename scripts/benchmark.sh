#!/usr/bin/env bash
# Make every figure of the README again: about two hours on two quiet cores. Interrupted, it goes on where it stopped.
set -euo pipefail
cd "$(dirname "$0")/.."
python -m sb3_lander benchmark scripts/recipes.yml --baseline zoo --seeds 10 --out scripts/results/benchmark.json
python -m sb3_lander benchmark scripts/ablation_recipes.yml --seeds 10 --until-solved --final-episodes 0 \
    --out scripts/results/ablation.json
python scripts/throughput.py
python scripts/update_readme.py
