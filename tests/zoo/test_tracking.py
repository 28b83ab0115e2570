"""What users of SB3 and the Zoo have around their trainings: trackers, plots and notebooks."""

from __future__ import annotations

import sys
from pathlib import Path

import nbformat
import numpy as np
import pytest
from conftest import REPO, ShortRun, python, run, split
from markdown_blocks import blocks, run_python
from nbclient import NotebookClient
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import plugin_data_pb2


def test_weights_and_biases_gets_the_entry_and_the_curves(tmp_path: Path) -> None:
    train = split("-m rl_zoo3.train --algo ppo --env LunarLanderContinuous-v2 -n 4096 --eval-freq -1 --track")
    done = run([sys.executable, *train], tmp_path, WANDB_MODE="offline")
    assert done.status == 0, done.output
    (log,) = tmp_path.glob("wandb/offline-run-*/*.wandb")
    # Records of protobuf, whose strings are plain.
    written = log.read_bytes()
    assert b"sb3_lander.policies.SeparateActorCriticPolicy" in written
    (events,) = tmp_path.glob("runs/*/*/PPO_1/events.out.tfevents.*")
    assert events.name.encode() in written


@pytest.mark.filterwarnings("ignore:.*LunarLander-v2 is out of date:DeprecationWarning")
def test_tensorboards_hparams_tab_has_what_the_page_logs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    page = REPO / "docs/howto/track.md"
    (block,) = [block for block in blocks(page.read_text()) if block.language == "python"]
    run_python(block, page, {})
    events = EventAccumulator(str(tmp_path / "tb/PPO_1")).Reload()
    content = events.PluginTagToContent("hparams")["_hparams_/session_start_info"]
    start = plugin_data_pb2.HParamsPluginData.FromString(content).session_start_info
    assert {name: value.number_value for name, value in start.hparams.items()} == {"learning rate": 3e-4, "gamma": 0.99}


def test_the_zoos_plots_read_our_runs(v2_run: ShortRun, tmp_path: Path) -> None:
    log = np.load(next(v2_run.folder.glob("evaluations.npz")))["results"]
    plots = "-m rl_zoo3.plots.all_plots -a ppo -e LunarLanderContinuous-v2 --no-million --no-display -f"
    done = python(plots, v2_run.cwd / "logs", cwd=tmp_path)
    assert done.status == 0, done.output
    assert f"|LunarLanderContinuous-v2|{log[-1].mean():.0f} +/- 0" in done.output


def test_a_training_with_a_progress_bar_runs_in_a_notebook(tmp_path: Path) -> None:
    learn = "PPO(SeparateActorCriticPolicy, 'LunarLanderContinuous-v2', n_steps=256).learn(1024, progress_bar=True)"
    code = f"from stable_baselines3 import PPO\nfrom sb3_lander import SeparateActorCriticPolicy\n{learn};"
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)])
    NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(tmp_path)}}).execute()
    shown = "".join(str(output.get("data", output.get("text"))) for output in notebook.cells[0].outputs)
    assert 'install "ipywidgets"' in shown  # the one thing that the page says is needed to see it
