"""Callbacks for any algorithm of SB3: checkpoints, videos, the moment of success, short episodes."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
