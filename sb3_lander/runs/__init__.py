"""What lies on disk: run folders of the RL Zoo, model files, YAML entries, files that are whole at any moment."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
