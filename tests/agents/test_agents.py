"""Loading agents from files that nobody vouches for: the same actions, and nothing of the file runs."""

from __future__ import annotations

import base64
import copy
import io
import json
import pickle
import random
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cloudpickle
import gymnasium as gym
import numpy as np
import pytest
import torch as th
from conftest import python
from rl_zoo3.utils import ALGOS
from stable_baselines3 import PPO
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.save_util import load_from_zip_file
from torch import nn

from sb3_lander import SeparateActorCriticPolicy
from sb3_lander.__main__ import main
from sb3_lander.agents import load_policy
from sb3_lander.policies import FastLstmPolicy
from sb3_lander.runs import archive

CONTINUOUS, DISCRETE = "LunarLanderContinuous-v3", "LunarLander-v3"
SMALL: dict[str, Any] = {"n_steps": 16, "batch_size": 16, "device": "cpu"}
OFF_POLICY = {"buffer_size": 10, "device": "cpu", "policy_kwargs": {"net_arch": [16]}}
OURS = {"net_arch": {"pi": [16], "vf": [8]}, "bounded_mean": True, "mirror": "lunar_lander", "fast": True}

MODELS: dict[str, tuple[str, Any, str, dict[str, Any]]] = {
    "ppo with our policy": ("ppo", SeparateActorCriticPolicy, CONTINUOUS, {**SMALL, "policy_kwargs": OURS}),
    "ppo with our policy and four actions": (
        "ppo",
        SeparateActorCriticPolicy,
        DISCRETE,
        {**SMALL, "policy_kwargs": {"mirror": "lunar_lander_discrete", "activation_fn": "relu", "fast": True}},
    ),
    "ppo with a state-dependent std": (
        "ppo",
        SeparateActorCriticPolicy,
        CONTINUOUS,
        {**SMALL, "policy_kwargs": {"std": "state_dependent", "activation_fn": nn.ELU, "log_std_bounds": (-2, 1)}},
    ),
    "ppo with classes as arguments": (
        "ppo",
        "MlpPolicy",
        CONTINUOUS,
        {**SMALL, "policy_kwargs": {"activation_fn": nn.ReLU, "optimizer_class": th.optim.AdamW, "net_arch": [8]}},
    ),
    "a2c with gSDE": ("a2c", "MlpPolicy", CONTINUOUS, {"use_sde": True, "use_rms_prop": True, "device": "cpu"}),
    "trpo": ("trpo", "MlpPolicy", CONTINUOUS, {"n_steps": 16, "batch_size": 16, "device": "cpu"}),
    "ppo_lstm": ("ppo_lstm", "MlpLstmPolicy", CONTINUOUS, {**SMALL, "policy_kwargs": {"lstm_hidden_size": 8}}),
    "ppo_lstm with our policy": (
        "ppo_lstm",
        FastLstmPolicy,
        CONTINUOUS,
        {**SMALL, "policy_kwargs": {"lstm_hidden_size": 8, "activation_fn": "relu"}},
    ),
    "ars": ("ars", "MlpPolicy", CONTINUOUS, {"device": "cpu"}),
    "ars, linear": ("ars", "LinearPolicy", CONTINUOUS, {"device": "cpu"}),
    "sac": ("sac", "MlpPolicy", CONTINUOUS, OFF_POLICY),
    "sac with gSDE": ("sac", "MlpPolicy", CONTINUOUS, {**OFF_POLICY, "use_sde": True}),
    "td3": ("td3", "MlpPolicy", CONTINUOUS, OFF_POLICY),
    "ddpg": ("ddpg", "MlpPolicy", CONTINUOUS, OFF_POLICY),
    "tqc": ("tqc", "MlpPolicy", CONTINUOUS, OFF_POLICY),
    "crossq": ("crossq", "MlpPolicy", CONTINUOUS, OFF_POLICY),
    "dqn": ("dqn", "MlpPolicy", DISCRETE, OFF_POLICY),
    "qrdqn": ("qrdqn", "MlpPolicy", DISCRETE, OFF_POLICY),
}


def make_model(name: str) -> BaseAlgorithm:
    algo, policy, env_id, arguments = MODELS[name]
    return ALGOS[algo](policy, gym.make(env_id), seed=1, **copy.deepcopy(arguments))  # SB3 adds to them


def observations(n: int = 64) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(n, 8)).astype(np.float32)


def actions(policy: Any) -> bytes:
    """Return two batches of actions, with the recurrent state carried on, as raw bytes."""
    starts = np.ones(64, dtype=bool)
    first, state = policy.predict(observations(), episode_start=starts, deterministic=True)
    second, _ = policy.predict(observations(), state=state, episode_start=~starts, deterministic=True)
    return bytes(first.tobytes() + second.tobytes())


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Save a model with our policy as SB3 does."""
    path = tmp_path_factory.mktemp("saved") / "model.zip"
    make_model("ppo with our policy").save(path)
    return path


@pytest.mark.parametrize("name", ["ppo with our policy", "sac"])
def test_a_policy_that_was_loaded_can_be_saved_and_loaded_with_sb3(name: str, tmp_path: Path) -> None:
    make_model(name).save(tmp_path / "model.zip")
    policy: Any = load_policy(tmp_path / "model.zip")
    policy.save(tmp_path / "policy.zip")
    again = type(policy).load(tmp_path / "policy.zip")
    assert actions(again) == actions(policy)
    assert isinstance(again.optimizer if name != "sac" else again.actor.optimizer, th.optim.Adam)


def test_an_agent_is_there_without_torchs_compiler(tmp_path: Path) -> None:
    """Its import takes a second, and acting does not need it."""
    code = "import sys; from sb3_lander import Agent; from sb3_lander.agents import shipped_agent as shipped"
    done = python(cwd=tmp_path, code=f"{code}; Agent.load(shipped()); print('torch._dynamo' in sys.modules)")
    assert done == (0, "False\n")


class Touch:
    """Unpickled, it creates a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Path]]:
        return Path.touch, (self.path,)


def rewrite(path: Path, target: Path, **members: bytes) -> Path:
    """Copy a zip with some of its members (``policy_pth`` for ``policy.pth``) replaced."""
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(target, "w") as target_zip:
        for name in source.namelist():
            target_zip.writestr(name, members.get(name.replace(".", "_"), source.read(name)))
    return target


def settings_of(path: Path) -> dict[str, Any]:
    with zipfile.ZipFile(path) as source:
        return dict(json.loads(source.read("data")))


def with_settings(path: Path, target: Path, **changes: Any) -> Path:
    return rewrite(path, target, data=json.dumps({**settings_of(path), **changes}).encode())


# ------------------------------------------------------------------------------------------- same actions


@pytest.mark.parametrize("name", MODELS)
def test_the_policy_acts_as_the_one_that_sb3_loads(name: str, tmp_path: Path) -> None:
    make_model(name).save(tmp_path / "model.zip")
    theirs = ALGOS[MODELS[name][0]].load(tmp_path / "model.zip", device="cpu").policy
    ours = load_policy(tmp_path / "model.zip")
    assert type(ours) is type(theirs)
    assert actions(ours) == actions(theirs)
    assert not ours.training


def test_loading_leaves_the_random_numbers_as_they_were(saved: Path) -> None:
    before = th.random.get_rng_state()
    load_policy(saved)
    assert th.equal(th.random.get_rng_state(), before)


def test_bounds_that_print_inexactly_are_refused_and_not_rounded(tmp_path: Path) -> None:
    high = np.array([0.00123456789, 1.0], dtype=np.float32)
    assert np.float32("0.00123457") != high[0]
    assert str(high) == "[0.00123457 1.        ]"
    env = gym.make(CONTINUOUS)
    env.action_space = gym.spaces.Box(-high, high)
    PPO("MlpPolicy", env, **SMALL).save(tmp_path / "rounded.zip")
    with pytest.raises(
        ValueError, match=r"action_space's low can be had by unpickling only, it prints as '\[-0.00123457"
    ):
        load_policy(tmp_path / "rounded.zip")


def test_images_are_supported_by_their_uniform_bounds(tmp_path: Path) -> None:
    env = gym.make(CONTINUOUS)
    env.observation_space = gym.spaces.Box(0, 255, (3, 36, 36), np.uint8)
    PPO("CnnPolicy", env, policy_kwargs={"net_arch": [4]}, **SMALL).save(tmp_path / "images.zip")
    batch = np.random.default_rng(0).integers(0, 256, (4, 3, 36, 36), dtype=np.uint8)
    theirs, _ = PPO.load(tmp_path / "images.zip", device="cpu").predict(batch, deterministic=True)
    ours, _ = load_policy(tmp_path / "images.zip").predict(batch, deterministic=True)
    assert ours.tobytes() == theirs.tobytes()


# ------------------------------------------------------------------------------------------ nothing runs


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """Return the file that a payload would create."""
    return tmp_path / "made"


def payload(made: Path) -> str:
    return base64.b64encode(cloudpickle.dumps(Touch(made))).decode()


@pytest.mark.parametrize("key", ["policy_class", "observation_space", "action_space", "lr_schedule", "new"])
def test_a_pickle_in_the_settings_does_not_run(key: str, saved: Path, tmp_path: Path, made: Path) -> None:
    entry = {**settings_of(saved).get(key, {":type:": "x"}), ":serialized:": payload(made)}
    evil = with_settings(saved, tmp_path / "evil.zip", **{key: entry})
    load_from_zip_file(evil, device="cpu")
    assert made.exists(), "the payload does not work, so the test shows nothing"
    made.unlink()
    if key.endswith("_space"):
        with pytest.raises(ValueError, match="unpickling"):
            load_policy(evil)
    else:
        assert actions(load_policy(evil)) == actions(load_policy(saved))
    main(["evaluate", str(evil), "--episodes", "1"])
    assert not made.exists()


@pytest.mark.parametrize("as_zip", [True, False])
def test_a_pickle_in_the_weights_does_not_run(as_zip: bool, saved: Path, tmp_path: Path, made: Path) -> None:
    content = io.BytesIO()
    th.save({"weights": Touch(made)}, content, _use_new_zipfile_serialization=as_zip)
    evil = rewrite(saved, tmp_path / "evil.zip", policy_pth=content.getvalue())
    with pytest.raises(ValueError, match=r"evil\.zip cannot be read safely") as refusal:
        load_policy(evil)
    assert ("its weights name getattr, which no weights need" in str(refusal.value)) == as_zip
    assert not made.exists()


def test_a_pickle_in_another_member_is_never_opened(saved: Path, tmp_path: Path, made: Path) -> None:
    pickled = pickle.dumps(Touch(made))
    evil = rewrite(saved, tmp_path / "evil.zip", pytorch_variables_pth=pickled, policy_optimizer_pth=pickled)
    assert actions(load_policy(evil)) == actions(load_policy(saved))
    assert not made.exists()


@pytest.fixture
def run(saved: Path, tmp_path: Path) -> Path:
    """Make a run folder of the Zoo's layout with the saved model."""
    inner = tmp_path / "run" / CONTINUOUS
    inner.mkdir(parents=True)
    (inner / "args.yml").write_text(f"{{algo: ppo, env: {CONTINUOUS}, env_kwargs: null}}")
    (inner / "config.yml").write_text("{env_wrapper: sb3_lander.envs.SuccessWrapper}")
    shutil.copy(saved, inner.parent / f"{CONTINUOUS}.zip")
    return inner.parent


def refused(run: Path, capsys: pytest.CaptureFixture[str]) -> str:
    assert main(["evaluate", str(run), "--episodes", "1"]) == 2
    return capsys.readouterr().err


def test_a_run_folder_loads_its_final_model(run: Path, saved: Path) -> None:
    assert actions(load_policy(run)) == actions(load_policy(saved))
    assert main(["evaluate", str(run), "--episodes", "1"]) == 0


@pytest.mark.parametrize("file", ["args.yml", "config.yml"])
def test_python_objects_in_the_yaml_are_not_made(
    file: str, run: Path, made: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    evil = f"a: !!python/object/apply:pathlib.Path.touch [!!python/object/apply:pathlib.Path ['{made}']]"
    (run / CONTINUOUS / file).write_text(evil)
    with pytest.raises(ValueError, match=rf"cannot read .*{file} safely"):
        load_policy(run)
    assert f"{file} safely" in refused(run, capsys)
    assert not made.exists()


def test_statistics_that_are_pickled_are_refused(run: Path, made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (run / CONTINUOUS / "config.yml").write_text("{normalize: true}")
    (run / CONTINUOUS / "vecnormalize.pkl").write_bytes(pickle.dumps(Touch(made)))
    for path in (run, run / f"{CONTINUOUS}.zip"):
        with pytest.raises(ValueError, match="VecNormalize's statistics are a pickle"):
            load_policy(path)
        assert "VecNormalize's statistics are a pickle" in refused(path, capsys)
    assert not made.exists()


def test_a_wrapper_that_is_any_callable_is_not_called(
    run: Path, made: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (run / CONTINUOUS / "config.yml").write_text("{env_wrapper: [{os.mkdir: {mode: 511}}]}")
    assert "the wrapper 'os.mkdir' is not known to be safe" in refused(run, capsys)
    (run / CONTINUOUS / "config.yml").write_text(f"{{env_wrapper: [[{made}]]}}")
    assert "is not known to be safe" in refused(run, capsys)


def test_an_environment_of_another_module_is_not_imported(
    run: Path, tmp_path: Path, made: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "evil_envs.py").write_text(f"open({str(made)!r}, 'w')")
    monkeypatch.syspath_prepend(tmp_path)
    arguments = "{algo: ppo, env: 'evil_envs:Env-v0', gym_packages: [evil_envs]}"
    (run / CONTINUOUS / "args.yml").write_text(arguments)
    assert "the environment 'evil_envs:Env-v0' is none of gymnasium's own" in refused(run, capsys)
    assert not made.exists()


# ------------------------------------------------------------------------------------- clear refusals


def test_a_policy_of_an_unknown_class_is_refused_by_name(saved: Path, tmp_path: Path) -> None:
    printed = {"__module__": "os", "__init__": "<function system.__init__ at 0x0>"}
    evil = with_settings(saved, tmp_path / "evil.zip", policy_class=printed)
    with pytest.raises(ValueError, match=r"its policy os\.system is not known; known: the policies of .*sb3_lander"):
        load_policy(evil)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"activation_fn": "<class 'subprocess.Popen'>"}, r"its activation_fn subprocess\.Popen is not known"),
        ({":serialized:": "", "ortho_init": "True"}, "its ortho_init can be had by unpickling only"),
        ({**OURS, "net_arch": [10**9, 10**9]}, "networks much larger than its weights"),
        ({**OURS, "net_arch": {"pi": [16, 16], "vf": [8]}}, "its weights do not fit its settings"),
        ({**OURS, "speed": 1}, "unexpected keyword argument 'speed'"),
        ([], "not a mapping"),
    ],
)
def test_arguments_that_cannot_be_had_or_cannot_be_right_are_refused(
    given: Any, message: str, saved: Path, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=message):
        load_policy(with_settings(saved, tmp_path / "evil.zip", policy_kwargs=given))


def test_a_member_that_unpacks_to_too_much_is_not_unpacked(saved: Path, tmp_path: Path) -> None:
    bomb = tmp_path / "bomb.zip"
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("data", b" " * (archive.MAX_SETTINGS + 1))
        made.writestr("policy.pth", b"")
    assert bomb.stat().st_size < 1e5
    with pytest.raises(ValueError, match="its member data unpacks to 67,108,865 bytes, more than 67,108,864"):
        load_policy(bomb)


def test_weights_that_torch_would_unpack_are_refused(saved: Path, tmp_path: Path) -> None:
    packed = io.BytesIO()
    with (
        zipfile.ZipFile(saved) as source,
        zipfile.ZipFile(io.BytesIO(source.read("policy.pth"))) as inner,
        zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as target,
    ):
        for name in inner.namelist():
            target.writestr(name, inner.read(name))
    with pytest.raises(ValueError, match="compressed in a way that SB3 never uses"):
        load_policy(rewrite(saved, tmp_path / "evil.zip", policy_pth=packed.getvalue()))


@pytest.mark.parametrize("name", ["../data", "/data", "a/b", "policy.pth/", "C:\\data", ""])
def test_a_member_with_a_path_is_refused(name: str, saved: Path, tmp_path: Path) -> None:
    evil = shutil.copy(saved, tmp_path / "evil.zip")
    with zipfile.ZipFile(evil, "a") as archive_:
        archive_.writestr(zipfile.ZipInfo(name), b"")
    with pytest.raises(ValueError, match="none that Stable-Baselines3 writes"):
        load_policy(evil)


@pytest.mark.filterwarnings("ignore:Duplicate name:UserWarning")
def test_a_member_that_occurs_twice_is_refused(saved: Path, tmp_path: Path) -> None:
    evil = shutil.copy(saved, tmp_path / "evil.zip")
    with zipfile.ZipFile(evil, "a") as archive_:
        archive_.writestr("data", b"{}")
    with pytest.raises(ValueError, match="its member data occurs twice"):
        load_policy(evil)


def test_a_missing_file_and_one_that_is_no_zip_are_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"nowhere\.zip does not exist"):
        load_policy(tmp_path / "nowhere.zip")
    (tmp_path / "text.zip").write_text("text")
    with pytest.raises(ValueError, match=r"text\.zip cannot be read safely: File is not a zip file"):
        load_policy(tmp_path / "text.zip")


# ------------------------------------------------------------------------------------------------- fuzz


def actions_or_refusal(path: Path) -> bytes | None:
    """Return the actions, or None after the one kind of error that is allowed."""
    try:
        return actions(load_policy(path))
    except ValueError as error:
        if str(path) not in str(error):
            raise
        return None


def test_truncated_files_are_refused(saved: Path, tmp_path: Path) -> None:
    content, rng = saved.read_bytes(), random.Random(0)
    for _ in range(40):
        (tmp_path / "cut.zip").write_bytes(content[: rng.randrange(len(content))])
        with pytest.raises(ValueError, match=r"cut\.zip cannot be read safely"):
            load_policy(tmp_path / "cut.zip")


def test_swapped_members_are_refused(saved: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(saved) as source:
        members = {name: source.read(name) for name in source.namelist()}
    for read in ("data", "policy.pth"):
        for other in members.keys() - {read}:
            evil = rewrite(saved, tmp_path / "swapped.zip", **{read.replace(".", "_"): members[other]})
            with pytest.raises(ValueError, match=r"swapped\.zip"):
                load_policy(evil)


def test_changed_bytes_are_refused_or_change_nothing(saved: Path, tmp_path: Path) -> None:
    content, rng, expected = saved.read_bytes(), random.Random(1), actions(load_policy(saved))
    directory = content.rindex(b"PK\x05\x06") - 500
    for i in range(120):
        changed = bytearray(content)
        # Half of them where the zip's own tables are.
        for _ in range(rng.randint(1, 4)):
            changed[rng.randrange(directory if i % 2 else 0, len(content))] = rng.randrange(256)
        (tmp_path / "changed.zip").write_bytes(changed)
        assert actions_or_refusal(tmp_path / "changed.zip") in (None, expected)


@pytest.mark.filterwarnings("ignore")  # whatever torch and SB3 have to say of such settings and weights
@pytest.mark.parametrize("member", ["data", "policy.pth"])
def test_changed_members_with_right_checksums_raise_nothing_else(member: str, saved: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(saved) as source:
        content = source.read(member)
    rng = random.Random(2)
    for _ in range(60):
        changed = bytearray(content)
        for _ in range(rng.randint(1, 3)):
            start = rng.randrange(len(content))
            changed[start : start + rng.randint(1, 8)] = rng.randbytes(rng.randint(0, 8))
        evil = rewrite(saved, tmp_path / "changed.zip", **{member.replace(".", "_"): bytes(changed)})
        actions_or_refusal(evil)
