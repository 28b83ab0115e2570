from .policy import SeparateActorCriticPolicy as SeparateActorCriticPolicy
from .recurrent import FastLstmPolicy as FastLstmPolicy
from .replay_buffer import MirrorReplayBuffer as MirrorReplayBuffer
from .replay_buffer import NStepMirrorReplayBuffer as NStepMirrorReplayBuffer
from .symmetry import MirrorSymmetry as MirrorSymmetry
