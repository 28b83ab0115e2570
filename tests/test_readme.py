"""What the README and the documentation say, tried."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from conftest import REPO, ShortRun
from markdown_blocks import PAGES, RUN, blocks, check_yaml, lines, run_console, run_python, shortened

from sb3_lander.__main__ import main

README = (REPO / "README.md").read_text()
TRIED = ("bash", "python", "yaml")


def name_of(page: Path) -> str:
    return str(page.relative_to(REPO))


@pytest.mark.filterwarnings("ignore:.*LunarLander-v2 is out of date:DeprecationWarning")
@pytest.mark.parametrize(
    "page",
    [page for page in PAGES if any(b.language in TRIED and b.reason is None for b in blocks(page.read_text()))],
    ids=name_of,
)
def test_every_block_of_a_page_runs(
    page: Path,
    v2_run: ShortRun,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shutil.copytree(v2_run.cwd, tmp_path, dirs_exist_ok=True)
    assert (tmp_path / RUN).is_dir()
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"__name__": "__main__"}
    for block in blocks(page.read_text()):
        if block.language not in TRIED or block.reason is not None:
            continue
        if block.language == "bash":
            run_console(block, tmp_path)
        elif block.language == "python":
            run_python(block, page, names)
        else:
            check_yaml(block, tmp_path)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_block_is_tried_or_is_marked_as_output(page: Path) -> None:
    for block in blocks(page.read_text()):
        assert block.language in (*TRIED, "text") or block.language.startswith("{"), block
        assert block.reason is None or len(block.reason) > 10, block


def test_more_blocks_are_run_than_not() -> None:
    skipped = [b for page in PAGES for b in blocks(page.read_text()) if b.language == "bash" and b.reason is not None]
    run = [b for page in PAGES for b in blocks(page.read_text()) if b.language == "bash" and b.reason is None]
    assert len(run) > len(skipped)


def test_a_block_is_found_with_its_reason_and_a_command_is_shortened() -> None:
    page = "<!-- not run here: no network -->\n```bash\nhf login\n```\n\n```bash\npython -m a \\\n  -b  # c\n```\n"
    first, second = blocks(page)
    assert (first.reason, second.reason) == ("no network", None)
    assert lines(second.text) == ["python -m a -b"]
    assert shortened("python -m sb3_lander tune top --study s") == (
        "python -m sb3_lander tune top --study s --candidates 1 --seeds 1"
    )
    assert shortened("python -m rl_zoo3.train --algo ppo").endswith("--algo ppo -n 8192 --eval-freq -1")


def test_the_readme_is_short_and_shows_the_literal_command() -> None:
    assert len(README.splitlines()) <= 150
    assert "python -m rl_zoo3.train --algo ppo --env LunarLanderContinuous-v2" in README


def test_every_command_of_ours_that_is_mentioned_is_one_that_the_command_line_knows() -> None:
    text = "\n".join(page.read_text() for page in PAGES)
    verbs = set(re.findall(r"python -m sb3_lander ([a-z][\w-]+)", text))
    assert {"evaluate", "report", "tune", "zoo"} <= verbs
    for verb in verbs:
        with pytest.raises(SystemExit) as ended:
            main([verb, "--help"])
        assert ended.value.code == 0


def test_every_picture_exists() -> None:
    for page in PAGES:
        for picture in re.findall(r"!\[.*?\]\((.*?)\)", page.read_text()):
            assert (page.parent / picture).is_file(), (page, picture)
