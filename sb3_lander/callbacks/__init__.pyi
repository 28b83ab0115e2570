from .callbacks import CheckpointCallback as CheckpointCallback
from .callbacks import PeriodicCallback as PeriodicCallback
from .callbacks import SaveBest as SaveBest
from .callbacks import StopWhenSolved as StopWhenSolved
from .callbacks import VideoCallback as VideoCallback
from .short_episodes import ShortEpisodes as ShortEpisodes
