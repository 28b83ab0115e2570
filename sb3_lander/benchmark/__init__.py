"""Benchmarks: recipes, one watched training, and many seeds of many recipes."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
