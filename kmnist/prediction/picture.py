"""One picture on its way from where it was found to where it is decoded."""

from typing import NamedTuple

from kmnist.pictures.read import Gray


class Picture(NamedTuple):
    """One picture, not yet decoded.

    Attributes:
        name: of the file, and the place in it if it holds many.
        item: the path of its file, the content of that file, levels (H, W), or why there is none.
    """

    name: str
    item: str | bytes | Gray | Exception
