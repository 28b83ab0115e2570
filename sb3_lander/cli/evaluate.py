"""The command line of what looks at trained agents: ``evaluate``, ``export``, ``report`` and ``compare``."""

from __future__ import annotations

import argparse
import ast
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sb3_lander.evaluation.assessment import Assessed, Assessment

__all__ = [
    "add_compare_arguments",
    "add_evaluate_arguments",
    "add_export_arguments",
    "add_report_arguments",
    "run_compare",
    "run_evaluate",
    "run_export",
    "run_report",
]


def add_evaluate_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``evaluate``."""
    add = parser.add_argument
    add("path", type=Path, metavar="PATH", help="a run folder of the RL Zoo, or a model's .zip")
    add("--episodes", type=int, default=100, help="number of fixed tasks (default: %(default)s)")
    add("--first-seed", type=int, default=1_000_000, help="the first task's seed (default: %(default)s)")
    add("--checkpoints", action="store_true", help="every checkpoint of the run, in step order")
    add("--every", type=int, metavar="STEPS", help="only the checkpoints closest to the multiples of STEPS")
    add("--best", action="store_true", help="the run's best_model.zip instead of its final model")
    add("--env-kwargs", nargs="+", default=[], metavar="KEY:VALUE", help="as enable_wind:True wind_power:15.0")
    add("--stochastic", action="store_true", help="sample the actions instead of taking the most likely ones")
    add("--video", type=int, default=0, metavar="K", help="record the K worst, K median and K best episodes")
    add("--video-folder", type=Path, help="where the videos go (default: videos beside the model)")
    add("--json", type=Path, metavar="FILE", help="write the report and every episode")
    add("--csv", type=Path, metavar="FILE", help="write a row for each episode")
    add("--processes", type=int, metavar="P", help="worker processes (default: one a core from 300 episodes on)")
    add("--safe", action="store_true", help="run no code of the files, refuse what needs it")
    add("--algo", help="the algorithm (default: as the run or the model's settings tell)")
    add("--env", help="environment id (default: the run's, or LunarLanderContinuous-v3)")


def run_evaluate(arguments: argparse.Namespace) -> None:
    """Play fixed tasks, print the report and write what was asked for."""
    for file in (arguments.json, arguments.csv):
        if file is not None and not file.parent.is_dir():
            raise FileNotFoundError(f"no folder {file.parent} for {file.name}")
    env_kwargs = dict(_key_value(word) for word in arguments.env_kwargs)
    from sb3_lander.evaluation.assessment import Assessment

    assessment = Assessment(
        arguments.path,
        episodes=arguments.episodes,
        first_seed=arguments.first_seed,
        checkpoints=arguments.checkpoints,
        every=arguments.every,
        best=arguments.best,
        algo=arguments.algo,
        env_id=arguments.env,
        env_kwargs=env_kwargs,
        deterministic=not arguments.stochastic,
        safe=arguments.safe,
    )
    found: list[Assessed] = []
    try:
        for assessed in assessment.play(
            n_processes=arguments.processes,
            progress=sys.stderr.isatty(),
            videos=arguments.video,
            video_folder=arguments.video_folder,
        ):
            found.append(assessed)
    finally:
        # After Ctrl-C too: the checkpoints that were played to the end are not lost.
        if found:
            _hand_over(arguments, assessment, found, env_kwargs)


def _hand_over(
    arguments: argparse.Namespace, assessment: Assessment, found: list[Assessed], env_kwargs: dict[str, Any]
) -> None:
    from sb3_lander.evaluation import output as findings
    from sb3_lander.runs.files import write_text

    print(findings.table(found))
    if any(subject.borrowed for subject in assessment.subjects):
        print("note: models without normalisation statistics of their own were given the run's latest")
    written = [recording.path for assessed in found for recording in assessed.recordings.values()]
    if arguments.json is not None:
        write_text(arguments.json, findings.to_json(found, several=arguments.checkpoints))
        written.append(arguments.json)
    if arguments.csv is not None:
        write_text(arguments.csv, findings.to_csv(found))
        written.append(arguments.csv)
    if assessment.run is not None:
        started = (assessment.subjects[0].start_time or 0) / 1e9
        folder = assessment.run.tensorboard_folder(started, safe=arguments.safe)
        if folder is not None:
            try:
                written.append(findings.log(folder, found, env_kwargs))
            except OSError as error:
                print(f"note: nothing was added to the TensorBoard log {folder}: {error.strerror}")
    for path in written:
        print(f"wrote {path}")


def add_export_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``export``."""
    add = parser.add_argument
    add("path", type=Path, metavar="PATH", help="a run folder of the RL Zoo, or a model's .zip")
    add("--onnx", type=Path, required=True, metavar="FILE", help="the file to write")
    add("--best", action="store_true", help="the run's best_model.zip instead of its final model")
    add("--safe", action="store_true", help="run no code of the files, refuse what needs it")
    add("--algo", help="the algorithm (default: as the run or the model's settings tell)")
    add("--env", help="environment id (default: the run's, or LunarLanderContinuous-v3)")


def run_export(arguments: argparse.Namespace) -> None:
    """Write the policy as ONNX."""
    from sb3_lander.agents.onnx import export
    from sb3_lander.evaluation.assessment import Assessment

    assessment = Assessment(
        arguments.path, best=arguments.best, safe=arguments.safe, algo=arguments.algo, env_id=arguments.env
    )
    difference = export(assessment, arguments.onnx)
    print(f"wrote {arguments.onnx}; onnxruntime and torch differ by at most {difference:.1e} on 10,000 observations")


def add_report_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``report``."""
    what = "run folders of the RL Zoo: one, or several seeds side by side"
    parser.add_argument("paths", nargs="+", type=Path, metavar="RUN", help=what)
    _page_arguments(parser, "report.html")


def run_report(arguments: argparse.Namespace) -> None:
    """Write the page."""
    from sb3_lander.report.run_page import report

    for path in report(
        arguments.paths,
        arguments.out,
        episodes=arguments.episodes,
        figures=arguments.figures,
        progress=sys.stderr.isatty(),
    ):
        print(f"wrote {path}")


def add_compare_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``compare``."""
    what = "a benchmark's JSON, a run folder of the RL Zoo, or a folder of runs that are one configuration's seeds"
    parser.add_argument("paths", nargs="+", type=Path, metavar="A", help=what)
    _page_arguments(parser, "compare.html")


def _page_arguments(parser: argparse.ArgumentParser, page: str) -> None:
    add = parser.add_argument
    add("-o", "--out", type=Path, default=Path(page), help="the page (default: %(default)s)")
    add("--episodes", type=int, default=100, help="fixed tasks for each run (default: %(default)s)")
    add("--figures", type=Path, metavar="DIR", help="save the pictures as SVG and PNG too, for papers")


def run_compare(arguments: argparse.Namespace) -> None:
    """Write the page."""
    from sb3_lander.report.comparison import compare, read_configurations

    progress = sys.stderr.isatty()
    found = [
        one
        for path in arguments.paths
        for one in read_configurations(path, episodes=arguments.episodes, progress=progress)
    ]
    for path in compare(found, arguments.out, figures=arguments.figures):
        print(f"wrote {path}")


def _key_value(word: str) -> tuple[str, Any]:
    """Read ``key:value`` as the Zoo's ``--env-kwargs``, but only values that are Python literals."""
    key, _, text = word.partition(":")
    try:
        if not key.isidentifier():
            raise ValueError(f"{key!r} is not a name")
        return key, ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError) as error:
        raise ValueError(f"--env-kwargs {word}: write key:value with a Python literal, as wind_power:15.0") from error
