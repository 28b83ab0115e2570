from .agent import Agent as Agent
from .agent import load_policy as load_policy
from .agent import shipped_agent as shipped_agent
from .environment import AgentEnv as AgentEnv
from .onnx import export as export
from .safe_policy import UntrustedError as UntrustedError
