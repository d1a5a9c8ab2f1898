"""A .npz file of one array, as CODH publishes its data sets."""

import zipfile
import zlib
from pathlib import Path

import numpy as np

from kmnist.data.forms.lfs import refuse_pointer
from kmnist.data.images import Pixels
from kmnist.errors import DataError


def read_array(path: Path, largest: tuple[int, ...]) -> Pixels:
    """The array of a file, uint8, at most ``largest`` long; the header is checked before anything is unpacked.

    Raises:
        DataError: it is damaged, or holds another array.
    """
    refuse_pointer(path)
    try:
        with zipfile.ZipFile(path) as archive, archive.open("arr_0.npy") as member:
            version = np.lib.format.read_magic(member)
            read_header = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
            shape, _, dtype = read_header[version](member)
        if dtype != np.uint8 or len(shape) != len(largest) or shape[0] > largest[0] or shape[1:] != largest[1:]:
            raise DataError(
                f"{path.name} holds {dtype} {shape}: must be uint8, at most {largest}; move it away to fetch it again"
            )
        with np.load(path, allow_pickle=False) as arrays:
            return np.asarray(arrays["arr_0"])
    except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(f"{path.name} cannot be read ({error}); move it away to fetch it again") from error
