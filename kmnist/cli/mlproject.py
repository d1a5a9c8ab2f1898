"""``kmnist mlproject``"""

from pathlib import Path


def mlproject() -> None:
    """Write the file MLproject anew from the settings (for developers)."""
    from kmnist.mlproject import render

    Path("MLproject").write_text(render())
