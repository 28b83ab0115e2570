from .callbacks import CheckpointCallback as CheckpointCallback
from .callbacks import PeriodicCallback as PeriodicCallback
from .callbacks import StopWhenSolved as StopWhenSolved
from .callbacks import VideoCallback as VideoCallback
from .eval_callback import WholeEvalCallback as WholeEvalCallback
from .short_episodes import ShortEpisodes as ShortEpisodes
