"""Files on disk: a queue of lines in segments that only grow, a lock for life, a file that is replaced whole."""

import errno
import fcntl
import os
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

SEGMENT_BYTES = 16 * 2**20


class Position(NamedTuple):
    """A place in a queue; later places are greater."""

    segment: int
    offset: int


class Line(NamedTuple):
    """A line without its line feed, and where it lies."""

    content: bytes
    start: Position
    end: Position


class Segments:
    """Lines on disk, appended by one process and read in order. Segments that are done are deleted.

    A line counts from its line feed on: what a killed process left unfinished is cut.

    Args:
        folder: created if need be.
        segment_bytes: from which size on a new segment begins.

    Raises:
        OSError: the folder cannot be written, or holds a link.
    """

    def __init__(self, folder: Path, segment_bytes: int = SEGMENT_BYTES) -> None:
        self.folder = folder
        self._segment_bytes = segment_bytes
        folder.mkdir(parents=True, exist_ok=True)
        refuse_links(folder)
        numbers = segment_numbers(folder)
        self.first = numbers[0] if numbers else 1
        last = numbers[-1] if numbers else 1
        self._sizes = {number: self._path(number).stat().st_size for number in numbers}
        self._writer = self._open(last)
        self._sizes[last] = cut_torn_line(self._writer)
        self.end = Position(last, self._sizes[last])
        self._reader = Reader(folder)

    @property
    def bytes_on_disk(self) -> int:
        """The size of all segments."""
        return sum(self._sizes.values())

    def append(self, line: bytes) -> Position:
        """Add a line, without its line feed; gives the end. It survives this process, not yet a power cut.

        Raises:
            OSError: the disk is full; the queue is as it was.
        """
        if self.end.offset >= self._segment_bytes:
            self.begin_segment()
        content = line + b"\n"
        try:
            written = os.write(self._writer, content)
            if written < len(content):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.folder))
        except OSError:
            os.ftruncate(self._writer, self.end.offset)  # half a line would spoil the next one
            raise
        self.end = Position(self.end.segment, self.end.offset + written)
        self._sizes[self.end.segment] = self.end.offset
        return self.end

    def sync(self) -> None:
        """Force what was appended to the disk."""
        os.fdatasync(self._writer)

    def read(self, start: Position, most_lines: int = 1, most_bytes: int = 2**20) -> list[Line]:
        """The lines from ``start`` on: at least one if there is one, not many more than ``most_bytes``."""
        return self._reader.read(start, self.end, most_lines, most_bytes)

    def drop_before(self, position: Position) -> None:
        """Delete the segments that lie wholly before a position."""
        for number in [number for number in sorted(self._sizes) if number < position.segment]:
            self._path(number).unlink(missing_ok=True)
            del self._sizes[number]
            self.first = number + 1

    def close(self) -> None:
        """Close the files."""
        self._reader.close()
        if self._writer >= 0:
            os.close(self._writer)
        self._writer = -1

    def begin_segment(self) -> None:
        """Let the next line begin a new segment."""
        number = self.end.segment + 1
        following = self._open(number)
        os.fdatasync(self._writer)
        os.close(self._writer)
        self._writer = following
        self._sizes[number] = 0
        self.end = Position(number, 0)
        sync_folder(self.folder)

    def _open(self, number: int) -> int:
        return os.open(self._path(number), os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)

    def _path(self, number: int) -> Path:
        return segment_path(self.folder, number)


class Reader:
    """Reads a queue that this or another process may be writing; for one thread.

    Args:
        folder: of the queue.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._open: tuple[int, int] | None = None

    def read(self, start: Position, end: Position, most_lines: int = 1, most_bytes: int = 2**20) -> list[Line]:
        """The lines between two positions: at least one if there is one, not many more than ``most_bytes``."""
        found: list[Line] = []
        taken = 0
        while start < end and len(found) < most_lines and taken < most_bytes:
            lines = self._lines(start, end, max(most_bytes - taken, 4096))
            if not lines:  # the end of this segment, or it is gone: the queue goes on in the next
                start = Position(start.segment + 1, 0)
            for line in lines[: most_lines - len(found)]:
                following = Position(start.segment, start.offset + len(line) + 1)
                found.append(Line(line, start, following))
                start, taken = following, taken + len(line) + 1
        return found

    def close(self) -> None:
        """Close the file."""
        if self._open:
            os.close(self._open[1])
        self._open = None

    def _lines(self, start: Position, end: Position, want: int) -> list[bytes]:
        try:
            descriptor = self._descriptor(start.segment)
        except FileNotFoundError:
            return []
        size = end.offset if start.segment == end.segment else os.fstat(descriptor).st_size
        left = size - start.offset
        content = b""
        while b"\n" not in content and len(content) < left:  # again, if one line is longer than that
            content = os.pread(descriptor, min(left, want), start.offset)
            if len(content) < min(left, want):
                break
            want *= 4
        return content.split(b"\n")[:-1]

    def _descriptor(self, number: int) -> int:
        if self._open is None or self._open[0] != number:
            self.close()
            path = segment_path(self._folder, number)
            self._open = (number, os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC))
        return self._open[1]


def segment_path(folder: Path, number: int) -> Path:
    """The file of a segment."""
    return folder / f"{number:08d}.jsonl"


def segment_numbers(folder: Path) -> list[int]:
    """The numbers of the segments in a folder, in order."""
    return sorted(int(path.stem) for path in folder.glob("*.jsonl") if path.stem.isdigit() and len(path.stem) == 8)


class FolderLock:
    """Held from ``acquire`` until this process ends, whatever ends it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = -1

    def acquire(self) -> bool:
        """Whether it was free. A lock that was deleted meanwhile is not taken."""
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(descriptor).st_nlink == 0:
                raise BlockingIOError(errno.EAGAIN, "the folder was just deleted")
        except OSError as error:
            os.close(descriptor)
            if error.errno in (errno.EAGAIN, errno.EACCES):
                return False
            raise
        self._descriptor = descriptor
        return True

    def release(self) -> None:
        """Let others have it. In a child process: forget it, while the parent still holds it."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def replace_file(path: Path, content: bytes, *, force: bool = False) -> None:
    """Write a file so that a reader finds the old or the new content, never a part."""
    temporary = path.with_name(f".{path.name}.new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        os.write(descriptor, content)
        if force:
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
    temporary.replace(path)
    if force:
        sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Force the names in a folder to the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    with suppress(OSError):  # some network file systems cannot
        os.fsync(descriptor)
    os.close(descriptor)


def cut_torn_line(descriptor: int) -> int:
    """Cut what follows the last line feed; gives the size that is left."""
    size = os.fstat(descriptor).st_size
    end = size
    while end > 0:
        start = max(0, end - 65536)
        found = os.pread(descriptor, end - start, start).rfind(b"\n")
        if found >= 0:
            end = start + found + 1
            break
        end = start
    if end < size:
        os.ftruncate(descriptor, end)
    return end


def refuse_links(folder: Path) -> None:
    """A journal is made by this package and holds no links; one that does would have us write elsewhere.

    Raises:
        OSError: there is one.
    """
    for path in [folder, *(folder.iterdir() if folder.is_dir() else ())]:
        if path.is_symlink():
            raise OSError(errno.ELOOP, "it is a link, which no journal has", str(path))
