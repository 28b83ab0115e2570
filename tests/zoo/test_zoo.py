"""The RL Zoo's own commands, run with this package installed."""

from __future__ import annotations

import csv
import re
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
import torch
import yaml
from conftest import REPO, ShortRun, python
from rl_zoo3.utils import ALGOS
from stable_baselines3 import PPO
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm

from sb3_lander.runs.run import Run

pytestmark = [
    pytest.mark.filterwarnings(r"ignore:.*LunarLander\w*-v2 is out of date:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning"),
]

Zoo = Callable[..., str]

V2 = "--algo ppo --env LunarLanderContinuous-v2"
V3 = "--algo ppo --env LunarLanderContinuous-v3"
TINY = "-n 256 --eval-freq -1 -params n_envs:4 n_steps:64 batch_size:64 n_epochs:2"
CONTINUOUS_ALGOS = ["a2c", "trpo", "ppo_lstm", "ars", "sac", "td3", "ddpg", "tqc", "crossq"]
DISCRETE_ALGOS = ["ppo", "a2c", "trpo", "ppo_lstm", "ars", "dqn", "qrdqn"]
OTHERS = [(algo, "LunarLanderContinuous-v2") for algo in CONTINUOUS_ALGOS]
OTHERS += [(algo, "LunarLander-v2") for algo in DISCRETE_ALGOS]


def weights(model: Path) -> torch.Tensor:
    policy = PPO.load(model, device="cpu").policy
    return torch.cat([parameter.detach().flatten() for parameter in policy.parameters()])


def scalars(folder: Path) -> dict[str, list[float]]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder)).Reload()
    return {tag: [event.value for event in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


# ---------------------------------------------------------------------------------------------- training


def test_the_literal_command_trains_our_policy_with_our_file(v2_run: ShortRun) -> None:
    assert f"Loading hyperparameters from: {REPO / 'hyperparams' / 'ppo.yml'}" in v2_run.output
    assert "Using 'default' hyperparameters" not in v2_run.output
    run = Run.load(v2_run.folder)
    assert run.config["policy"] == "sb3_lander.policies.SeparateActorCriticPolicy"
    assert run.config["policy_kwargs"]["mirror"] == "lunar_lander"
    assert run.best_model is not None
    assert run.final_model is not None
    policy = PPO.load(run.final_model, device="cpu").policy
    assert type(policy).__name__ == "SeparateActorCriticPolicy"


def test_v3_trains_with_the_same_settings(zoo: Zoo, v2_run: ShortRun, tmp_path: Path) -> None:
    output = zoo("train", V3, "-n 1024 --eval-freq -1 -params n_steps:32 n_epochs:1")
    assert f"Loading hyperparameters from: {REPO / 'hyperparams' / 'ppo.yml'}" in output
    ours = Run.load(tmp_path / "logs/ppo/LunarLanderContinuous-v3_1").config
    assert {**ours, "n_steps": 128, "n_epochs": 6} == {
        **Run.load(v2_run.folder).config,
        "n_steps": 128,
        "n_epochs": 6,
    }


def test_tensorboard_has_the_success_rate_of_training_and_evaluation(v2_run: ShortRun) -> None:
    logged = scalars(v2_run.cwd / "tb/LunarLanderContinuous-v2/PPO_1")
    assert len(logged["rollout/success_rate"]) == 16384 // (32 * 64)
    assert len(logged["eval/success_rate"]) == 2
    assert all(0 <= rate <= 1 for rate in logged["rollout/success_rate"] + logged["eval/success_rate"])


def test_the_progress_bar_reaches_the_end(v2_run: ShortRun) -> None:
    assert re.search(r"100%.*16,384/16,384", v2_run.output)


def test_save_freq_writes_a_checkpoint_at_each_interval(v2_run: ShortRun) -> None:
    assert [checkpoint.step for checkpoint in Run.load(v2_run.folder).checkpoints] == [8192, 16384]


def test_monitor_files_record_every_training_episode(v2_run: ShortRun) -> None:
    files = sorted(v2_run.folder.glob("*.monitor.csv"))
    rows = [row for file in files for row in csv.DictReader(file.read_text().splitlines()[1:])]
    assert len(files) == 32
    assert 16384 * 0.6 < sum(int(row["l"]) for row in rows) <= 16384
    assert all(-1000 < float(row["r"]) < 330 for row in rows)


def test_a_seed_repeats_a_run_and_another_seed_does_not(zoo: Zoo, tmp_path: Path) -> None:
    for seed in (3, 3, 4):
        zoo("train", V2, TINY, "--seed", str(seed))
    first, again, other = (
        weights(tmp_path / f"logs/ppo/LunarLanderContinuous-v2_{index}/LunarLanderContinuous-v2.zip")
        for index in (1, 2, 3)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_params_and_n_override_our_file(zoo: Zoo, tmp_path: Path) -> None:
    zoo("train", V2, TINY, "gamma:0.9", "policy_kwargs:dict(net_arch=[8])", "policy:'MlpPolicy'")
    run = Run.load(tmp_path / "logs/ppo/LunarLanderContinuous-v2_1")
    assert run.config["gamma"] == 0.9
    assert run.config["policy_kwargs"] == {"net_arch": [8]}
    assert run.final_model is not None
    model = PPO.load(run.final_model, device="cpu")
    assert (model.num_timesteps, model.gamma, type(model.policy).__name__) == (256, 0.9, "ActorCriticPolicy")


def test_policy_kwargs_may_be_none_as_in_sb3(zoo: Zoo, tmp_path: Path) -> None:
    zoo("train", V2, TINY, "policy:'MlpPolicy'", "policy_kwargs:None")
    run = Run.load(tmp_path / "logs/ppo/LunarLanderContinuous-v2_1")
    assert run.config["policy_kwargs"] is None
    assert run.final_model is not None
    # SB3's own networks: two layers of 64 for each of actor and critic, their heads, and the std.
    assert weights(run.final_model).numel() == 2 * (8 * 64 + 64 + 64 * 64 + 64) + (64 * 2 + 2) + (64 + 1) + 2


def test_a_schedule_reaches_the_optimizer_and_the_clip_range(zoo: Zoo, tmp_path: Path) -> None:
    zoo("train", V2, TINY, "learning_rate:'lin_1e-3'", "clip_range:'lin_0.4'", "-n", "512", "-tb", "tb")
    logged = scalars(tmp_path / "tb/LunarLanderContinuous-v2/PPO_1")
    assert logged["train/learning_rate"] == pytest.approx([5e-4])  # logged at the start of the second rollout
    assert logged["train/clip_range"] == pytest.approx([0.2])


def test_training_continues_from_a_saved_agent(zoo: Zoo, v2_run: ShortRun, tmp_path: Path) -> None:
    agent = v2_run.folder / "LunarLanderContinuous-v2.zip"
    output = zoo("train", V2, "-i", agent, TINY, "learning_rate:0.0")
    assert "Loading pretrained agent" in output
    continued = tmp_path / "logs/ppo/LunarLanderContinuous-v2_1/LunarLanderContinuous-v2.zip"
    assert torch.equal(weights(continued), weights(agent))


@pytest.mark.parametrize(("algo", "env_id"), OTHERS)
def test_every_other_entry_trains(zoo: Zoo, algo: str, env_id: str, tmp_path: Path) -> None:
    shorter = []
    if issubclass(ALGOS[algo], OffPolicyAlgorithm):  # some updates, too
        shorter = ["-params", "learning_starts:1900"]
    command = f"train --algo {algo} --env {env_id} -n 2000 --eval-freq 1000 --eval-episodes 1"
    output = zoo(command, *shorter)
    assert f"Loading hyperparameters from: {REPO / 'hyperparams' / algo}.yml" in output
    assert "Using 'default' hyperparameters" not in output
    run = Run.load(tmp_path / "logs" / algo / f"{env_id}_1")
    assert run.final_model is not None
    assert run.best_model is not None
    assert zoo(f"enjoy --algo {algo} --env {env_id} -f logs -n 20 --no-render").startswith("Loading")


# ------------------------------------------------------------------------------- playing, filming, drawing


@pytest.mark.parametrize(
    ("flags", "model"),
    [
        ("--no-render", "LunarLanderContinuous-v2.zip"),
        ("--no-render --load-best", "best_model.zip"),
        ("--no-render --load-checkpoint 8192", "rl_model_8192_steps.zip"),
        ("--no-render --stochastic", "LunarLanderContinuous-v2.zip"),
    ],
)
def test_enjoy_plays_the_model_that_was_asked_for(zoo: Zoo, v2_run: ShortRun, flags: str, model: str) -> None:
    output = zoo("enjoy", V2, "-n 400", flags, "-f", v2_run.cwd / "logs")
    assert f"Loading {v2_run.folder / model}" in output
    assert "Mean reward:" in output


def test_enjoy_opens_its_window_without_a_display(v2_run: ShortRun) -> None:
    done = python(f"-m rl_zoo3.enjoy {V2} -f logs -n 30", cwd=v2_run.cwd)
    assert done.status == 0, done.output


def test_record_video_writes_frames_of_a_flight(v2_run: ShortRun, tmp_path: Path) -> None:
    import cv2

    done = python(f"-m rl_zoo3.record_video {V2} -f logs -n 40 -o", tmp_path, cwd=v2_run.cwd)
    assert done.status == 0, done.output
    (video,) = tmp_path.glob("*.mp4")
    reader = cv2.VideoCapture(str(video))
    frames = []
    while (frame := reader.read())[0]:
        frames.append(frame[1].astype(float))
    reader.release()
    assert 39 <= len(frames) <= 42
    assert frames[0].shape == (400, 600, 3)
    assert frames[0].std() > 10  # a scene, not one colour
    assert np.abs(frames[-1] - frames[0]).max() > 100  # the lander has moved


def test_plot_train_draws_the_training_curve(zoo: Zoo, v2_run: ShortRun, monkeypatch: pytest.MonkeyPatch) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    drawn: list[int] = []
    monkeypatch.setattr(plt, "show", lambda: drawn.extend(len(line.get_xdata()) for line in plt.gca().lines))
    zoo("plot_train -a ppo -e LunarLanderContinuous-v2 -w 10 -f", v2_run.cwd / "logs")
    plt.close("all")
    assert len(drawn) == 1
    assert drawn[0] > 50


# ------------------------------------------------------------------------------------------------ the hook


def test_the_explicit_route_gives_the_identical_run_where_another_module_hides_our_hook(
    zoo: Zoo, tmp_path: Path
) -> None:
    hidden = tmp_path / "elsewhere"
    hidden.mkdir()
    (hidden / "custom_envs.py").write_text("print('the user has a module of that name')\n")
    explicit = f"--gym-packages sb3_lander --conf-file {REPO / 'hyperparams' / 'ppo.yml'}"
    done = python(f"-m rl_zoo3.train {V2} {explicit} {TINY} --seed 5", cwd=hidden)
    assert done.status == 0, done.output
    assert "the user has a module of that name" in done.output
    zoo("train", V2, TINY, "--seed 5")
    ours, theirs = (folder / "logs/ppo/LunarLanderContinuous-v2_1" for folder in (tmp_path, hidden))
    model = "LunarLanderContinuous-v2.zip"
    assert torch.equal(weights(ours / model), weights(theirs / model))
    assert Run.load(ours).config == Run.load(theirs).config


def test_gym_packages_alone_acts_as_the_hook_where_another_module_hides_it(tmp_path: Path) -> None:
    (tmp_path / "custom_envs.py").write_text("")
    done = python(f"-m rl_zoo3.train {V2} --gym-packages sb3_lander {TINY}", cwd=tmp_path)
    assert done.status == 0, done.output
    assert f"Loading hyperparameters from: {REPO / 'hyperparams' / 'ppo.yml'}" in done.output
    assert "SeparateActorCriticPolicy" in done.output


def test_the_hook_works_whatever_is_imported_first(tmp_path: Path) -> None:
    code = """
import os, sys
import optuna, sb3_contrib, stable_baselines3, huggingface_sb3, optuna.visualization  # slow, and not ours
for first in (
    "import rl_zoo3.exp_manager",
    "from rl_zoo3.exp_manager import ExperimentManager",
    "import rl_zoo3.import_envs",
    "import rl_zoo3.train",
    "import sb3_lander, rl_zoo3.exp_manager",
    "import rl_zoo3, sb3_lander",
    "import custom_envs; import custom_envs as again; again.register()",
):
    child = os.fork()
    if child == 0:
        exec(first)
        import argparse, rl_zoo3.exp_manager
        from rl_zoo3.exp_manager import ExperimentManager
        ids = [f"{name}-{version}" for name in ("LunarLanderContinuous", "LunarLander") for version in ("v2", "v3")]
        ids.append("CartPole-v1")
        made = [type(ExperimentManager(argparse.Namespace(), "ppo", i, "logs")).__name__ for i in ids]
        os._exit(made != 4 * ["LanderExperimentManager"] + ["ExperimentManager"])
    assert os.waitpid(child, 0)[1] == 0, first
"""
    done = python(code=code, cwd=tmp_path)
    assert done.status == 0, done.output


def test_other_environments_get_the_zoos_file_and_the_same_hyperparameters(tmp_path: Path) -> None:
    code = """
import sys
if sys.argv[1] == "without":
    sys.modules["custom_envs"] = None
from rl_zoo3.train import train
for env in ("CartPole-v1", "Pendulum-v1"):
    sys.argv = f"train --env {env} -n 1 --eval-freq -1 --seed 1 -params n_steps:2 batch_size:2".split()
    train()
print("sb3_lander" in sys.modules)
"""
    outputs = {}
    for which in ("with", "without"):
        (tmp_path / which).mkdir()
        done = python(which, code=code, cwd=tmp_path / which)
        assert done.status == 0, done.output
        *lines, ours_is_loaded = done.output.splitlines()
        assert ours_is_loaded == str(which == "with")
        outputs[which] = [line for line in lines if not line.startswith(("|", "-"))]
    assert outputs["with"] == outputs["without"]
    loading = [line for line in outputs["with"] if line.startswith("Loading hyperparameters from: ")]
    assert len(loading) == 2
    assert all(line.endswith("rl_zoo3/hyperparams/ppo.yml") for line in loading)


@pytest.mark.parametrize("module", ["gymnasium", "sb3_lander"])
def test_importing_it_alone_loads_neither_torch_nor_the_zoo(module: str, tmp_path: Path) -> None:
    code = f"import sys, {module}; print([n for n in ('torch', 'rl_zoo3', 'optuna') if n in sys.modules])"
    assert python(code=code, cwd=tmp_path).output.split("\n")[0] == "[]"


def test_importing_stable_baselines3_alone_loads_nothing_of_ours(tmp_path: Path) -> None:
    code = "import sys, stable_baselines3; print([n for n in ('rl_zoo3', 'sb3_lander') if n in sys.modules])"
    assert python(code=code, cwd=tmp_path).output.split("\n")[0] == "[]"


# ----------------------------------------------------------------------------------------------- bad input


def test_an_unknown_environment_is_one_error_that_names_the_closest_id(tmp_path: Path) -> None:
    done = python("-m rl_zoo3.train --algo ppo --env LunarLanderContinous-v2", cwd=tmp_path)
    assert done.status != 0
    assert done.output.splitlines()[-1].endswith("you maybe meant LunarLanderContinuous-v2?")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("n_steps: many", "n_steps: 'many' is not valid, it must be a whole number"),
        ("gamma: 1.5", "gamma: 1.5 is not valid, it must be between 0 and 1"),
        ("learning_rate: 1e-3", "write 0.001 or !!float 1e-3"),
        (
            "learning_rte: 0.001",
            "unknown hyperparameter 'learning_rte' for PPO: did you mean 'learning_rate'?",
        ),
        (
            "policy_kwargs: {mirror: up}",
            "policy_kwargs {'mirror': 'up'} do not suit SeparateActorCriticPolicy",
        ),
        ("policy_kwargs: {net_arhc: [8]}", "net_arhc"),
        ("policy: MlpPolice", "policy: 'MlpPolice' is not valid, it must be one of MlpPolicy"),
        ("env_kwargs: {wind: true}", "env_kwargs {'wind': True} do not suit LunarLanderContinuous-v2"),
    ],
)
def test_a_bad_setting_is_one_error_and_leaves_nothing_behind(
    zoo: Zoo, change: str, message: str, tmp_path: Path
) -> None:
    entry = yaml.safe_load((REPO / "hyperparams/ppo.yml").read_text())["LunarLanderContinuous-v2"]
    entry.update(yaml.safe_load(change))
    (tmp_path / "bad.yml").write_text(yaml.safe_dump({"LunarLanderContinuous-v2": entry}))
    with pytest.raises(ValueError, match=re.escape(message)):
        zoo("train", V2, "--conf-file bad.yml")
    assert [path.name for path in tmp_path.iterdir()] == ["bad.yml"]


@pytest.mark.parametrize(
    ("algo", "env_id", "message"),
    [
        ("dqn", "LunarLanderContinuous-v2", "its actions are Box(-1.0, 1.0, (2,), float32); valid: a2c, ddpg, ppo, "),
        ("sac", "LunarLander-v2", "its actions are Discrete(4); valid: a2c, dqn, ppo, "),
    ],
)
def test_an_algorithm_for_other_actions_is_one_error_that_names_those_that_can(
    zoo: Zoo, algo: str, env_id: str, message: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=re.escape(f"{algo} cannot act in {env_id}: {message}")):
        zoo(f"train --algo {algo} --env {env_id}")
    assert not list(tmp_path.iterdir())


def test_a_bad_setting_ends_the_command_with_a_failure(tmp_path: Path) -> None:
    done = python(f"-m rl_zoo3.train {V2} -params n_epochs:0", cwd=tmp_path)
    assert done.status == 1
    assert done.output.splitlines()[-1] == "ValueError: n_epochs: 0 is not valid, it must be at least 1"
    assert not list(tmp_path.iterdir())


def test_a_missing_hyperparameter_file_is_named(zoo: Zoo, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no hyperparameter file nowhere\.yml"):
        zoo("train", V2, "--conf-file nowhere.yml")
    assert not list(tmp_path.iterdir())


def test_a_missing_run_folder_is_named(zoo: Zoo) -> None:
    with pytest.raises(AssertionError, match="folder was not found"):
        zoo("enjoy", V2, "-f nowhere --no-render")


def test_a_truncated_agent_is_refused_before_training_and_by_enjoy(zoo: Zoo, v2_run: ShortRun, tmp_path: Path) -> None:
    whole = v2_run.folder / "LunarLanderContinuous-v2.zip"
    agent = tmp_path / "agent.zip"
    agent.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    with pytest.raises(ValueError, match=r"agent\.zip is not a whole checkpoint"):
        zoo("train", V2, "-i", agent)
    assert [path.name for path in tmp_path.iterdir()] == ["agent.zip"]

    folder = tmp_path / "logs/ppo/LunarLanderContinuous-v2_1"
    shutil.copytree(v2_run.folder / "LunarLanderContinuous-v2", folder / "LunarLanderContinuous-v2")
    agent.rename(folder / "LunarLanderContinuous-v2.zip")
    with pytest.raises(AssertionError, match="No data found in the saved file"):
        zoo("enjoy", V2, "-f logs --no-render")


def test_a_damaged_agent_is_refused_before_training(zoo: Zoo, v2_run: ShortRun, tmp_path: Path) -> None:
    whole = v2_run.folder / "LunarLanderContinuous-v2.zip"
    with zipfile.ZipFile(whole) as archive:
        info = archive.getinfo("policy.pth")
    damaged = bytearray(whole.read_bytes())
    damaged[info.header_offset + info.compress_size // 2] ^= 0xFF
    (tmp_path / "agent.zip").write_bytes(bytes(damaged))
    with pytest.raises(ValueError, match=r"its member policy\.pth has a wrong checksum"):
        zoo("train", V2, "-i", tmp_path / "agent.zip")


def test_v2_is_made_by_gymnasium_once_the_package_is_imported() -> None:
    env = gym.make("LunarLanderContinuous-v2")
    assert env.spec is not None
    assert env.spec.reward_threshold == 200
    env.close()
