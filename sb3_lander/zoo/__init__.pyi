from .hook import register as register
from .manager import LanderExperimentManager as LanderExperimentManager
