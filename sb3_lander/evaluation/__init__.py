"""Evaluation on fixed tasks: tasks and rollouts in, a report that repeats to the last bit out."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
