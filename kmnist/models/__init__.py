"""The architectures. To add one: a file here, its name in ``TrainConfig.arch``, a line in ``BUILDERS``.

``build`` makes a network from its settings, ``files`` keeps it as weights and settings, and builds it from them again.
"""

from kmnist.models.build import BUILDERS, build
from kmnist.models.files import load_network, save_network

__all__ = ["BUILDERS", "build", "load_network", "save_network"]
