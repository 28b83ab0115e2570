"""What lies on disk: a run folder of the RL Zoo, a model's zip, the YAML entries, files that are whole at any moment."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
