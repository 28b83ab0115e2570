"""A model card, the ``README.md`` that the Hugging Face Hub shows, for an agent and its report."""

from __future__ import annotations

from typing import Any

from sb3_lander.evaluation.report import EvaluationReport
from sb3_lander.report.pages import render_text


def model_card(
    report: EvaluationReport, *, algo: str, command: str, versions: dict[str, str | None], video: str | None = None
) -> str:
    """Return the card.

    :param report: What the agent ends at, on tasks that nothing was chosen on.
    :param algo: The Zoo's name of the algorithm.
    :param command: What trained it.
    :param versions: Of the packages that trained it.
    :param video: File name of a video that lies beside the card.
    """
    from huggingface_hub import EvalResult, ModelCard, ModelCardData

    env_id, first, count = report.env_id, report.episodes[0].seed, len(report.episodes)
    data = ModelCardData(
        model_name=f"{algo}-{env_id}",
        library_name="stable-baselines3",
        license="mit",
        tags=[env_id, "deep-reinforcement-learning", "reinforcement-learning", "stable-baselines3", "sb3-lander"],
        eval_results=[
            EvalResult(
                task_type="reinforcement-learning",
                task_name="reinforcement-learning",
                dataset_type=env_id,
                dataset_name=env_id,
                metric_type=kind,
                metric_name=kind,
                metric_value=value,
            )
            for kind, value in _metrics(report).items()
        ],
    )
    body: dict[str, Any] = {
        "title": f"{algo.upper()} landing {env_id}",
        "report": str(report),
        "seeds": f"{first} to {report.episodes[-1].seed}",
        "count": f"{count:,}",
        "command": command,
        "algo": algo,
        "env_id": env_id,
        "versions": {name: version for name, version in versions.items() if version},
        "video": video,
    }
    card = ModelCard(f"---\n{data.to_yaml()}\n---\n\n{render_text('model_card.md', **body)}")
    return str(card)


def _metrics(report: EvaluationReport) -> dict[str, Any]:
    return {
        # The Hub's leaderboards read the first as it stands.
        "mean_reward": f"{report.mean_return:.2f} +/- {report.std_return:.2f}",
        "interquartile_mean": round(report.iqm_return, 2),
        "success_rate": round(report.success_rate, 4),
    }
