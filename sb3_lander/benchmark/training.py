"""One timed training of one recipe: the clock stops while fixed tasks are played."""

import argparse
import contextlib
import functools
import io
import math
import os
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch as th
import yaml
from rl_zoo3.exp_manager import ExperimentManager
from sb3_contrib.common.vec_env import AsyncEval
from stable_baselines3.common.callbacks import BaseCallback, CallbackList, EvalCallback
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.utils import set_random_seed

from sb3_lander.benchmark.recipes import Measurement, Recipe
from sb3_lander.benchmark.target import Target
from sb3_lander.envs.cores import usable_cores
from sb3_lander.evaluation import EvaluationReport, evaluate, fixed_tasks
from sb3_lander.parallel.executors import shares_cores
from sb3_lander.zoo import register
from sb3_lander.zoo.manager import LanderExperimentManager

SOLVING_TASKS = 100  # fixed tasks whose mean return decides whether a target is reached
# Numbers of first tasks, and how far below the target their mean may lie before the other tasks are not played.
SCREENINGS = ((10, 100.0), (30, 40.0))
_SEARCH_SCREENINGS = ((12, 80.0), (48, 0.0))  # the same in a search, for the episodes on EnvPool
ZOO_EVAL_FREQ = 25_000  # the default of the Zoo's --eval-freq


class _Watch(BaseCallback):
    """Evaluates between updates with the clock stopped, and notes when each target is reached."""

    def __init__(self, measurement: Measurement, budget: int) -> None:
        super().__init__()
        self.measurement = measurement
        self.curve: list[dict[str, float]] = []
        self._targets = [Target(value, measurement.hold) for value in measurement.targets]
        self._tasks = fixed_tasks(measurement.env_id, SOLVING_TASKS)
        has_curve = measurement.curve_points > 0 and measurement.evaluate_on == "gymnasium"
        self._next_curve = self._curve_every = budget // measurement.curve_points if has_curve else budget + 1
        self._next_eval = measurement.eval_every
        self._stopped = self.update_seconds = 0.0
        self.zoo_evaluations = {"seconds": 0.0}
        self._rollout_ended: float | None = None

    def _on_training_start(self) -> None:
        self._start = time.perf_counter()

    def seconds(self) -> float:
        """Return the training's time so far without any evaluation, ours or the Zoo's."""
        return time.perf_counter() - self._start - self._stopped - self.zoo_evaluations["seconds"]

    @property
    def solved(self) -> dict[str, dict[str, float]]:
        """By target: the steps and seconds until it was reached; absent where it was not."""
        return {f"{target.value:g}": target.reached for target in self._targets if target.reached}

    def _open_targets(self) -> list[float]:
        return [target.value for target in self._targets if target.reached is None]

    def _on_rollout_end(self) -> None:
        self._rollout_ended = time.perf_counter()

    def _note_update(self) -> None:
        if self._rollout_ended is not None:
            self.update_seconds += time.perf_counter() - self._rollout_ended
            self._rollout_ended = None

    _on_training_end = _note_update

    def _on_rollout_start(self) -> None:
        self._note_update()
        steps, open_targets = self.num_timesteps, self._open_targets()
        for_curve = steps >= self._next_curve
        if steps and (for_curve or (open_targets and steps >= self._next_eval)):
            seconds = self.seconds()
            self._evaluate(steps, seconds, open_targets, for_curve)
            self._next_eval = steps + self.measurement.eval_every
            if for_curve:
                self._next_curve = (steps // self._curve_every + 1) * self._curve_every
            self._stopped += self.seconds() - seconds

    def _evaluate(self, steps: int, seconds: float, open_targets: list[float], for_curve: bool) -> None:
        point = {"steps": steps, "seconds": round(seconds, 3)}
        if self.measurement.evaluate_on == "envpool":
            mean_return = self._mean_on_envpool(min(open_targets))
        else:
            report = self._report(None if for_curve else min(open_targets))
            mean_return = -math.inf if report is None else report.mean_return
            if report is not None:
                self.curve.append({**point, "mean_return": round(mean_return, 3), "success_rate": report.success_rate})
        for target in self._targets:
            target.look(point, mean_return)

    def _mean_on_envpool(self, target: float) -> float:
        """Return the mean over EnvPool's episodes, of which the first few tell whether the others are needed."""
        from sb3_lander.envs.envpool_vec_env import EnvPoolVecEnv

        for count, margin in _SEARCH_SCREENINGS:
            with contextlib.closing(EnvPoolVecEnv(self.measurement.env_id, count, seed=count)) as env:
                mean_return = float(evaluate_policy(self.model, env, n_eval_episodes=count)[0])  # type: ignore[arg-type]  # no list was asked for
            if mean_return < target - margin:
                break
        return mean_return

    def _report(self, target: float | None) -> EvaluationReport | None:
        """Play all tasks; with a target, only as long as the first ones leave it in reach."""
        report: EvaluationReport | None = None
        for count, margin in (*SCREENINGS, (len(self._tasks), 0.0)):
            played = () if report is None else report.episodes
            more = evaluate(self.model, self._tasks[len(played) : count])
            report = replace(more, episodes=(*played, *more.episodes))
            if target is not None and report.mean_return < target - margin and count < len(self._tasks):
                return None
        return report

    def _on_step(self) -> bool:
        limit = self.measurement.steps_limit
        is_solved = self.measurement.until_solved and not self._open_targets()
        return not is_solved and (limit is None or self.num_timesteps <= limit)


def time_method(instance: Any, method: str, spent: dict[str, float], name: str) -> None:
    """Add the time of every call of one object's method to ``spent[name]``."""
    function = getattr(instance, method)

    def call(*args: Any, **kwargs: Any) -> Any:
        start = time.perf_counter()
        try:
            return function(*args, **kwargs)
        finally:
            spent[name] += time.perf_counter() - start

    setattr(instance, method, call)


def _manager(recipe: Recipe, measurement: Measurement, seed: int, folder: Path) -> Any:
    """Return the Zoo's experiment manager for the recipe, as its ``train`` command makes it."""
    register()
    config = folder / "recipe.yml"
    config.write_text(yaml.safe_dump({measurement.env_id: recipe.entry(measurement.env_id)}))
    # The Zoo's own recipe gets the Zoo's own manager, which leaves torch's threads alone as its command does.
    cls = ExperimentManager if recipe.config == "zoo" else LanderExperimentManager
    options = {"log_folder": str(folder), "config": str(config), "device": "cpu", "verbose": 0, "log_interval": -2}
    options |= {"n_timesteps": measurement.budget or -1, "vec_env_type": recipe.vec_env, "seed": seed}
    options |= {"eval_freq": ZOO_EVAL_FREQ if measurement.zoo_evaluations else -1}
    # The Zoo's class chooses its subclass by the environment's id, here we choose.
    manager: Any = object.__new__(cls)
    manager.__init__(argparse.Namespace(num_threads=-1, env_kwargs=None), recipe.algo, measurement.env_id, **options)
    return manager


def _workers(manager: Any, model: Any) -> dict[str, AsyncEval]:
    """Return what the Zoo hands to ARS with several environments: processes, each with one of them.

    The Zoo's own ``learn`` is not called, since it takes an interrupt for the end of a training.
    """
    if manager.algo != "ars" or manager.n_envs == 1:
        return {}
    make = functools.partial(manager.create_envs, n_envs=1, no_log=True)
    return {"async_eval": AsyncEval([make] * manager.n_envs, model.policy)}


def train(recipe: Recipe, seed: int, measurement: Measurement) -> dict[str, Any]:
    """Train one seed of one recipe and return what was measured, as plain data.

    :param recipe: What to train.
    :param seed: Seed of the training, as the Zoo's ``--seed``.
    :param measurement: How to watch it; the recipe's own :attr:`Recipe.watch` goes over it.
    :return: ``solved`` (per target: environment steps and seconds, absent if not reached), ``curve``, ``final``
        (the summary over :attr:`Measurement.final_episodes` tasks), ``steps``, ``seconds``, ``steps_per_second`` and
        ``split`` (seconds in the environments, in updates, and in the rest), all without evaluations, and
        ``zoo_evaluation_seconds`` and ``steps_per_second_with_evaluations`` with the Zoo's own. ``shares_cores`` says
        that others worked on the same cores, so that the seconds mean little.
    """
    measurement = measurement.for_recipe(recipe)
    # torch counted the machine's cores, of which this training may have been given a part.
    th.set_num_threads(min(th.get_num_threads(), len(usable_cores())))
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()) as output:
        set_random_seed(seed)
        manager = _manager(recipe, measurement, seed, Path(folder))
        model, _ = manager.setup_experiment()
        spent = {"envs": 0.0}
        # Of the environments themselves: the Zoo pickles a VecNormalize around them, which must not hold the timer.
        for method in ("step_async", "step_wait"):
            time_method(model.env.unwrapped, method, spent, "envs")
        watch = _Watch(measurement, manager.n_timesteps)
        for callback in manager.callbacks:
            if isinstance(callback, EvalCallback):
                time_method(callback, "_on_step", watch.zoo_evaluations, "seconds")
        callback = CallbackList([*manager.callbacks, watch])
        model.learn(manager.n_timesteps, callback=callback, log_interval=None, **_workers(manager, model))
        seconds, zoo_seconds = watch.seconds(), watch.zoo_evaluations["seconds"]
        count, first = measurement.final_episodes, measurement.final_first_seed
        tasks = fixed_tasks(measurement.env_id, count, first_seed=first) if count else []
        final = evaluate(model, tasks).summary() if tasks else None
        model.env.close()
    # The Zoo makes the evaluation environments first, so the training ones are spoken of last.
    environments = [line for line in output.getvalue().splitlines() if line.startswith("Environments:")]
    spent["update"] = watch.update_seconds
    spent["rest"] = seconds - sum(spent.values())
    return {
        "recipe": recipe.name,
        "seed": seed,
        "environments": environments[-1] if environments else "gymnasium",
        "budget": manager.n_timesteps,
        "steps": model.num_timesteps,
        "seconds": round(seconds, 3),
        "steps_per_second": round(model.num_timesteps / seconds, 1),
        "zoo_evaluation_seconds": round(zoo_seconds, 3),
        "steps_per_second_with_evaluations": round(model.num_timesteps / (seconds + zoo_seconds), 1),
        "split": {name: round(value, 3) for name, value in spent.items()},
        "solved": watch.solved,
        "curve": watch.curve,
        "final": final,
        "load_average": os.getloadavg()[0],
        "cores": len(usable_cores()),
        "shares_cores": shares_cores(),
    }


def train_trial(_: int, recipe: Recipe, seed: int, measurement: Measurement) -> dict[str, Any]:
    """Train one seed of a trial of this number, as :func:`train`; ``fault`` says that its settings do not work."""
    try:
        return train(recipe, seed, measurement)
    except (AssertionError, ValueError, FloatingPointError) as error:  # as a policy whose output is NaN raises
        return {"fault": f"{type(error).__name__}: {error}"[:500]}
