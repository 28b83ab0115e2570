"""Which training environments run on EnvPool, and which in several processes."""

import inspect
import multiprocessing
from collections.abc import Callable
from typing import Any

import gymnasium as gym
from gymnasium.envs.registration import EnvSpec, load_env_creator
from gymnasium.wrappers import OrderEnforcing, PassiveEnvChecker, TimeLimit
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv

from sb3_lander.envs.batched_subproc_vec_env import BatchedSubprocVecEnv
from sb3_lander.envs.cores import usable_cores
from sb3_lander.envs.envpool_vec_env import EnvPoolVecEnv
from sb3_lander.envs.registration import ENV_IDS, SuccessWrapper

# The ids that prefer_envpool moves: this package's tests compare EnvPool's with gymnasium's.
SERVED_IDS = (*ENV_IDS, "BipedalWalker-v3", "CartPole-v1", "Pendulum-v1")

# Gymnasium's own. The RL Zoo, once imported, has put a subclass in its place that differs in one entry of the info.
_TIME_LIMIT: type = next(cls for cls in TimeLimit.__mro__ if cls.__module__.startswith("gymnasium."))
_KNOWN_WRAPPERS = {Monitor, OrderEnforcing, PassiveEnvChecker, SuccessWrapper, _TIME_LIMIT}

# Landers from which processes are faster than DummyVecEnv: with 8 on two cores they are level.
_PROCESSES_FROM = 16


class _StayError(Exception):
    """Why the environments stay on gymnasium."""


def movable_dummy_vec_env(env_fns: list[Callable[[], gym.Env[Any, Any]]]) -> DummyVecEnv:
    """Make a ``DummyVecEnv`` that :func:`prefer_envpool` can also make again in several processes."""
    venv = DummyVecEnv(env_fns)
    vars(venv)["env_fns"] = env_fns
    return venv


def prefer_envpool(venv: VecEnv, *, training: bool | None = None, envpool: bool = True) -> VecEnv:
    """Move training envs to where they run fastest; print one line saying which that is and why.

    For the RL Zoo's YAML: ``vec_env_wrapper: sb3_lander.envs.prefer_envpool``. EnvPool is the first choice, and writes
    on in the same monitor files. Where it does not simulate the same (not installed, wind or another env option, a
    wrapper or a render mode that it lacks), 16 envs or more that :func:`movable_dummy_vec_env` made run in one process
    for each core. Either has the same number of envs, spaces, seeds and success threshold, and ``venv`` is closed.
    Everything else stays as it is: SubprocVecEnv, a few envs, an env for evaluation.

    :param venv: What ``make_vec_env`` returned.
    :param training: Whether these are for training; None infers it: a training env logs episodes to a monitor file.
    :param envpool: False leaves EnvPool out, to compare or to do without.
    :return: An :class:`EnvPoolVecEnv`, a :class:`BatchedSubprocVecEnv`, or ``venv`` itself.
    """
    try:
        if not envpool:
            raise _StayError("envpool: false was given")
        fast = _move(venv, training)
    except _StayError as reason:
        venv, processes = _in_processes(venv, training)
        print(f"Environments: gymnasium {type(venv).__name__}{processes} ({reason})")
        return venv
    limit, threads = fast.max_episode_steps, fast.num_threads
    shorter = "" if limit == getattr(fast.spec, "max_episode_steps", None) else f", episodes of at most {limit} steps"
    print(f"Environments: EnvPool, {fast.num_envs} x {fast.task_id} on {threads} thread{'s' * (threads > 1)}{shorter}")
    return fast


def _in_processes(venv: VecEnv, training: bool | None) -> tuple[VecEnv, str]:
    """Make training envs again in one process for each core, where that is faster; return them, and how many."""
    env_fns = getattr(venv, "env_fns", None)
    # A daemonic process, as some pools have, may start none of its own.
    may_start = len(usable_cores()) > 1 and not multiprocessing.current_process().daemon
    if not training or env_fns is None or venv.num_envs < _PROCESSES_FROM or not may_start:
        return venv, ""
    # First, since both write the same monitor files.
    venv.close()
    moved: VecEnv
    try:
        moved = BatchedSubprocVecEnv(env_fns)
        words = f", {venv.num_envs} in {moved.n_workers} processes"
    except Exception as error:  # whatever keeps the processes from starting, one process can do without them
        moved = DummyVecEnv(env_fns)
        words = f", as processes did not start: {error}"
    _take_over(moved, venv)
    return moved, words


def _take_over(moved: VecEnv, venv: VecEnv) -> None:
    """Give the new envs the seeds, options and spaces of the old ones."""
    moved._seeds, moved._options = list(venv._seeds), list(venv._options)
    # The old spaces carry make_vec_env's seed for random actions.
    moved.observation_space, moved.action_space = venv.observation_space, venv.action_space


def _move(venv: VecEnv, training: bool | None) -> EnvPoolVecEnv:
    if type(venv) is not DummyVecEnv:
        raise _StayError(f"{type(venv).__name__} was asked for")
    if any(venv._options):
        raise _StayError("EnvPool's resets take no options")
    chains = [_chain(env) for env in venv.envs]
    monitors = [_monitor(chain) for chain in chains]
    if training is None:
        training = all(monitor.results_writer is not None for monitor in monitors)
    if not training:
        raise _StayError("evaluation runs on gymnasium")
    if venv.num_envs == 1:
        raise _StayError("a single env gains nothing from threads")
    ids = {env.spec.id if env.spec else str(env) for env in venv.envs}
    if len(ids) > 1 or not ids <= set(SERVED_IDS):
        raise _StayError(f"EnvPool's part is only checked for {', '.join(SERVED_IDS)}, not {', '.join(sorted(ids))}")
    (task_id,) = ids
    tasks = {_check_task(chain, gym.spec(task_id)) for chain in chains}
    if len(tasks) > 1:
        raise _StayError("the envs have different time limits or different success thresholds")
    ((limit, threshold),) = tasks
    try:
        fast = EnvPoolVecEnv(task_id, venv.num_envs, seed=0, env_kwargs={"max_episode_steps": limit})
    except ImportError as error:
        raise _StayError(str(error)) from error
    fast.success_threshold = threshold
    _take_over(fast, venv)
    for i, monitor in enumerate(monitors):
        fast._writers[i], monitor.results_writer = monitor.results_writer, None
        fast._t_start[i] = monitor.t_start
    venv.close()
    return fast


def _chain(env: gym.Env[Any, Any]) -> list[gym.Env[Any, Any]]:
    """Return the env's wrappers, outermost first, and then the simulator itself."""
    chain = [env]
    while isinstance(chain[-1], gym.Wrapper):
        chain.append(chain[-1].env)
    return chain


def _monitor(chain: list[gym.Env[Any, Any]]) -> Monitor[Any, Any]:
    monitors = [wrapper for wrapper in chain if type(wrapper) is Monitor]
    if len(monitors) != 1:
        raise _StayError(f"EnvPool logs as exactly one Monitor does, here there are {len(monitors)}")
    if monitors[0].info_keywords or monitors[0].reset_keywords or not monitors[0].allow_early_resets:
        raise _StayError("the Monitor has options that EnvPool's log does not have")
    return monitors[0]


def _check_task(chain: list[gym.Env[Any, Any]], registered: EnvSpec) -> tuple[int, float | None]:
    """Return the task's time limit and success threshold; raise unless EnvPoolVecEnv stands in for all of it."""
    *wrappers, simulator = chain
    for wrapper in wrappers:
        if type(wrapper) not in {*_KNOWN_WRAPPERS, gym.wrappers.TimeLimit}:
            raise _StayError(f"EnvPool does not have the wrapper {type(wrapper).__name__}")
    thresholds = [wrapper.threshold for wrapper in wrappers if isinstance(wrapper, SuccessWrapper)]
    if len(thresholds) > 1:
        raise _StayError("there is more than one SuccessWrapper")
    if (mode := simulator.render_mode) is not None:
        raise _StayError(f"render_mode is {mode!r}: give env_kwargs={{'render_mode': None}} to train without pictures")
    limits = [vars(wrapper)["_max_episode_steps"] for wrapper in wrappers if isinstance(wrapper, _TIME_LIMIT)]
    if len(limits) != 1 or limits[0] > (registered.max_episode_steps or 0):
        raise _StayError(f"EnvPool has one time limit of at most {registered.max_episode_steps} steps, not {limits}")
    creator: Any = registered.entry_point
    simulator_class = load_env_creator(creator) if isinstance(creator, str) else creator
    if type(simulator) is not simulator_class:
        raise _StayError(f"EnvPool does not have the simulator {type(simulator).__name__}")
    parameters = inspect.signature(simulator_class).parameters
    defaults = {name: parameter.default for name, parameter in parameters.items()} | registered.kwargs
    given = defaults | (simulator.spec.kwargs if simulator.spec else {})
    for name, standard in defaults.items():
        # The attribute counts where there is one: it may have been changed since the env was made.
        value = getattr(simulator, name, given[name])
        if name != "render_mode" and value != standard:
            raise _StayError(f"EnvPool has only {name}={standard}, not {value}")
    return limits[0], (thresholds[0] if thresholds else None)
