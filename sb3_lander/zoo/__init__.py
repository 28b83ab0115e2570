"""The RL Zoo: the hook into its commands, its experiment manager for our ids, resuming, the Hub."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
