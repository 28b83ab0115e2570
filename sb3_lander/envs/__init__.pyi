from .batched_subproc_vec_env import BatchedSubprocVecEnv as BatchedSubprocVecEnv
from .envpool_vec_env import EnvPoolVecEnv as EnvPoolVecEnv
from .registration import ENV_IDS as ENV_IDS
from .registration import V2_ID as V2_ID
from .registration import V3_ID as V3_ID
from .registration import SuccessWrapper as SuccessWrapper
from .registration import register_envs as register_envs
from .selection import prefer_envpool as prefer_envpool
