"""``python -m kmnist`` and the command ``kmnist``."""

from kmnist.cli import main

__all__ = ["main"]

if __name__ == "__main__":
    main()
