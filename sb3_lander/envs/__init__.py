"""The simulators: environment ids, the success flag, vectorised environments, and which of them is used when."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
