"""Commands that judge models: ``evaluate`` and ``weather`` play fixed tasks, ``report`` and ``compare`` write pages."""

import argparse
import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sb3_lander.cli import add_command, add_model_arguments, add_playing_arguments, env_kwargs, pick

if TYPE_CHECKING:
    from sb3_lander.evaluation.output import Evaluated

_SEVERAL_PROCESSES_FROM = 300  # tasks from which starting processes takes less time than it saves


def add_to(commands: Any) -> None:
    """Add the commands of this module."""
    summary = "Play fixed tasks with a saved model, or with every checkpoint of a run, and report."
    parser = add_command(commands, "evaluate", _evaluate, summary)
    add_model_arguments(parser)
    add_playing_arguments(parser)
    add = parser.add_argument
    _add_tasks(parser, "number of fixed tasks", "one a core from 300 episodes on")
    add("--checkpoints", action="store_true", help="every checkpoint of the run, in step order")
    add("--every", type=int, metavar="STEPS", help="only the checkpoints closest to the multiples of STEPS")
    add("--video", type=int, default=0, metavar="K", help="record the K worst, K median and K best episodes")
    add("--video-folder", type=Path, help="where the videos go (default: videos beside the model)")
    add("--csv", type=Path, metavar="FILE", help="write a row for each episode")

    summary = "Play fixed tasks with a saved model in each of many winds and gravities, and report."
    parser = add_command(commands, "weather", _weather, summary)
    add_model_arguments(parser, default="the agent that ships for any weather")
    add = parser.add_argument
    add("--gravity", type=float, nargs="+", metavar="G", help="between -12 and 0 (default: -2 to -11.9, six of them)")
    add("--wind", type=float, nargs="+", metavar="W", help="power of the wind, 0 to 20 (default: 0 5 10 15 20)")
    what = "power of the turbulence, 0 to 2 (default: a tenth of the wind's, as gymnasium's 1.5 for 15)"
    add("--turbulence", type=float, metavar="T", help=what)
    _add_tasks(parser, "fixed tasks in each weather", "one a core")
    add("--figures", type=Path, metavar="DIR", help="save the table as a heat map, SVG and PNG")

    summary = "Write a page with figures and videos of runs, in one file."
    what = "run folders of the RL Zoo: one, or several seeds side by side"
    _add_page(commands, "report", _report, summary, "RUN", what)
    summary = "Write a page that compares configurations over their seeds."
    what = "a benchmark's JSON, a run folder of the RL Zoo, or a folder of runs that are one configuration's seeds"
    _add_page(commands, "compare", _compare, summary, "A", what)


def _add_tasks(parser: argparse.ArgumentParser, episodes: str, processes: str) -> None:
    add = parser.add_argument
    add("--episodes", type=int, default=100, help=f"{episodes} (default: %(default)s)")
    add("--first-seed", type=int, default=1_000_000, help="the first task's seed (default: %(default)s)")
    add("--json", type=Path, metavar="FILE", help="write the report and every episode")
    add("--processes", type=int, metavar="P", help=f"worker processes (default: {processes})")
    add("--cluster", metavar="WHERE", help="play on a Dask cluster: its scheduler's address, or --scheduler-file")


def _add_page(commands: Any, name: str, run: Any, summary: str, path: str, what: str) -> None:
    add = add_command(commands, name, run, summary).add_argument
    add("paths", nargs="+", type=Path, metavar=path, help=what)
    add("-o", "--out", type=Path, default=Path(f"{name}.html"), help="the page (default: %(default)s)")
    add("--episodes", type=int, default=100, help="fixed tasks for each run (default: %(default)s)")
    add("--figures", type=Path, metavar="DIR", help="save the figures as SVG and PNG too, for papers")
    add("--trust", action="store_true", help="unpickle the runs' files, which can run any code of their author")


def _evaluate(arguments: argparse.Namespace) -> None:
    _check(arguments)
    arguments.env_kwargs = env_kwargs(arguments.env_kwargs)
    from sb3_lander.agents.agent import Agent
    from sb3_lander.envs.cores import usable_cores
    from sb3_lander.evaluation.evaluator import evaluate
    from sb3_lander.evaluation.output import Evaluated
    from sb3_lander.evaluation.task import fixed_tasks
    from sb3_lander.evaluation.video import record_extremes
    from sb3_lander.parallel.cluster import open_executor

    options = pick(arguments, "trust", "algo", "env_id", "env_kwargs")
    if arguments.checkpoints:
        agents = Agent.load_checkpoints(arguments.path, every=arguments.every, **options)
    else:
        agents = iter([Agent.load(arguments.path, best=arguments.best, **options)])
    several = arguments.episodes >= _SEVERAL_PROCESSES_FROM
    processes = (len(usable_cores()) if several else 1) if arguments.processes is None else arguments.processes
    results: list[Evaluated] = []
    with contextlib.ExitStack() as stack:
        # After Ctrl-C too: the checkpoints that were played to the end are not lost.
        stack.callback(_hand_over, arguments, results)
        executor = None
        if arguments.cluster is not None:
            executor = stack.enter_context(open_executor(arguments.cluster, arguments.processes))
        for agent in agents:
            assert agent.model is not None
            folder = arguments.video_folder or agent.model.parent / "videos"
            if arguments.video:
                try:
                    folder.mkdir(parents=True, exist_ok=True)
                except OSError as error:
                    raise ValueError(f"cannot make the folder {folder} for the videos: {error.strerror}") from error
            what: Any = {"first_seed": arguments.first_seed, "env_kwargs": agent.env_kwargs}
            tasks = fixed_tasks(agent.env_id, arguments.episodes, **what)
            how: Any = {"n_processes": processes, "executor": executor, "progress": sys.stderr.isatty()}
            report = evaluate(agent, tasks, deterministic=not arguments.stochastic, **how)
            videos = record_extremes(agent, report, arguments.video, folder) if arguments.video else {}
            results.append(Evaluated(agent, report, videos))


def _check(arguments: argparse.Namespace) -> None:
    """Refuse what cannot work before any work."""
    _check_folders(arguments.json, arguments.csv)
    if arguments.checkpoints and arguments.best:
        raise ValueError("checkpoints and best exclude each other: the best model is one model")
    if arguments.every is not None and not arguments.checkpoints:
        raise ValueError(f"every={arguments.every} thins out the checkpoints: ask for checkpoints too")
    if arguments.video < 0:
        raise ValueError(f"the number of videos must be >= 0, got {arguments.video}")


def _check_folders(*files: Path | None) -> None:
    for file in files:
        if file is not None and not file.parent.is_dir():
            raise FileNotFoundError(f"no folder {file.parent} for {file.name}")


def _hand_over(arguments: argparse.Namespace, results: "list[Evaluated]") -> None:
    from sb3_lander.evaluation import output
    from sb3_lander.runs.files import write_text

    if not results:
        return
    print(output.table(results))
    if any(one.agent.borrowed for one in results):
        print("note: models without normalisation statistics of their own were given the run's latest")
    written = [recording.path for one in results for recording in one.recordings.values()]
    if arguments.json is not None:
        write_text(arguments.json, output.to_json(results, several=arguments.checkpoints))
    if arguments.csv is not None:
        write_text(arguments.csv, output.to_csv(results))
    written += filter(None, (arguments.json, arguments.csv))
    agent = results[0].agent
    folder = None if agent.run is None else agent.run.tensorboard_folder(agent.started or 0.0)
    if folder is not None:
        try:
            written.append(output.log(folder, results, arguments.env_kwargs))
        except OSError as error:
            print(f"note: nothing was added to the TensorBoard log {folder}: {error.strerror}")
    for path in written:
        print(f"wrote {path}")


def _weather(arguments: argparse.Namespace) -> None:
    _check_folders(arguments.json)
    from sb3_lander.agents.agent import Agent, shipped_agent
    from sb3_lander.envs.cores import usable_cores
    from sb3_lander.parallel.cluster import open_executor
    from sb3_lander.report.pages import save_plots
    from sb3_lander.report.weather import GRAVITIES, WINDS, weather_grid
    from sb3_lander.runs.files import write_text

    path = arguments.path or shipped_agent(weather=True)
    agent = Agent.load(path, **pick(arguments, "best", "trust", "algo", "env_id"))
    processes = arguments.processes
    if processes is None and arguments.cluster is None:
        processes = len(usable_cores())
    options: Any = {**pick(arguments, "turbulence", "episodes", "first_seed"), "progress": sys.stderr.isatty()}
    with open_executor(arguments.cluster, processes) as executor:
        grid = weather_grid(
            agent, executor, gravities=arguments.gravity or GRAVITIES, winds=arguments.wind or WINDS, **options
        )
    print(grid)
    written = [] if arguments.figures is None else save_plots({"": [grid.plot()]}, arguments.figures)
    if arguments.json is not None:
        write_text(arguments.json, grid.to_json())
        written.append(arguments.json)
    for path in written:
        print(f"wrote {path}")


def _report(arguments: argparse.Namespace) -> None:
    from sb3_lander.report.run_page import report

    options = pick(arguments, "episodes", "figures", "trust")
    for path in report(arguments.paths, arguments.out, progress=sys.stderr.isatty(), **options):
        print(f"wrote {path}")


def _compare(arguments: argparse.Namespace) -> None:
    from sb3_lander.report.comparison import compare, read_configurations

    options = {"progress": sys.stderr.isatty(), **pick(arguments, "episodes", "trust")}
    found = [one for path in arguments.paths for one in read_configurations(path, **options)]
    for path in compare(found, arguments.out, figures=arguments.figures):
        print(f"wrote {path}")
