"""Train with the Zoo's command, kill it 20 times, resume each time, and print what was seen as JSON.

Every third kill comes as soon as a checkpoint is there at whose step there is an evaluation too, the others at random.

    python tests/kill_and_resume.py FOLDER SEED

A program of its own, since it forks: everything is imported once, so that a life takes two seconds instead of ten.
"""

import contextlib
import json
import os
import random
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import rl_zoo3.train
from stable_baselines3 import PPO

import sb3_lander.__main__
import sb3_lander.zoo.resume
from sb3_lander.runs.archive import check_whole
from sb3_lander.runs.run import checkpoints

BUDGET, SAVE_EVERY, EVAL_EVERY, KILLS, N_ENVS, N_STEPS = 60_000, 500, 2000, 20, 4, 32
TRAIN = (
    f"train --algo ppo --env LunarLanderContinuous-v3 -n {BUDGET} --save-freq {SAVE_EVERY} --eval-freq {EVAL_EVERY} "
    f"--eval-episodes 1 --seed 7 -tb tb -params n_envs:{N_ENVS} n_steps:{N_STEPS} batch_size:128 n_epochs:1"
)
RUN = Path("logs/ppo/LunarLanderContinuous-v3_1")


def start(function: Callable[[], Any]) -> int:
    """Run a function in a fork, which writes its output to a file."""
    process = os.fork()
    if process == 0:
        status = 1
        log = os.open("output.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(log, 1)
        os.dup2(log, 2)
        with contextlib.suppress(BaseException):
            try:
                function()
                status = 0
            except BaseException:
                traceback.print_exc()
        sys.stdout.flush()
        os._exit(status)
    return process


def train() -> None:
    sys.argv = TRAIN.split()
    rl_zoo3.train.train()


def resume() -> None:
    if sb3_lander.__main__.main(["resume", str(RUN)]):
        raise SystemExit(2)


def saved_steps() -> list[int]:
    return [checkpoint.step for checkpoint in checkpoints(RUN)]


def wait_for_more(process: int, known: int, multiple_of: int = 1) -> bool:
    """Wait until the process has saved a checkpoint more, at a multiple of these steps; False if it ended."""
    while not any(step > known and step % multiple_of == 0 for step in saved_steps()):
        if os.waitpid(process, os.WNOHANG)[0]:
            return False
        time.sleep(0.005)
    return True


def main() -> None:
    """Kill and resume, then let it end."""
    os.chdir(sys.argv[1])
    chance = random.Random(int(sys.argv[2]))
    newest: list[int] = []
    for kill in range(KILLS):
        process = start(resume if kill else train)
        in_evaluation = kill % 3 == 0
        if not wait_for_more(process, max(saved_steps(), default=0), EVAL_EVERY if in_evaluation else SAVE_EVERY):
            raise SystemExit("it ended by itself:\n" + Path("output.txt").read_text()[-3000:])
        time.sleep(chance.uniform(0.0, 0.02 if in_evaluation else 0.25))
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)
        for file in RUN.glob("*.zip"):
            check_whole(file)
        newest.append(max(saved_steps()))
        assert PPO.load(RUN / f"rl_model_{newest[-1]}_steps.zip").num_timesteps == newest[-1]
    _, status = os.waitpid(start(resume), 0)
    seen = {"newest": newest, "status": status, "steps": saved_steps(), "budget": BUDGET, "save_every": SAVE_EVERY}
    print(json.dumps({**seen, "eval_every": EVAL_EVERY, "n_envs": N_ENVS, "n_steps": N_STEPS}))


if __name__ == "__main__":
    main()
