"""The report page, in a real browser: it renders, plays, is readable without its plots, and needs no network."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch as th
from conftest import ShortRun
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.support.ui import WebDriverWait
from stable_baselines3 import PPO

from sb3_lander import Agent
from sb3_lander.__main__ import main
from sb3_lander.evaluation.evaluator import evaluate
from sb3_lander.evaluation.task import fixed_tasks
from sb3_lander.policies.policy import SeparateActorCriticPolicy
from sb3_lander.report import flights
from sb3_lander.runs.run import Run
from sb3_lander.runs.training_log import Series, band, read_log

pytestmark = pytest.mark.filterwarnings("ignore:.*LunarLanderContinuous-v2 is out of date:DeprecationWarning")

V3, DISCRETE = "LunarLanderContinuous-v3", "LunarLander-v3"


@pytest.fixture(scope="module")
def page(v2_run: ShortRun, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Report on one run twice, as if it were two seeds."""
    folder = tmp_path_factory.mktemp("report")
    shutil.copytree(v2_run.folder, folder / "LunarLanderContinuous-v2_2")
    out, figures = folder / "report.html", folder / "figures"
    runs = [str(v2_run.folder), str(folder / "LunarLanderContinuous-v2_2")]
    assert main(["report", *runs, "-o", str(out), "--episodes", "12", "--figures", str(figures)]) == 0
    return out


@pytest.fixture(scope="module")
def browser() -> Iterator[webdriver.Chrome]:
    driver, chromium = shutil.which("chromedriver"), shutil.which("chromium")
    if (driver is None or chromium is None) and "CI" not in os.environ:
        pytest.skip("no Chromium here: apt-get install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium or ""
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--window-size=1200,900"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    with webdriver.Chrome(options, Service(driver)) as opened:
        yield opened


@pytest.fixture
def opened(page: Path, browser: webdriver.Chrome) -> webdriver.Chrome:
    browser.get(page.as_uri())
    return browser


def test_it_renders_without_an_error_and_without_the_network(opened: webdriver.Chrome) -> None:
    assert opened.title == "ppo/LunarLanderContinuous-v2_1, ppo/LunarLanderContinuous-v2_2"
    assert opened.get_log("browser") == []
    loaded = opened.execute_script("return performance.getEntriesByType('resource').map(entry => entry.name)")
    assert [name for name in loaded if not name.startswith("data:")] == []


def test_every_plot_shows_and_says_what_it_shows(opened: webdriver.Chrome) -> None:
    script = "return [...document.images].map(image => [image.naturalWidth, image.alt])"
    images = opened.execute_script(script)
    # Returns by steps and by seconds, success, losses; and for each run returns, flights, touchdowns and slices.
    assert len(images) == 4 + 2 * 4
    assert all(width > 100 and len(text) > 40 for width, text in images)
    assert "Left and right are exact mirror images." in images[-1][1]
    headings = opened.execute_script("return [...document.querySelectorAll('h1, h2, h3')].map(h => h.textContent)")
    assert headings[:2] == ["LunarLanderContinuous-v2: 2 trainings", "Training"]


def test_the_videos_play(opened: webdriver.Chrome) -> None:
    opened.set_script_timeout(30)
    played = opened.execute_async_script(
        """
        const done = arguments[0], videos = [...document.querySelectorAll("video")];
        Promise.all(videos.map(async video => {
            await video.play();
            while (video.currentTime < 0.2) await new Promise(wake => setTimeout(wake, 50));
            return [video.videoWidth, video.getAttribute("aria-label")];
        })).then(done, error => done(String(error)));
        """
    )
    assert len(played) == 6
    assert all(width == 600 for width, _ in played)
    assert [label.split(",")[0] for _, label in played[:3]] == [f"The {n} episode" for n in ("worst", "best", "median")]


def test_it_can_be_read_on_a_phone(opened: webdriver.Chrome) -> None:
    phone = {"width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": True}
    opened.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", phone)
    try:
        assert opened.execute_script("return document.documentElement.scrollWidth") <= 390
        width = opened.execute_script("return Math.max(...[...document.images].map(image => image.clientWidth))")
        assert 300 < width <= 390
    finally:
        opened.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_it_is_dark_where_the_reader_wants_it_dark(opened: webdriver.Chrome) -> None:
    def look(scheme: str, unlike: str = "") -> tuple[str, str]:
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        opened.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
        ground = opened.execute_script("return getComputedStyle(document.body).backgroundColor")
        source = "return document.images[0].currentSrc"
        # The browser chooses the other picture in its own time.
        WebDriverWait(opened, 30).until(lambda driver: driver.execute_script(source) != unlike)
        return ground, opened.execute_script(source)

    light, source = look("light")
    dark, _ = look("dark", unlike=source)
    assert (light, dark) == ("rgb(255, 255, 255)", "rgb(22, 24, 29)")


def test_the_plots_are_saved_for_papers(page: Path) -> None:
    folder = page.parent / "figures"
    names = {file.stem for file in folder.rglob("*.svg")}
    assert names == {file.stem for file in folder.rglob("*.png")}
    assert names == {"returns_by_steps", "returns_by_seconds", "success", "losses"} | {
        *("evaluation_returns", "flights", "touchdowns", "slices")
    }
    # Those of the training once, those of the evaluation for each run.
    assert len(list(folder.rglob("*.svg"))) == 4 + 2 * 4


def test_the_page_says_how_the_run_was_made(page: Path) -> None:
    text = page.read_text()
    assert "rl_zoo3.train" in text
    assert "mirror: lunar_lander" in text
    assert "Stable-Baselines3: " in text


def test_a_mistake_is_one_line(v2_run: ShortRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    alone = Path(shutil.copy(v2_run.folder / "LunarLanderContinuous-v2.zip", v2_run.cwd / "alone.zip"))
    for words, message in (
        ([tmp_path / "none"], "none does not exist"),
        ([v2_run.folder, "-o", tmp_path / "nowhere" / "page.html"], "no folder"),
        ([alone, "-o", tmp_path / "page.html"], "needs its run folder"),
    ):
        assert main(["report", *map(str, words)]) == 2
        error = capsys.readouterr().err
        assert message in error
        assert error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_flights_are_the_evaluations_own() -> None:
    model = PPO(SeparateActorCriticPolicy, V3, seed=0, device="cpu")
    tasks = fixed_tasks(V3, 4)
    report, flown = flights.fly(Agent.of(model, V3), tasks)
    assert report == evaluate(model, tasks)
    for flight, episode in zip(flown, report.episodes, strict=True):
        assert flight.episode == episode
        assert flight.path.shape == (episode.length + 1, 2)
        # The start is at the top of the screen, 20 m wide, in the middle; the pad is 4 m wide and flat.
        assert flight.path[0] == pytest.approx([0.0, 10.0], abs=0.2)
        assert flight.ground[[0, -1], 0] == pytest.approx([-10.0, 10.0])
        pad = np.abs(flight.ground[:, 0]) <= 2.0
        assert pad.sum() >= 3
        # gymnasium smooths the ground with 0.33 instead of a third, so it lies 1% of 3.33 m below the flags' feet.
        assert flight.ground[pad, 1] == pytest.approx(-1 / 30)
    with pytest.raises(ValueError, match="only the lander's flights"):
        flights.fly(Agent.of(PPO("MlpPolicy", "CartPole-v1"), "CartPole-v1"), fixed_tasks("CartPole-v1", 1))


def test_a_slice_asks_the_policy_itself() -> None:
    model = PPO(SeparateActorCriticPolicy, V3, policy_kwargs={"mirror": "lunar_lander"}, seed=0, device="cpu")
    found = flights.slice_policy(Agent.of(model, V3), others={3: -0.3})
    row, column = 20, 60
    observation = np.array([found.x[column], found.y[row], 0, -0.3, 0, 0, 0, 0], dtype=np.float32)
    action = model.predict(observation, deterministic=True)[0]
    assert (found.main[row, column], found.side[row, column]) == pytest.approx(tuple(action), abs=1e-6)
    assert found.value is not None
    value = model.policy.predict_values(model.policy.obs_to_tensor(observation)[0])
    assert found.value[row, column] == pytest.approx(value.item(), abs=1e-5)


def test_a_slice_of_four_actions_shows_the_engines_that_they_fire() -> None:
    model = PPO("MlpPolicy", DISCRETE, seed=0, device="cpu")
    # Near the ground the left engine left of the pad, the right one right of it; high up the main engine.
    weights, biases = th.zeros(4, 8), th.tensor([0.21, 0.0, -1.0, 0.0])
    weights[1, 0], weights[3, 0], weights[2, 1] = -1.0, 1.0, 1.6
    model.policy.mlp_extractor.policy_net = th.nn.Identity()
    model.policy.action_net = th.nn.Linear(8, 4)
    model.policy.action_net.load_state_dict({"weight": weights, "bias": biases})
    found = flights.slice_policy(Agent.of(model, DISCRETE), others={})
    assert found.main.shape == found.side.shape == (found.y.size, found.x.size)
    low, high = found.y == 0.0, found.y == 1.5
    np.testing.assert_array_equal(found.side[low][0], np.where(np.abs(found.x) > 0.21, np.sign(found.x), 0.0))
    assert (found.main[low] == -1.0).all()
    assert (found.main[high] == 1.0).all()
    assert (found.side[high] == 0.0).all()


def test_a_log_is_what_the_zoo_wrote(v2_run: ShortRun) -> None:
    run = Run.load(v2_run.folder)
    log = read_log(run, started=PPO.load(run.final_model or "", device="cpu").start_time / 1e9)
    assert log.evaluations is not None
    with np.load(run.path / "evaluations.npz") as written:
        np.testing.assert_array_equal(log.evaluations.steps, written["timesteps"])
        np.testing.assert_allclose(log.evaluations.values, written["results"].mean(axis=1))
    assert log.returns is not None
    assert log.returns.steps[-1] <= 16384
    assert (np.diff(log.returns.steps) > 0).all()
    assert len(log.scalars["train/value_loss"].steps) >= 3
    bare = read_log(Run.load(v2_run.folder), started=None)
    assert bare.scalars == {}


def test_a_band_covers_what_all_have() -> None:
    one = Series(np.array([0, 10, 20]), np.array([0.0, 1.0, 2.0]))
    other = Series(np.array([5, 25]), np.array([1.0, 3.0]))
    grid, values = band([one, other], points=4)
    np.testing.assert_allclose(grid, [5, 10, 15, 20])
    np.testing.assert_allclose(values, [[0.5, 1.0, 1.5, 2.0], [1.0, 1.5, 2.0, 2.5]])
