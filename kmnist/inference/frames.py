"""What surrounds a letter on a photograph: the desk under a card, a scan's dark borders, the lines of a cell.

All of these end in a line that runs along a whole side of the picture, nearly straight on, with nothing beyond it. The
line is found by votes, after Hough (US patent 3069654, 1962): each place where the level jumps votes for the lines
through it.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy import ndimage

Levels = npt.NDArray[np.float32]
SLOPES = np.linspace(-0.1, 0.1, 21)  # of a line: up to 6 degrees
ZONE = 0.3  # of the picture, from each side: where lines are looked for
LEAST_JUMP = 0.06  # of the logarithm of a level, over two pixels
CLEAR_JUMP = 0.25  # of the strongest that are usual
COVERED, COVERED_FIRST = 0.85, 0.5  # share of a side that a line covers; before the other sides are known
SHORTEST = 0.2  # of a side: a line that leaves the picture may be so short
BESIDE = 2  # pixels: so wide is a line's blur
BUSY = 0.1  # share of a line's length: so many jumps beyond it are of ink


@dataclass(frozen=True)
class Line:
    """Along the first row of a view: ``at`` in the middle of the row, in pixels, and rises by ``slope``."""

    at: float
    slope: float

    def rows(self, width: int) -> npt.NDArray[np.float64]:
        """Where it is in each column."""
        return np.asarray(self.at + self.slope * (np.arange(width) - (width - 1) / 2), np.float64)


@dataclass(frozen=True)
class Inside:
    """What lies within lines along the sides of a picture of this ``shape``, whatever its size.

    Attributes:
        lines: along the first row of the picture as ``np.rot90(picture, side)`` turns it, for each of its four sides.
    """

    shape: tuple[int, ...]
    lines: tuple[Line | None, ...]

    def cut(self, picture: Levels) -> Levels:
        """The rectangle around the inside, whose levels go on in the corners that lie outside."""
        height, width = picture.shape
        top, right, bottom, left = (self._first(side, picture.shape) for side in range(4))
        bottom, right, left = height - 1 - bottom[::-1], width - 1 - right, left[::-1]
        picture = np.take_along_axis(picture, np.arange(height)[:, None].clip(top, bottom), axis=0)
        picture = np.take_along_axis(picture, np.arange(width).clip(left[:, None], right[:, None]), axis=1)
        return picture[top.min() : bottom.max() + 1, left.min() : right.max() + 1]

    def _first(self, side: int, shape: tuple[int, ...]) -> npt.NDArray[np.intp]:
        """Of each column of the picture so turned, the first row within the line."""
        height, width = shape if side % 2 == 0 else shape[::-1]
        line, scale = self.lines[side], height / self.shape[side % 2]
        if line is None:
            return np.zeros(width, np.intp)
        rows = (line.at + BESIDE) * scale + line.slope * (np.arange(width) - (width - 1) / 2)
        return rows.round().astype(np.intp).clip(0, height - 1)


def find_inside(logs: Levels) -> Inside | None:
    """What lies within lines; nothing if there are none.

    Args:
        logs: logarithms of levels (H, W), of about a hundred pixels a side.
    """
    lines = find_lines(logs)
    return Inside(logs.shape, tuple(lines)) if any(lines) else None


def find_lines(logs: Levels) -> list[Line | None]:
    """The innermost line along each side, as ``np.rot90(logs, side)`` shows it along its first row.

    Args:
        logs: logarithms of levels (H, W), of about a hundred pixels a side.
    """
    down = np.zeros_like(logs)
    down[1:-1] = logs[2:] - logs[:-2]
    across = np.zeros_like(logs)
    across[:, 1:-1] = logs[:, 2:] - logs[:, :-2]
    least = max(LEAST_JUMP, CLEAR_JUMP * float(np.quantile(np.maximum(np.abs(down), np.abs(across)), 0.98)))
    jumps = [np.rot90(way, side) * sign for side, way, sign in zip(range(4), (down, across) * 2, (1, -1, -1, 1))]
    sides = [_candidates(view, least) for view in jumps]
    busy = np.maximum(np.abs(down), np.abs(across)) > least
    for side, lines in enumerate(sides):
        view = np.rot90(busy, side)
        for line, _ in lines:
            rows = line.rows(view.shape[1])
            view[np.abs(np.arange(len(view))[:, None] - rows) <= 3] = False
    limits: list[Line | None] = [lines[0][0] if lines else None for lines in sides]
    for _ in range(2):
        limits = [_innermost(sides[side], jumps[side], np.rot90(busy, side), least, limits, side) for side in range(4)]
    return limits


def _candidates(jumps: Levels, least: float) -> list[tuple[Line, int]]:
    """Lines along the first rows, from the outermost on, and whether the level rises or falls there."""
    height, width = jumps.shape
    zone = jumps[: int(height * ZONE)]
    found: list[tuple[Line, int]] = []
    off = int(SLOPES.max() * width / 2)
    places = len(zone) + off
    seen = _seen(width, places, off)
    for sign in (1, -1):
        view = sign * zone
        before, after = np.zeros_like(view), np.zeros_like(view)
        before[1:], after[:-1] = view[:-1], view[1:]
        rows, columns = ((view > least) & (view >= before) & (view > after)).nonzero()
        at = (rows - SLOPES[:, None] * (columns - (width - 1) / 2)).round().astype(np.intp) + off  # (slopes, places)
        inside = (at >= 0) & (at < places)
        votes = np.bincount(
            (at + np.arange(len(SLOPES))[:, None] * places)[inside], minlength=len(SLOPES) * places
        ).reshape(len(SLOPES), places)
        votes = ndimage.uniform_filter1d(votes * 3, 3, mode="constant")
        votes[(votes < SHORTEST * width) | (votes < COVERED_FIRST * seen)] = 0
        while votes.any():
            slope, place = np.unravel_index(votes.argmax(), votes.shape)
            found.append((Line(float(place - off), float(SLOPES[slope])), sign))
            votes[:, max(place - 3, 0) : place + 4] = 0
    return sorted(found, key=lambda each: each[0].at)


@lru_cache(maxsize=64)
def _seen(width: int, places: int, off: int) -> npt.NDArray[np.int64]:
    """In how many columns the line of each slope and place lies in the picture."""
    middle = (width - 1) / 2
    starts = np.arange(places)[:, None] - off + SLOPES[:, None, None] * (np.arange(width) - middle)
    return np.asarray((starts > 0.5).sum(axis=2))


def _innermost(
    candidates: list[tuple[Line, int]],
    jumps: Levels,
    busy: npt.NDArray[np.bool_],
    least: float,
    limits: list[Line | None],
    side: int,
) -> Line | None:
    """The last of those candidates that cover their side, and have no ink between them and the picture's edge."""
    height, width = jumps.shape
    left, right = limits[(side + 3) % 4], limits[(side + 1) % 4]
    chosen = None
    for line, sign in candidates:
        # the neighbours' lines, where they meet this one
        first = 0 if left is None else int(max(left.at, 0))
        last = width if right is None else int(min(width - right.at, width))
        rows = line.rows(width)
        near = np.abs(np.arange(height)[:, None] - rows) <= 2
        seen = rows[first:last] > 0.5
        covered = np.any(near & (sign * jumps > least), axis=0, keepdims=True)[0, first:last][seen]
        beyond = busy[:, first:last] & (np.arange(height)[:, None] < rows[first:last] - 2)
        if len(covered) < SHORTEST * width or covered.mean() < COVERED:
            continue
        if beyond.sum() > BUSY * (last - first):
            break
        chosen = line
    return chosen
