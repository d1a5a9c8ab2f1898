"""How long to wait before what failed is tried again."""

import random
from dataclasses import dataclass

#: How often a record is tried, while the server takes others, before it is set aside.
TRIES = 3
#: Between attempts to reach a server that is away.
FIRST_SECONDS, MOST_SECONDS = 0.1, 5.0
#: Between attempts to send what was set aside.
ASIDE_SECONDS, MOST_ASIDE_SECONDS = 5.0, 300.0


@dataclass
class Backoff:
    """Pauses that double, up to a longest one."""

    first: float = FIRST_SECONDS
    most: float = MOST_SECONDS
    failures: int = 0

    def next(self, at_least: float = 0.0) -> float:
        """The seconds to wait now; ``at_least``: what the server asked for."""
        pause = min(self.most, self.first * 2 ** min(self.failures, 30))
        self.failures += 1
        return float(max(at_least, pause * random.uniform(0.8, 1.0)))

    def reset(self) -> None:
        """It worked."""
        self.failures = 0
