"""Agents: a trained policy with all that it needs to act, loaded without running code from its file."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
