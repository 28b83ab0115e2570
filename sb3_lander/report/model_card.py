"""A model card, the ``README.md`` that the Hugging Face Hub shows, for an agent and its report."""

from __future__ import annotations

from sb3_lander.evaluation.report import EvaluationReport
from sb3_lander.report.pages import render


def model_card(
    report: EvaluationReport,
    *,
    algo: str,
    command: str,
    versions: dict[str, str | None],
    video: str | None = None,
    note: str = "",
) -> str:
    """Return the card.

    :param report: What the agent ends at, on tasks that nothing was chosen on.
    :param algo: The Zoo's name of the algorithm.
    :param command: What trained it.
    :param versions: Of the packages that trained it.
    :param video: File name of a video that lies beside the card.
    :param note: A sentence on the tasks.
    """
    from huggingface_hub import EvalResult, ModelCard, ModelCardData

    env_id, task = report.env_id, "reinforcement-learning"
    metrics = {
        # The Hub's leaderboards read the first as it stands.
        "mean_reward": f"{report.mean_return:.2f} +/- {report.std_return:.2f}",
        "interquartile_mean": round(report.iqm_return, 2),
        "success_rate": round(report.success_rate, 4),
    }
    data = ModelCardData(
        model_name=f"{algo}-{env_id}",
        library_name="stable-baselines3",
        license="mit",
        tags=[env_id, f"deep-{task}", task, "stable-baselines3", "sb3-lander"],
        eval_results=[
            EvalResult(task, env_id, env_id, metric, value, task_name=task, metric_name=metric)
            for metric, value in metrics.items()
        ],
    )
    installed = {name: version for name, version in versions.items() if version}
    values = {"report": report, "algo": algo, "command": command, "versions": installed, "video": video, "note": note}
    body = render("model_card.md", **values)
    return str(ModelCard(f"---\n{data.to_yaml()}\n---\n\n{body}"))
