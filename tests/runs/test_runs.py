"""Reading a run folder of the Zoo without unpickling anything."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from conftest import ShortRun

from sb3_lander.runs.run import Run


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Make a run folder as small as one can be."""
    inner = tmp_path / "LunarLanderContinuous-v2_1" / "LunarLanderContinuous-v2"
    inner.mkdir(parents=True)
    (inner / "args.yml").write_text("{algo: ppo, env: LunarLanderContinuous-v2, env_kwargs: null}")
    (inner / "config.yml").write_text("{n_envs: 4}")
    return inner.parent


def test_a_real_run_is_read_as_the_zoo_wrote_it(v2_run: ShortRun) -> None:
    run = Run.load(v2_run.folder)
    assert (run.algo, run.env_id, run.env_kwargs) == ("ppo", "LunarLanderContinuous-v2", {})
    inner = v2_run.folder / "LunarLanderContinuous-v2"
    # Both files are the Zoo's own and fresh, so reading them as the Zoo does is safe here.
    assert run.config == yaml.load((inner / "config.yml").read_text(), Loader=yaml.UnsafeLoader)
    assert run.args == yaml.load((inner / "args.yml").read_text(), Loader=yaml.UnsafeLoader)
    assert run.final_model == v2_run.folder / "LunarLanderContinuous-v2.zip"
    assert run.best_model == v2_run.folder / "best_model.zip"
    assert run.vecnormalize is None


def test_checkpoints_are_sorted_by_step_and_paired_with_their_statistics(folder: Path) -> None:
    for name in ("rl_model_900_steps.zip", "rl_model_10000_steps.zip", "rl_model_vecnormalize_900_steps.pkl"):
        (folder / name).touch()
    (folder / "rl_model_old_steps.zip").touch()
    first, second = Run.load(folder).checkpoints
    assert (first.step, second.step) == (900, 10000)
    assert first.vecnormalize == folder / "rl_model_vecnormalize_900_steps.pkl"
    assert second.vecnormalize is None


def test_env_kwargs_of_the_command_line_come_before_those_of_the_file(folder: Path) -> None:
    (folder / "LunarLanderContinuous-v2/config.yml").write_text("{env_kwargs: {gravity: -9.0}}")
    assert Run.load(folder).env_kwargs == {"gravity": -9.0}
    args = "{algo: ppo, env: LunarLanderContinuous-v2, env_kwargs: {gravity: -8.0}}"
    (folder / "LunarLanderContinuous-v2/args.yml").write_text(args)
    assert Run.load(folder).env_kwargs == {"gravity": -8.0}


def test_an_activation_given_as_a_class_is_read_as_its_name(folder: Path) -> None:
    text = "policy_kwargs: {activation_fn: !!python/name:torch.nn.modules.activation.ReLU '', n: !!python/tuple [1]}"
    (folder / "LunarLanderContinuous-v2/config.yml").write_text(text)
    assert Run.load(folder).config == {"policy_kwargs": {"activation_fn": "relu", "n": (1,)}}


def test_a_missing_folder_and_one_that_is_no_run_are_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no run folder .*nowhere"):
        Run.load(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match="is not a run of the RL Zoo"):
        Run.load(tmp_path)


def test_python_objects_in_the_yaml_are_refused_and_not_made(folder: Path) -> None:
    text = f"a: !!python/object/apply:pathlib.Path.touch [!!python/object/apply:pathlib.Path ['{folder}/made']]"
    (folder / "LunarLanderContinuous-v2/config.yml").write_text(text)
    with pytest.raises(ValueError, match=r"cannot read .*config\.yml safely"):
        Run.load(folder)
    assert not (folder / "made").exists()


@pytest.mark.parametrize("text", ["a: [", "- 1", "", "\x00", "!!python/object/apply:collections.OrderedDict {a: 1}"])
def test_a_damaged_yaml_file_is_one_clear_error(folder: Path, text: str) -> None:
    (folder / "LunarLanderContinuous-v2/config.yml").write_text(text)
    with pytest.raises(ValueError, match=r"config\.yml"):
        Run.load(folder)
