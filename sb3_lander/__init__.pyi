from .agents import Agent as Agent
from .envs import ENV_IDS as ENV_IDS
from .envs import BatchedSubprocVecEnv as BatchedSubprocVecEnv
from .envs import EnvPoolVecEnv as EnvPoolVecEnv
from .envs import SuccessWrapper as SuccessWrapper
from .evaluation import EvaluationReport as EvaluationReport
from .evaluation import Task as Task
from .evaluation import evaluate as evaluate
from .evaluation import fixed_tasks as fixed_tasks
from .policies import MirrorSymmetry as MirrorSymmetry
from .policies import SeparateActorCriticPolicy as SeparateActorCriticPolicy

__version__: str
