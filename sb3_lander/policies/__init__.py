"""The policy: separate networks for actor and critic, bounded mean, choice of std, mirror symmetry."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
