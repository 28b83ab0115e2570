"""The hook into the RL Zoo: its commands use this package's hyperparameters for this package's ids.

``rl_zoo3.import_envs`` imports a module named ``custom_envs``; ours calls :func:`register`. From then on the Zoo's
``ExperimentManager(...)`` yields a :class:`~sb3_lander.zoo.manager.LanderExperimentManager` for our environment ids.
"""

import importlib
from types import ModuleType
from typing import Any

import sb3_lander
from sb3_lander.envs.registration import ENV_IDS, register_envs, use_dummy_display_if_headless


def register() -> None:
    """Register the environment ids, and make the RL Zoo's commands use this package for them.

    Safe to call many times, and at any moment of the Zoo's own import. Other environments are untouched.
    """
    register_envs()
    use_dummy_display_if_headless()
    module = importlib.import_module("rl_zoo3.exp_manager")
    # The Zoo evaluates an entry's replay_buffer_class among that module's names, for any environment.
    importlib.import_module("sb3_lander.policies")
    vars(module)["sb3_lander"] = sb3_lander
    if "ExperimentManager" in vars(module):
        _install(vars(module)["ExperimentManager"])
    elif not isinstance(module, _UnfinishedModule):
        module.__class__ = _UnfinishedModule


class _UnfinishedModule(ModuleType):
    """The class of ``rl_zoo3.exp_manager`` from the moment it imports ``custom_envs`` until its first use.

    ``record_video`` and user code import ``rl_zoo3.exp_manager`` before anything else, so our hook runs while that
    module has not defined ``ExperimentManager`` yet. A property of the module's type is looked up before the module's
    own names: it installs the hook when somebody first asks for the class, and then goes away.
    """

    @property
    def ExperimentManager(self) -> Any:  # noqa: N802 - the Zoo's name
        if "ExperimentManager" not in vars(self):
            raise AttributeError(f"module {self.__name__!r} has no attribute 'ExperimentManager' yet")
        self.__class__ = ModuleType  # type: ignore[assignment] # a module may change its class; mypy models no such change
        return _install(vars(self)["ExperimentManager"])


def _install(manager: Any) -> Any:
    """Let it construct our subclass for our ids; changed in place, as ``train --gym-packages`` has bound its name."""
    if "__new__" in vars(manager):
        return manager

    def new(cls: type, args: Any = None, algo: str = "", env_id: str = "", *rest: Any, **kwargs: Any) -> Any:
        if cls is manager and env_id in ENV_IDS:
            from sb3_lander.zoo.manager import LanderExperimentManager

            cls = LanderExperimentManager  # Python goes on to call the __init__ of the class that it gets back
        return object.__new__(cls)

    manager.__new__ = new
    return manager
