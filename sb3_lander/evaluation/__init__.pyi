from .evaluator import evaluate as evaluate
from .evaluator import fixed_tasks as fixed_tasks
from .report import Episode as Episode
from .report import EvaluationReport as EvaluationReport
from .report import Task as Task
from .video import Recording as Recording
from .video import record_episode as record_episode
