"""The code blocks of the README and the documentation, and how the tests run them.

A fenced block is a language's name and its lines. ``bash``, ``python`` and ``yaml`` are tried; ``text`` is output;
names in braces are Sphinx's own, of which ``{code-cell}`` runs when the documentation is built. What no test can run
has a comment before it, ``<!-- not run here: why -->``.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from conftest import REPO, run

from sb3_lander.runs import default_config, read_entry

RUN = "logs/ppo/LunarLanderContinuous-v2_1"
PAGES = [
    REPO / "README.md",
    REPO / "CONTRIBUTING.md",
    *(path for path in sorted((REPO / "docs").rglob("*.md")) if not {"generated", "_build"} & set(path.parts)),
]
PAGES = [path for path in PAGES if not path.name.startswith("api_")]

LESS = {
    "sb3_lander benchmark": "--seeds 1 --budget 17000 --final-episodes 2",
    "sb3_lander compare": "--episodes 3",
    "sb3_lander enjoy": "-n 100 --no-render",
    "sb3_lander evaluate": "--episodes 3",
    "sb3_lander report": "--episodes 5",
    "sb3_lander tune": "--trials 1 --seeds 1 --budget 4096",
    "sb3_lander tune show": "",
    "sb3_lander tune top": "--candidates 1 --seeds 1",
    "sb3_lander weather": "--episodes 2 --gravity -10 --wind 15",
    "rl_zoo3.train": "-n 8192 --eval-freq -1",
    "rl_zoo3.train -optimize": "-n 8192 --n-trials 1 --n-startup-trials 1 --n-evaluations 1",
    "rl_zoo3.enjoy": "-n 50 --no-render",
    "rl_zoo3.record_video": "-n 50",
    "sb3_lander zoo train": "-n 8192 --eval-freq -1",
}
"""What is added to a command so that it takes seconds; of an option that is given twice the last one counts."""

FURTHER = {"config allenact": "-params n_epochs:1"}
"""What is added besides to a command with these words in it, whose updates take long."""

FEWER = [
    (r"learn\([\d_]+", "learn(2_048"),
    # An update a step, where PPO makes one a rollout.
    (r"(?s)(\b(?:SAC|TQC|TD3|DDPG|DQN)\(.*?learn\()[\d_]+", r"\g<1>512"),
    (r"(fixed_tasks\([^()]*, )[\d_]+\)", r"\g<1>3)"),
    (r"every=[\d_]+", "every=1_024"),
    (r"episodes=\d+, c", "episodes=2, c"),
]
"""The same for numbers in Python."""


class Block(NamedTuple):
    """A fenced block."""

    language: str
    """What follows the fence."""

    text: str
    """Its lines."""

    reason: str | None
    """Why no test runs it."""


def blocks(page: str) -> list[Block]:
    """Return a page's fenced blocks, in order."""
    pattern = r"(?:<!-- not run here: ([^>]*?) -->\n)?^```([^\n`]*)\n(.*?)^```$"
    found = re.findall(pattern, page, flags=re.DOTALL | re.MULTILINE)
    return [Block(language.strip(), text, reason or None) for reason, language, text in found]


def lines(text: str) -> list[str]:
    """Return the commands of a block of console lines, without comments."""
    joined = re.sub(r"\\\n\s*", "", text)
    return [line for raw in joined.splitlines() if (line := re.sub(r"(^|\s+)# .*$", "", raw).strip())]


def shortened(line: str) -> str:
    """Return a command with a small budget."""
    found = re.search(r"\bpython -m (?:rl_zoo3\.\w+|sb3_lander(?: (?:tune (?:top|show)|zoo \w+|\S+))?)", line)
    if found is None:
        return line
    name = found.group().removeprefix("python -m ") + (" -optimize" if " -optimize" in line else "")
    less = [LESS.get(name, ""), *(added for words, added in FURTHER.items() if words in line)]
    return " ".join([line, *filter(None, less)])


def run_console(block: Block, folder: Path) -> None:
    """Run a block of console lines, each in a shell of its own.

    Lines that leave something running are one program together, which ends with all that it has started.
    """
    commands = [shortened(line) for line in lines(block.text)]
    if any(line.rstrip().endswith("&") for line in commands):
        commands = ["trap 'kill $(jobs -p)' EXIT\n" + "\n".join(commands)]
    for command in commands:
        run_shell(command, folder)


def run_shell(program: str, folder: Path) -> None:
    """Run a program of the shell in a folder, where ``python`` is this one and ``scripts`` are the repository's."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    own_scripts = program.replace("python scripts/", f"python {REPO}/scripts/")
    done = run(["bash", "-e", "-c", own_scripts], folder, PATH=path)
    assert done.status == 0, f"{program}\n{done.output}"


def run_python(block: Block, page: Path, names: dict[str, Any]) -> None:
    """Run a block of Python after the page's earlier ones, with smaller numbers."""
    code = block.text
    for pattern, fewer in FEWER:
        code = re.sub(pattern, fewer, code)
    exec(compile(code, page.name, "exec"), names)


def check_yaml(block: Block, folder: Path) -> None:
    """Use a block of YAML: as an entry's keys in a training, as a search space, or as recipes."""
    from sb3_lander.benchmark import load_recipes
    from sb3_lander.tuning import read_space

    content = yaml.safe_load(block.text)
    path = folder / "block.yml"
    path.write_text(block.text)
    if any(isinstance(value, dict) and {"low", "choices"} & set(value) for value in content.values()):
        assert read_space(path, "ppo", n_actions=2, n_envs=1)
    elif any(isinstance(value, dict) and "config" in value for value in content.values()):
        for recipe in load_recipes([str(path)]):
            assert recipe.entry("LunarLanderContinuous-v3")
    else:
        env_id = "LunarLanderContinuous-v3"
        algo = "sac" if "replay_buffer_class" in content else "ppo"
        entry = read_entry(default_config(algo), env_id) | content
        path.write_text(yaml.safe_dump({env_id: entry}))
        less = "-n 8192 --eval-freq -1 -f logs_of_yaml"
        run_shell(f"python -m rl_zoo3.train --algo {algo} --env {env_id} --conf-file {path} {less}", folder)
