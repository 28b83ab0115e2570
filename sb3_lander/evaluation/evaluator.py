"""Fixed tasks -> :class:`EvaluationReport`: figures that repeat to the last bit.

The same model and tasks give the same report, whatever the number of environments and processes, the order of the tasks
or the load of the machine; :mod:`sb3_lander.evaluation.rollout` says how. Another CPU or torch may round differently.
"""

from __future__ import annotations

import contextlib
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import replace
from typing import Any

import cloudpickle  # type: ignore[import-untyped]  # it ships no types
from gymnasium import spaces
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.preprocessing import is_image_space
from stable_baselines3.common.type_aliases import PolicyPredictor
from stable_baselines3.common.vec_env import VecTransposeImage
from tqdm import tqdm  # type: ignore[import-untyped]  # it ships no types

from sb3_lander.agents.agent import Agent, ObsNormalizer
from sb3_lander.agents.environment import AgentEnv, EnvWrapper, find_spec
from sb3_lander.evaluation.outcome import Episode
from sb3_lander.evaluation.report import EvaluationReport
from sb3_lander.evaluation.rollout import Rollout
from sb3_lander.evaluation.task import Task, check_at_least_one
from sb3_lander.parallel.executors import ProcessExecutor, run


def evaluate(
    model: Agent | BaseAlgorithm | PolicyPredictor,
    tasks: Sequence[Task],
    *,
    deterministic: bool = True,
    vec_normalize: ObsNormalizer | None = None,
    env_wrapper: EnvWrapper | None = None,
    success_threshold: float | None = None,
    n_envs: int = 32,
    n_processes: int = 1,
    executor: Executor | None = None,
    batch_size: int = 32,
    progress: bool = False,
) -> EvaluationReport:
    """Play each task once and report.

    Global state that a running training needs (torch's threads and the random numbers) is left as it was.
    With several processes a script needs the ``if __name__ == "__main__":`` guard, as for ``SubprocVecEnv``.

    :param model: An agent; an SB3 or sb3-contrib algorithm, whose policy is used; or anything with SB3's
        ``predict(observation, state, episode_start, deterministic)`` for a batch of observations, whose answers must
        depend on these arguments only, not on earlier calls.
    :param tasks: Tasks of one environment (same id and keyword arguments), each seed once.
    :param deterministic: Take the policy's most likely action. If False, a process plays one episode after another,
        with torch's and numpy's random numbers seeded by the task: slower, and as repeatable.
    :param vec_normalize: SB3's ``VecNormalize`` statistics, or anything with its ``normalize_obs``; the model's or the
        agent's own when None. Rewards are never normalised.
    :param env_wrapper: Applied to every environment, for models that see wrapped observations; the agent's own when
        None. Returns and lengths are counted inside it, so it cannot change them.
    :param success_threshold: The return that counts as a success; the environment's ``reward_threshold`` when None (200
        for the lander).
    :param n_envs: Environments in flight per process; no effect on the report. 32 is a good value: fewer leave rows of
        a batch empty, more bring little.
    :param n_processes: Worker processes; no effect on the report. Starting the first ones costs some seconds, so 1 is
        best below a few hundred episodes.
    :param executor: What plays instead, such as a :class:`~sb3_lander.parallel.ClusterExecutor`; no effect on the
        report from machines that are alike.
    :param batch_size: Observations per call of ``predict``. The one option that can change the last digits, and so the
        flights: 1 is as SB3's ``evaluate_policy`` with one environment, in about four times the time.
    :param progress: Show a progress bar.
    :raises ValueError: If the tasks are empty, repeat a seed or mix environments, the environment cannot be made or
        declares no threshold, the model's spaces do not fit, or a number is below 1.
    """
    for name, number in (("n_envs", n_envs), ("n_processes", n_processes), ("batch_size", batch_size)):
        check_at_least_one(name, number)
    task = _only_environment(tasks)
    agent = as_agent(model, task, env_wrapper, vec_normalize)
    spec = find_spec(task.env_id)
    threshold = spec.reward_threshold if success_threshold is None else success_threshold
    if threshold is None:
        raise ValueError(f"{task.env_id} declares no reward_threshold: say what is a success, success_threshold=...")
    kwargs, threshold = dict(task.env_kwargs), float(threshold)
    rollout = Rollout(
        agent.policy, spec, kwargs, threshold, agent.env.wrapper, agent.vec_normalize, deterministic, n_envs, batch_size
    )
    _check_spaces(agent.policy, rollout)
    rollout = rollout.settled()
    # Sorted, so that a report on the same tasks in another order is made in the very same way.
    seeds = sorted(task.seed for task in tasks)
    with contextlib.ExitStack() as stack:
        if executor is None and n_processes == 1:
            played: Iterator[Episode] = stack.enter_context(contextlib.closing(rollout.play(seeds)))
        else:
            executor = executor or stack.enter_context(ProcessExecutor(n_processes))
            played = _play_on(executor, getattr(executor, "workers", n_processes) or 1, rollout, seeds)
        episodes = tuple(tqdm(played, total=len(seeds), unit="episode", disable=not progress))
    return EvaluationReport(task.env_id, kwargs, deterministic, threshold, episodes)


def as_agent(
    model: Agent | BaseAlgorithm | PolicyPredictor,
    task: Task,
    env_wrapper: EnvWrapper | None,
    norm: ObsNormalizer | None,
) -> Agent:
    """Return the model as an agent for a task's environment, as :func:`evaluate` takes it."""
    if not isinstance(model, Agent):
        return Agent.of(model, task.env_id, task.env_kwargs, env_wrapper=env_wrapper, vec_normalize=norm)
    env = AgentEnv(task.env_id, dict(task.env_kwargs), env_wrapper or model.env.wrapper)
    return replace(model, env=env, vec_normalize=model.vec_normalize if norm is None else norm)


def _only_environment(tasks: Sequence[Task]) -> Task:
    """Return the first task, after checking that the others differ from it by their seed only."""
    if not tasks:
        raise ValueError("there are no tasks to evaluate: pass at least one, as fixed_tasks(env_id, n) makes them")
    first = tasks[0]
    for task in tasks:
        if (task.env_id, task.env_kwargs) != (first.env_id, first.env_kwargs):
            others = f"{first.env_id} {first.env_kwargs} and of {task.env_id} {task.env_kwargs}"
            raise ValueError(f"a report is on one environment, got tasks of {others}: call evaluate once for each")
    seed, times = Counter(task.seed for task in tasks).most_common(1)[0]
    if times > 1:
        raise ValueError(f"the seed {seed} occurs twice: give each task a seed of its own")
    return first


def _check_spaces(model: object, rollout: Rollout) -> None:
    """Compare what the model was built for with what it will meet."""
    env_id, (shown, taken) = rollout.env_spec.id, rollout.env_spaces
    if rollout.normalizer is not None and not hasattr(rollout.normalizer, "normalize_obs"):
        raise ValueError(f"vec_normalize must be a VecNormalize, got {rollout.normalizer!r}")
    # Bounds of observations have moved between gymnasium's releases without any effect on a model.
    for name, part in (("the model does", model), ("the normalisation statistics do", rollout.normalizer)):
        observed = getattr(part, "observation_space", None)
        if observed is not None and not _same_shape(observed, shown):
            seen = f"{observed} was observed in training, the environment shows {shown}"
            raise ValueError(f"{name} not fit {env_id}: {seen}")
    acted = getattr(model, "action_space", None)
    if acted is not None and acted != taken:
        raise ValueError(f"the model does not fit {env_id}: it acts in {acted}, the environment takes {taken}")


def _same_shape(theirs: spaces.Space[Any], ours: spaces.Space[Any]) -> bool:
    if isinstance(theirs, spaces.Dict) and isinstance(ours, spaces.Dict):
        return theirs.keys() == ours.keys() and all(_same_shape(theirs[key], ours[key]) for key in theirs)
    if not isinstance(theirs, spaces.Box) or not isinstance(ours, spaces.Box):
        return theirs == ours
    # SB3's policies take images with the channels first or last.
    return theirs.shape == ours.shape or (is_image_space(ours) and VecTransposeImage.transpose_space(ours) == theirs)


def _play(rollout: bytes, seeds: Sequence[int]) -> list[Episode]:
    return list(cloudpickle.loads(rollout).play(seeds))


def _play_on(executor: Executor, workers: int, rollout: Rollout, seeds: Sequence[int]) -> Iterator[Episode]:
    """Play in portions small enough that no worker is left waiting for another."""
    portion = max(rollout.n_envs, math.ceil(len(seeds) / (4 * workers)))
    sent = cloudpickle.dumps(rollout)
    for _, future in run(executor, _play, [(sent, seeds[i : i + portion]) for i in range(0, len(seeds), portion)]):
        yield from future.result()
