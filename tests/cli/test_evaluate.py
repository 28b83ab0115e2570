"""``python -m sb3_lander evaluate``: a run's models on fixed tasks, each as it was trained."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
import pytest
from conftest import ShortRun, python, split
from rl_zoo3.utils import ALGOS
from rl_zoo3.wrappers import TimeFeatureWrapper
from stable_baselines3 import A2C, PPO
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

from sb3_lander import EvaluationReport, evaluate, fixed_tasks
from sb3_lander.__main__ import main
from sb3_lander.agents.trusted import algorithm_of
from sb3_lander.evaluation.report import Episode
from sb3_lander.evaluation.video import extremes
from sb3_lander.runs.archive import read_settings
from sb3_lander.runs.run import Checkpoint, thin_out

pytestmark = pytest.mark.filterwarnings("ignore:.*LunarLanderContinuous-v2 is out of date:DeprecationWarning")

V2, V3 = "LunarLanderContinuous-v2", "LunarLanderContinuous-v3"
FEW = "--episodes 4 --first-seed 50"


class Done(NamedTuple):
    """What a command printed, and the JSON that it wrote."""

    status: int
    out: str
    err: str
    json: Any


Evaluate = Callable[..., Done]


@pytest.fixture
def evaluate_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Evaluate:
    """Return ``evaluate(path, options)``, which runs the command in this process."""

    def run(*words: str | Path) -> Done:
        file = tmp_path / "report.json"
        capsys.readouterr()
        status = main(["evaluate", *split(*words), "--json", str(file)])
        captured = capsys.readouterr()
        return Done(status, captured.out, captured.err, json.loads(file.read_text()) if status == 0 else None)

    return run


@pytest.fixture(scope="module")
def run_folder(v2_run: ShortRun, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copy the Zoo's run with its TensorBoard log, since evaluating adds to them."""
    cwd = tmp_path_factory.mktemp("assessment") / "cwd"
    shutil.copytree(v2_run.cwd, cwd)
    return cwd / v2_run.folder.relative_to(v2_run.cwd)


@pytest.fixture(scope="module")
def normalised_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train A2C for a moment with the Zoo's command, with normalised observations."""
    cwd = tmp_path_factory.mktemp("normalised")
    done = python(
        f"-m rl_zoo3.train --algo a2c --env {V2} -n 400 --save-freq 200 --eval-freq 200 --eval-episodes 1 --seed 1 "
        "-params normalize:True n_envs:4 n_steps:8",
        cwd=cwd,
    )
    assert done.status == 0, done.output
    return cwd / f"logs/a2c/{V2}_1"


@pytest.fixture
def made_run(tmp_path: Path) -> Callable[..., Path]:
    """Return ``made_run(config)``: a run folder of the Zoo's layout for v3, without a model."""

    def make(config: str) -> Path:
        inner = tmp_path / "run" / V3
        inner.mkdir(parents=True)
        (inner / "args.yml").write_text(f"{{algo: ppo, env: {V3}, env_kwargs: null}}")
        (inner / "config.yml").write_text(config)
        return inner.parent

    return make


def expected(model: Any, env_id: str = V2, **options: Any) -> dict[str, Any]:
    env_kwargs = options.pop("env_kwargs", {})
    report = evaluate(model, fixed_tasks(env_id, 4, first_seed=50, env_kwargs=env_kwargs), **options)
    return dict(json.loads(report.to_json()))


# ---------------------------------------------------------------------------------------- one model


def test_the_json_of_a_run_is_the_report_on_its_final_model(run_folder: Path, evaluate_command: Evaluate) -> None:
    found = evaluate_command(run_folder, FEW).json
    report = expected(PPO.load(run_folder / f"{V2}.zip", device="cpu"))
    assert found == {"model": f"{V2}.zip", "step": 16384, "vecnormalize": None, **report}


def test_the_summary_in_the_json_follows_from_its_episodes(run_folder: Path, evaluate_command: Evaluate) -> None:
    found = evaluate_command(run_folder, FEW).json
    returns = sorted(episode["return"] for episode in found["episodes"])
    assert [episode["seed"] for episode in found["episodes"]] == [50, 51, 52, 53]
    assert found["mean_return"] == pytest.approx(sum(returns) / 4)
    assert found["std_return"] == pytest.approx(float(np.std(returns)))
    assert found["iqm_return"] == pytest.approx((returns[1] + returns[2]) / 2)
    assert found["success_rate"] == sum(value >= 200 for value in returns) / 4
    assert found["mean_length"] == sum(episode["length"] for episode in found["episodes"]) / 4


def test_the_printed_report_is_readable(run_folder: Path, evaluate_command: Evaluate) -> None:
    done = evaluate_command(run_folder, FEW)
    lines = done.out.splitlines()
    assert lines[0] == f"{V2}.zip after 16,384 steps"
    assert lines[1] == f"{V2}: 4 fixed tasks (seeds 50 to 53), deterministic"
    assert f"{done.json['mean_return']:.1f} +/- {done.json['std_return']:.1f}" in lines[2]


def test_best_takes_the_best_model(run_folder: Path, evaluate_command: Evaluate) -> None:
    found = evaluate_command(run_folder, FEW, "--best").json
    assert found["model"] == "best_model.zip"
    assert found["episodes"] == expected(PPO.load(run_folder / "best_model.zip", device="cpu"))["episodes"]


def test_a_zip_in_a_run_is_played_with_the_runs_settings(run_folder: Path, evaluate_command: Evaluate) -> None:
    found = evaluate_command(run_folder / "rl_model_8192_steps.zip", FEW).json
    assert (found["env_id"], found["step"]) == (V2, 8192)


def test_trust_gives_the_same_report(run_folder: Path, evaluate_command: Evaluate) -> None:
    assert evaluate_command(run_folder, FEW, "--trust").json == evaluate_command(run_folder, FEW).json


def test_env_kwargs_reach_the_environment(run_folder: Path, evaluate_command: Evaluate) -> None:
    wind = {"enable_wind": True, "wind_power": 15.0}
    found = evaluate_command(run_folder, FEW, "--env-kwargs enable_wind:True wind_power:15.0").json
    model = PPO.load(run_folder / f"{V2}.zip", device="cpu")
    assert found["env_kwargs"] == wind
    assert found["episodes"] == expected(model, env_kwargs=wind)["episodes"]
    assert found["episodes"] != expected(model)["episodes"]


def test_stochastic_samples_the_actions(run_folder: Path, evaluate_command: Evaluate) -> None:
    found = evaluate_command(run_folder, FEW, "--stochastic").json
    model = PPO.load(run_folder / f"{V2}.zip", device="cpu")
    assert found["deterministic"] is False
    assert found["episodes"] == expected(model, deterministic=False)["episodes"]


def test_the_progress_bar_shows_on_a_terminal_only(
    run_folder: Path, evaluate_command: Evaluate, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "episode/s" not in evaluate_command(run_folder, FEW).err
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    assert "4/4" in evaluate_command(run_folder, FEW).err


def test_the_command_gives_the_same_from_several_processes(
    run_folder: Path, evaluate_command: Evaluate, tmp_path: Path
) -> None:
    done = python("-m sb3_lander evaluate", run_folder, FEW, "--processes 2 --json two.json", cwd=tmp_path)
    assert done.status == 0, done.output
    assert json.loads((tmp_path / "two.json").read_text()) == evaluate_command(run_folder, FEW).json


# -------------------------------------------------------------------------------------- checkpoints


def test_checkpoints_are_reported_in_step_order(run_folder: Path, evaluate_command: Evaluate) -> None:
    done = evaluate_command(run_folder, FEW, "--checkpoints")
    first, second = done.json["checkpoints"]
    assert (first["step"], second["step"]) == (8192, 16384)
    for found in (first, second):
        model = PPO.load(run_folder / found["model"], device="cpu")
        assert EvaluationReport.from_dict(found).to_dict() == EvaluationReport.from_dict(expected(model)).to_dict()
    title, header, *rows = done.out.splitlines()
    assert title == f"{V2}: 4 fixed tasks (seeds 50 to 53), deterministic"
    assert header.split() == ["step", "return", "std", "iqm", "success", "95%", "interval", "length"]
    assert [row.split()[:2] for row in rows[:2]] == [
        ["8,192", f"{first['mean_return']:.1f}"],
        ["16,384", f"{second['mean_return']:.1f}"],
    ]


def test_checkpoints_played_before_ctrl_c_are_kept(
    run_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    played: list[Any] = []

    def interrupted(model: Any, *arguments: Any, **options: Any) -> EvaluationReport:
        if played:
            raise KeyboardInterrupt
        played.append(model)
        return evaluate(model, *arguments, **options)

    monkeypatch.setattr("sb3_lander.evaluation.evaluator.evaluate", interrupted)
    file = tmp_path / "report.json"
    assert main(["evaluate", *split(run_folder, FEW, "--checkpoints --json", file)]) == 130
    captured = capsys.readouterr()
    assert [found["step"] for found in json.loads(file.read_text())["checkpoints"]] == [8192]
    assert f"wrote {file}" in captured.out
    assert captured.err == "sb3_lander: interrupted; what was finished is kept\n"


def test_the_csv_has_a_row_for_each_episode(run_folder: Path, evaluate_command: Evaluate, tmp_path: Path) -> None:
    found = evaluate_command(run_folder, FEW, "--checkpoints --csv", tmp_path / "episodes.csv").json["checkpoints"]
    with (tmp_path / "episodes.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    episodes = [(str(one["step"]), episode) for one in found for episode in one["episodes"]]
    assert len(rows) == len(episodes) == 8
    for row, (step, episode) in zip(rows, episodes, strict=True):
        assert (row["step"], row["seed"], row["outcome"]) == (step, str(episode["seed"]), episode["outcome"])
        assert float(row["return"]) == episode["return"]


def test_every_keeps_those_closest_to_the_multiples(run_folder: Path, evaluate_command: Evaluate) -> None:
    found = evaluate_command(run_folder, FEW, "--checkpoints --every 100000").json["checkpoints"]
    assert [one["step"] for one in found] == [8192, 16384]
    assert evaluate_command(run_folder, FEW, "--checkpoints --every 0").status == 2


@pytest.mark.parametrize(
    ("steps", "every", "kept"),
    [
        # The tutorial: every 200,000 of 1.2M steps, and an interval of 800,000: closest to 0, 0.8M and 1.6M.
        (range(200_000, 1_200_001, 200_000), 800_000, [200_000, 800_000, 1_200_000]),
        ([100, 300], 200, [100, 300]),  # 200 is as close to 100: the earlier one, which 0 has chosen already
        ([100, 110, 120, 1000], 500, [100, 120, 1000]),
        ([5], 1, [5]),
        ([10, 20, 30], 1, [10, 20, 30]),
        ([999, 1001], 1000, [999, 1001]),  # 0 and 1000 choose 999, 2000 chooses 1001
        ([400, 600, 1000], 1000, [400, 1000]),
    ],
)
def test_thinning_out_follows_the_tutorials_rule(steps: list[int], every: int, kept: list[int]) -> None:
    checkpoints = [Checkpoint(step, Path(f"rl_model_{step}_steps.zip"), None) for step in steps]
    assert [checkpoint.step for checkpoint in thin_out(checkpoints, every)] == kept


# ------------------------------------------------------------------------------ TensorBoard and videos


def scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder)).Reload()
    return {tag: [(event.step, event.value) for event in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


def images(folder: Path) -> list[str]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    return sorted(EventAccumulator(str(folder)).Reload().Tags()["images"])


def test_the_runs_own_tensorboard_log_gets_the_scalars(
    v2_run: ShortRun, evaluate_command: Evaluate, tmp_path: Path
) -> None:
    shutil.copytree(v2_run.cwd, tmp_path / "cwd")
    log = tmp_path / "cwd" / "tb" / V2
    # Another run's log, which began an hour earlier.
    (events,) = (log / "PPO_1").glob("events.out.tfevents.*")
    prefix, second, rest = events.name.split(".tfevents.")[0], *events.name.split(".tfevents.")[1].split(".", 1)
    (log / "PPO_2").mkdir()
    shutil.copy(events, log / "PPO_2" / f"{prefix}.tfevents.{int(second) - 3600}.{rest}")

    done = evaluate_command(tmp_path / "cwd" / v2_run.folder.relative_to(v2_run.cwd), FEW, "--checkpoints")
    assert f"wrote {log / 'PPO_1' / 'evaluation'}" in done.out
    logged = scalars(log / "PPO_1" / "evaluation")
    assert sorted(logged) == [
        f"evaluation/{name}" for name in ("iqm_return", "mean_length", "mean_return", "std_return", "success_rate")
    ]
    for tag, values in logged.items():
        name = tag.split("/")[1]
        assert values == [(one["step"], pytest.approx(one[name])) for one in done.json["checkpoints"]]
    assert len(list((log / "PPO_2").iterdir())) == 1


def test_videos_of_the_worst_the_median_and_the_best_episode(
    run_folder: Path, evaluate_command: Evaluate, tmp_path: Path
) -> None:
    options = "--env-kwargs enable_wind:True --video 1 --video-folder"
    done = evaluate_command(run_folder, FEW, options, tmp_path / "videos")
    ranked = sorted(done.json["episodes"], key=lambda episode: episode["return"])
    names = {"worst": ranked[0], "median": ranked[1], "best": ranked[3]}
    assert sorted(path.name for path in (tmp_path / "videos").iterdir()) == sorted(
        f"step_16384_{name}_seed_{episode['seed']}.mp4" for name, episode in names.items()
    )
    log = run_folder.parents[2] / "tb" / V2 / "PPO_1" / "evaluation enable_wind=True"
    assert images(log) == ["evaluation/best", "evaluation/median", "evaluation/worst"]


@pytest.mark.parametrize(
    ("k", "seeds"),
    [
        (1, {"worst": 4, "best": 2, "median": 0}),
        (2, {"worst": 4, "worst_2": 1, "best": 2, "best_2": 3, "median_2": 0}),
        (9, {"worst": 4, "worst_2": 1, "worst_3": 0, "worst_4": 3, "worst_5": 2}),
    ],
)
def test_each_episode_is_chosen_once(k: int, seeds: dict[str, int]) -> None:
    returns = [10.0, -5.0, 300.0, 200.0, -99.0]
    episodes = tuple(Episode(seed, value, 1, False, "crashed") for seed, value in enumerate(returns))
    assert extremes(EvaluationReport(V3, {}, True, 200.0, episodes), k) == seeds


# -------------------------------------------------------------------------- the run's settings, heeded


def test_observations_are_normalised_with_the_runs_statistics(normalised_run: Path, evaluate_command: Evaluate) -> None:
    venv = DummyVecEnv([lambda: gym.make(gym.spec(V2))])
    statistics = VecNormalize.load(str(normalised_run / V2 / "vecnormalize.pkl"), venv)
    model = A2C.load(normalised_run / f"{V2}.zip", device="cpu")
    done = evaluate_command(normalised_run, FEW)
    assert done.json["vecnormalize"] == f"{V2}.vecnormalize.npz"
    assert done.json["episodes"] == expected(model, vec_normalize=statistics)["episodes"]
    assert done.json["episodes"] != expected(model)["episodes"]
    assert "note:" not in done.out


def test_a_checkpoint_uses_its_own_statistics_where_it_has_some(
    normalised_run: Path, evaluate_command: Evaluate, tmp_path: Path
) -> None:
    run = Path(shutil.copytree(normalised_run, tmp_path / "run"))
    # Our trainings save each checkpoint's own statistics; the Zoo's callback, as for other ids, saves none.
    plain, pickled = (
        sorted(run.glob(pattern), key=lambda file: file.name)
        for pattern in ("rl_model_*_steps.vecnormalize.npz", "rl_model_vecnormalize_*_steps.pkl")
    )
    done = evaluate_command(run, FEW, "--checkpoints")
    assert [one["vecnormalize"] for one in done.json["checkpoints"]] == [file.name for file in plain]
    assert len(plain) == len(pickled) == 2
    assert "note:" not in done.out
    for file in plain:
        file.unlink()
    again = evaluate_command(run, FEW, "--checkpoints --trust")
    assert [one["vecnormalize"] for one in again.json["checkpoints"]] == [file.name for file in pickled]
    assert [one["episodes"] for one in again.json["checkpoints"]] == [
        one["episodes"] for one in done.json["checkpoints"]
    ]
    for file in pickled:
        file.unlink()
    done = evaluate_command(run, FEW, "--checkpoints --trust")
    assert [one["vecnormalize"] for one in done.json["checkpoints"]] == ["vecnormalize.pkl"] * 2
    assert "note: models without normalisation statistics of their own were given the run's latest" in done.out

    venv = DummyVecEnv([lambda: gym.make(gym.spec(V2))])
    own = VecNormalize.load(str(run / V2 / "vecnormalize.pkl"), venv)
    own.obs_rms.mean += 0.5
    own.save(str(run / "rl_model_vecnormalize_200_steps.pkl"))
    first, second = evaluate_command(run, FEW, "--checkpoints --trust").json["checkpoints"]
    assert first["vecnormalize"] == "rl_model_vecnormalize_200_steps.pkl"
    model = A2C.load(run / "rl_model_200_steps.zip", device="cpu")
    assert first["episodes"] == expected(model, vec_normalize=own)["episodes"]
    assert second == done.json["checkpoints"][1]


def test_the_runs_env_wrapper_is_applied(made_run: Callable[..., Path], evaluate_command: Evaluate) -> None:
    run = made_run("{env_wrapper: [{rl_zoo3.wrappers.TimeFeatureWrapper: {test_mode: true}}]}")
    model = PPO("MlpPolicy", TimeFeatureWrapper(gym.make(V3)), device="cpu", policy_kwargs={"net_arch": [8]})
    model.save(run / f"{V3}.zip")
    report = expected(model, V3, env_wrapper=lambda env: TimeFeatureWrapper(env, test_mode=True))
    assert evaluate_command(run, FEW).json["episodes"] == report["episodes"]


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ("{frame_stack: 4}", "the run stacks frames (frame_stack: 4), which is not supported"),
        ("{vec_env_wrapper: a.B}", "the run's vec_env_wrapper 'a.B' may change observations"),
        ("{env_wrapper: nowhere.B}", "the wrapper 'nowhere.B' is not known to be safe"),
        ("{normalize: true}", "normalises its observations, but has no vecnormalize.pkl"),
    ],
)
def test_settings_that_cannot_be_heeded_are_refused(
    config: str, message: str, made_run: Callable[..., Path], evaluate_command: Evaluate
) -> None:
    run = made_run(config)
    PPO("MlpPolicy", gym.make(V3), device="cpu", policy_kwargs={"net_arch": [8]}).save(run / f"{V3}.zip")
    done = evaluate_command(run, FEW)
    assert done.status == 2
    assert message in done.err


def test_a_trusted_wrapper_that_cannot_be_imported_is_named(
    made_run: Callable[..., Path], evaluate_command: Evaluate
) -> None:
    run = made_run("{env_wrapper: nowhere.B}")
    assert "the run's env_wrapper 'nowhere.B' cannot be imported" in evaluate_command(run, FEW, "--trust").err


# ------------------------------------------------------------------------------------ a zip on its own


@pytest.mark.parametrize("algo", sorted(ALGOS))
def test_a_zip_of_any_algorithm_needs_nothing_but_its_environment(
    algo: str, tmp_path: Path, evaluate_command: Evaluate
) -> None:
    env_id = "LunarLander-v3" if algo in ("dqn", "qrdqn") else V3
    policy = "MlpLstmPolicy" if algo == "ppo_lstm" else "MlpPolicy"
    model = ALGOS[algo](policy, gym.make(env_id), seed=1, device="cpu")
    model.save(tmp_path / "model.zip")
    assert algorithm_of(read_settings(tmp_path / "model.zip")) == algo
    report = {"model": "model.zip", "step": 0, "vecnormalize": None, **expected(model, env_id)}
    assert evaluate_command(tmp_path / "model.zip", FEW, "--env", env_id).json == report
    assert evaluate_command(tmp_path / "model.zip", FEW, "--trust --env", env_id).json == report


def test_the_environment_of_a_zip_is_the_lander_it_can_fly_unless_said_otherwise(
    tmp_path: Path, evaluate_command: Evaluate
) -> None:
    for env_id in ("LunarLander-v3", V3):
        PPO("MlpPolicy", gym.make(env_id), device="cpu").save(tmp_path / "model.zip")
        assert evaluate_command(tmp_path / "model.zip", FEW).json["env_id"] == env_id
    done = evaluate_command(tmp_path / "model.zip", FEW, "--env CartPole-v1")
    assert (done.status, done.err[:62]) == (2, "sb3_lander: error: the model does not fit CartPole-v1: Box([ -")


# --------------------------------------------------------------------------------------------- mistakes


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--checkpoints --best", "checkpoints and best exclude each other"),
        ("--every 100", "every=100 thins out the checkpoints: ask for checkpoints too"),
        ("--episodes 0", "n must be an integer >= 1, got 0"),
        ("--first-seed -1", "a task's seed must be an integer >= 0, got -1"),
        ("--trust --algo nothing", "the algorithm 'nothing' is unknown; valid: a2c,"),
        ("--trust --algo sac", "as sac: "),
        ("--algo sac", "algo='sac' says how to unpickle a model: it goes with --trust"),
        ("--env Nothing-v0", "unknown environment 'Nothing-v0'"),
        ("--env-kwargs wind", "--env-kwargs wind: write key:value with a Python literal"),
        ("--env-kwargs a:__import__('os')", "--env-kwargs a:__import__('os'): write key:value with a Python literal"),
        ("--env-kwargs speed:1", "cannot make LunarLanderContinuous-v2 with {'speed': 1}"),
        ("--video -1", "the number of videos must be >= 0, got -1"),
        ("--processes 0", "n_processes must be an integer >= 1, got 0"),
        ("--csv nowhere/episodes.csv", "no folder nowhere for episodes.csv"),
    ],
)
def test_a_mistake_is_one_line_and_status_2(
    options: str, message: str, run_folder: Path, evaluate_command: Evaluate
) -> None:
    done = evaluate_command(run_folder, options)
    assert done.status == 2
    assert message in done.err
    assert len(done.err.splitlines()) == 1


def test_a_place_that_cannot_be_written_is_named(v2_run: ShortRun, evaluate_command: Evaluate, tmp_path: Path) -> None:
    shutil.copytree(v2_run.cwd, tmp_path / "cwd")
    run = tmp_path / "cwd" / v2_run.folder.relative_to(v2_run.cwd)
    (run / "videos").touch()
    refused = evaluate_command(run, FEW, "--video 1")
    assert (refused.status, "cannot make the folder" in refused.err) == (2, True)
    (tmp_path / "cwd" / "tb" / V2 / "PPO_1" / "evaluation").touch()
    done = evaluate_command(run, FEW)
    assert done.status == 0
    assert "note: nothing was added to the TensorBoard log" in done.out


def test_a_run_without_plain_statistics_needs_trust(
    normalised_run: Path, evaluate_command: Evaluate, tmp_path: Path
) -> None:
    run = Path(shutil.copytree(normalised_run, tmp_path / "run"))
    trusted = evaluate_command(run, FEW, "--best").json
    for file in run.glob("*.npz"):
        file.unlink()
    refused = evaluate_command(run, FEW)
    assert (refused.status, len(refused.err.splitlines())) == (2, 1)
    assert "VecNormalize's statistics are a pickle" in refused.err
    assert "if you trust its author, load it with --trust" in refused.err
    assert evaluate_command(run, FEW, "--best --trust").json["vecnormalize"] == "vecnormalize.pkl"
    assert trusted["vecnormalize"] == "best_model.vecnormalize.npz"


@pytest.mark.parametrize("damage", [b"", b"PK", b"\x80\x04K\x01."])
def test_damaged_plain_statistics_are_named(
    damage: bytes, normalised_run: Path, evaluate_command: Evaluate, tmp_path: Path
) -> None:
    run = Path(shutil.copytree(normalised_run, tmp_path / "run"))
    (run / f"{V2}.vecnormalize.npz").write_bytes(damage)
    assert f"cannot read the normalisation statistics {run / V2}.vecnormalize.npz" in evaluate_command(run, FEW).err


def test_what_a_run_lacks_is_named(made_run: Callable[..., Path], evaluate_command: Evaluate, tmp_path: Path) -> None:
    run = made_run("{}")
    assert "has no final model yet: ask for the best or the checkpoints" in evaluate_command(run).err
    assert "has no best model: train with --eval-freq" in evaluate_command(run, "--best").err
    assert "has no checkpoints: train with --save-freq" in evaluate_command(run, "--checkpoints").err
    assert "does not exist: give a run folder of the RL Zoo, or a model's .zip" in evaluate_command(run / "x.zip").err
    (tmp_path / "damaged.zip").write_bytes(b"PK")
    assert "damaged.zip cannot be read safely" in evaluate_command(tmp_path / "damaged.zip").err
