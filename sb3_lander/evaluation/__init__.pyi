from .evaluator import evaluate as evaluate
from .outcome import Episode as Episode
from .report import EvaluationReport as EvaluationReport
from .task import Task as Task
from .task import fixed_tasks as fixed_tasks
from .video import Recording as Recording
from .video import record_episode as record_episode
