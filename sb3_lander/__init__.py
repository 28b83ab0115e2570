"""sb3-lander: train, evaluate and ship agents for the lunar lander with stock Stable-Baselines3.

The rooms, from the ground up; a module imports only from its own room and those before it::

    envs         the ids, the success flag, vectorised environments, and which is used when
    policies     SeparateActorCriticPolicy, its networks, mirror symmetry
    runs         what lies on disk: the Zoo's run folder, a model's zip, YAML entries, whole files
    parallel     a function over items, on processes of this machine or on a Dask cluster
    agents       Agent: a policy ready to act; loading it safely; ONNX; the agents that ship
    evaluation   fixed tasks, rollouts, EvaluationReport, videos, statistics
    callbacks    what acts during a training
    zoo          the hook into the RL Zoo, its experiment manager for our ids, resuming
    benchmark    many seeds of many recipes, timed
    tuning       a search with Optuna, and its ranking on fresh seeds
    report       figures and pages for people
    cli          python -m sb3_lander: parse, call, print

Importing this package registers ``LunarLanderContinuous-v2`` and ``LunarLander-v2`` with gymnasium and imports
neither torch nor rl_zoo3; the public names are imported when first used. Where the RL Zoo is already loaded (its
``--gym-packages sb3_lander``), importing also registers the hyperparameters with it.
"""

import sys

import lazy_loader

from sb3_lander.envs.registration import register_envs

__version__ = "0.2.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
__all__ += ["__version__"]

# Modules under the names that released YAML entries and saved runs give them.
__path__.append(f"{__path__[0]}/moved")

register_envs()
if "rl_zoo3" in sys.modules:
    from sb3_lander.zoo.hook import register as _register

    _register()
