"""The cores of this machine."""

from joblib import cpu_count


def available_cores() -> int:
    """Those that this process may use, by its affinity and by what its container is allowed."""
    return int(cpu_count())
