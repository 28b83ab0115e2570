#!/usr/bin/env bash
# Search around hyperparams/ppo.yml in earnest, and judge the best trials and the entry itself on ten fresh seeds: about an
# hour and a quarter on two quiet cores. Interrupted, it goes on where it stopped. If a trial wins, study_top.yml is the new entry.
set -euo pipefail
cd "$(dirname "$0")/results"
study="--study earnest --storage study.log"
python -m sb3_lander tune $study --algo ppo --env LunarLanderContinuous-v3 --objective time-to-solve --target 250 --trials 121 \
  --workers 2 --seeds 5 --steps-limit 300000 --evaluate-on envpool
python -m sb3_lander tune top $study --candidates 4 --seeds 10 --first-seed 700 --out study_top.yml
# Without the name of the machine.
optuna trials --study-name earnest --storage study.log --storage-class JournalFileBackend -f json |
  sed -E 's/, "held by": "[^"]*"//g' > study.json
