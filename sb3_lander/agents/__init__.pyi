from .onnx import export as export
from .safe_loading import load_policy as load_policy
