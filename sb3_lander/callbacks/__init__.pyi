from .checkpoint import CheckpointCallback as CheckpointCallback
from .eval_callback import WholeEvalCallback as WholeEvalCallback
from .periodic import PeriodicCallback as PeriodicCallback
from .short_episodes import ShortEpisodes as ShortEpisodes
from .std_annealing import AnnealStd as AnnealStd
from .stop_when_solved import StopWhenSolved as StopWhenSolved
from .video import VideoCallback as VideoCallback
from .weight_averaging import AverageWeights as AverageWeights
