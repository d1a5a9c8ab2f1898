"""The networks, one family of architectures a file (or folder), with its settings in a file that knows no torch.

``families`` lists them, ``build`` makes a network from settings and a ``DataSpec``. To add an architecture: a file with
its settings and its network, and a line in ``families.FAMILIES``.
"""
