"""Contents of pictures that hurt the process that reads them. They import nothing: such a process starts many times."""

import ctypes
from multiprocessing import parent_process


class Hanging(bytes):
    """Content over which whoever decodes it in a process of its own computes for ever."""

    def __len__(self) -> int:
        while parent_process():
            pass
        return super().__len__()


class Crashing(bytes):
    """Content over which that process has a segmentation fault."""

    def __len__(self) -> int:
        if parent_process():
            ctypes.string_at(0)
        return super().__len__()
