"""``kmnist studies``"""

from kmnist.cli.options import Format, Storage
from kmnist.extras import require


def studies(*, format: Format = "table", storage: Storage = "studies.log") -> None:
    """List the studies of a storage, how far they are, and their best."""
    require("tune", "kmnist studies")
    from kmnist.cli.printer import Printer
    from kmnist.tuning.overview import COLUMNS, overview
    from kmnist.tuning.storage import open_storage

    opened, screen = open_storage(storage), Printer()
    rows = overview(opened)
    if rows or format != "table":
        screen.table(COLUMNS, [list(row.values()) for row in rows], format)
    else:
        screen.say(f"there is no study in {opened.shown}")
