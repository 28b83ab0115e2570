"""Hyperparameter search with Optuna: spaces, studies, and the ranking on fresh seeds."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
