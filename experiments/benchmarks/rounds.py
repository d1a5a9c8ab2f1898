"""Contenders measured round after round in turn, so that what the machine does meanwhile meets all of them."""

import statistics
import time
from collections.abc import Callable, Mapping


def print_rounds(contenders: Mapping[str, Callable[[], float]], rounds: int, title: str) -> None:
    """Print each contender's seconds as they come, then their medians and the median ratios to the first's of a round.

    Args:
        contenders: by name; each does its work and gives the seconds that count.
        rounds: how often each runs.
        title: of the medians.
    """
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for number in range(rounds):
        for name, contender in contenders.items():
            began = time.perf_counter()
            seconds[name].append(contender())
            whole = time.perf_counter() - began  # with what warms up, or compiles
            print(f"round {number + 1}  {name:28s}{seconds[name][-1]:7.2f} s, with all {whole:.1f} s", flush=True)
    first = next(iter(seconds))
    print(f"\n{title}; median of {rounds} rounds")
    for name, found in seconds.items():
        ratio = statistics.median(theirs / mine for mine, theirs in zip(seconds[first], found))
        print(f"{name:28s}{statistics.median(found):7.2f} s   {ratio:5.2f} x {first}")
