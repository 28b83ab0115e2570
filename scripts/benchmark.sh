#!/usr/bin/env bash
# Make the README's figures again: about three hours on two quiet cores. Interrupted, it goes on where it stopped.
set -euo pipefail
cd "$(dirname "$0")/.."
results=scripts/results
seeds="--seeds 10 --first-seed 1020" # nothing was ever tuned on these
solved="--until-solved --final-episodes 0"
# Times: one training at a time, ours and the Zoo's in turn.
python -m sb3_lander benchmark scripts/recipes.yml $solved --seeds 20 --first-seed 1020 --baseline zoo --out $results/solving.json
# Two side by side slow each other down alike.
python -m sb3_lander benchmark scripts/ablation_recipes.yml $solved $seeds --steps-limit 500000 --eval-every 8192 --jobs 2 \
  --baseline everything --out $results/ablation.json
python -m sb3_lander benchmark scripts/mirror_recipes.yml $solved --seeds 20 --first-seed 1030 --steps-limit 500000 \
  --eval-every 8192 --jobs 2 --baseline none --out $results/mirror.json
# The committed ones from 1030 on are from an Intel Xeon, those before from an AMD EPYC.
python -m sb3_lander benchmark ppo --seeds 20 --first-seed 1020 --jobs 2 --out $results/default_budget.json
python -m sb3_lander benchmark scripts/speed_recipes.yml --seeds 3 --first-seed 1020 --out $results/speed.json
# The whole of both commands, one after the other, and what both end at.
python -m sb3_lander benchmark ppo zoo --seeds 3 --first-seed 1020 --baseline zoo --out $results/beside_zoo.json
# The tutorial's own configuration, for what it ends at; its seconds say nothing.
python -m sb3_lander benchmark allenact $seeds --jobs 2 --out $results/allenact.json
python scripts/throughput.py
python scripts/update_readme.py
