from .policy import SeparateActorCriticPolicy as SeparateActorCriticPolicy
from .symmetry import MirrorSymmetry as MirrorSymmetry
