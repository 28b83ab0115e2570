"""sb3-lander: train, evaluate and ship agents for ``LunarLanderContinuous`` with stock Stable-Baselines3.

The modules, from the lowest to the highest; each imports only from those above it::

    picture          a figure for light and dark pages, with a text that says the same
    machine          what a figure was made on and with
    lifeline         processes that end with the one that started them
    envs             the environment ids, the success flag, rendering without a display
    symmetry         MirrorSymmetry: which observations and actions change sign or place
    flat             all parameters in one tensor, for the optimizer
    networks         the MLPs, and the Gaussian they parametrise
    options          which of the policy's options make sense together
    policies         SeparateActorCriticPolicy
    envpool_tasks    what EnvPool can simulate, in gymnasium's terms
    envpool_vec_env  EnvPoolVecEnv
    vec_env          which training environments run on EnvPool
    short_episodes   training episodes that are cut early at first
    std_annealing    the noise that dies down towards the end of a training
    landing          how an episode ended: outcome, fuel, touchdown
    episodes         Task, Episode, EvaluationReport
    player           plays tasks so that no result depends on its neighbours
    evaluation       fixed tasks -> EvaluationReport
    video            one episode of a fixed task as MP4 and GIF
    saving           files that are whole at any moment
    archive          a model's .zip, read without unpickling
    runs             a run folder of the RL Zoo, read
    callbacks        checkpoints, videos and the moment of success during a training
    settings         the YAML files: where they are, and whether an entry can work
    parameter        one hyperparameter that a search varies: a range or choices
    search_space     what a search may vary, in YAML or as the Zoo has it
    experiment       the RL Zoo's experiment manager, for our ids
    zoo              register(): the one hook into the RL Zoo
    resume           continues an interrupted run
    agents           load_policy(): an agent from a file that nobody vouches for
    subjects         which saved models to evaluate, and loading those that are trusted
    assessment       the models of a run on fixed tasks
    flights          the paths of fixed tasks, and what the policy does where
    training_log     what a run wrote down while it trained
    training_figures  pictures of trainings
    evaluation_figures  pictures of an evaluation
    pages            pages that are one file, and pictures as files
    report           a page about one or several runs
    export           a policy as ONNX
    findings         what an assessment leaves: table, JSON, CSV, TensorBoard
    statistics       interquartile means, medians and ratios with intervals
    model_card       an agent's README.md for the Hugging Face Hub
    hub              the Zoo's upload to the Hugging Face Hub
    comparison       several configurations side by side
    recipes          what a benchmark trains and how it watches
    training         one timed training of one recipe
    benchmark        many seeds of many recipes
    storages         where a study lives: a journal file or PostgreSQL
    shared_work      pieces of work that any number of processes share out
    workers          processes that do it, watched
    shared_benchmark a benchmark that machines share out
    search           what a study searches, and what a trial is worth
    tuning           the study: its trials and its workers
    ranking          its best trials, judged again on fresh seeds
    study_plots      a study as text and pictures
    benchmark_cli    python -m sb3_lander benchmark
    evaluate_cli     python -m sb3_lander evaluate, export, report
    tune_cli         python -m sb3_lander tune
    cli              python -m sb3_lander VERB

Importing this package registers ``LunarLanderContinuous-v2`` with gymnasium and imports neither torch nor
rl_zoo3; the public names below are imported when first used. Where the RL Zoo is already loaded (its
``--gym-packages sb3_lander``), importing also registers the hyperparameters with it.
"""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any

from sb3_lander.envs import ENV_IDS, SuccessWrapper, register_envs

if TYPE_CHECKING:
    from sb3_lander.evaluation import EvaluationReport, Task, evaluate, fixed_tasks
    from sb3_lander.policies import SeparateActorCriticPolicy
    from sb3_lander.symmetry import MirrorSymmetry
    from sb3_lander.vec_env import EnvPoolVecEnv

__version__ = "0.1.0"

__all__ = [
    "ENV_IDS",
    "EnvPoolVecEnv",
    "EvaluationReport",
    "MirrorSymmetry",
    "SeparateActorCriticPolicy",
    "SuccessWrapper",
    "Task",
    "__version__",
    "evaluate",
    "fixed_tasks",
]

_HOME = {
    "EnvPoolVecEnv": "vec_env",
    "EvaluationReport": "evaluation",
    "MirrorSymmetry": "symmetry",
    "SeparateActorCriticPolicy": "policies",
    "Task": "evaluation",
    "evaluate": "evaluation",
    "fixed_tasks": "evaluation",
}


def __getattr__(name: str) -> Any:
    """Import a public name from its module on first use (PEP 562), so that torch loads only when needed."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)


register_envs()
if "rl_zoo3" in sys.modules:
    from sb3_lander.zoo import register as _register

    _register()
