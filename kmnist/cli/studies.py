"""``kmnist studies``"""

from kmnist.cli.options import Storage
from kmnist.extras import require


def studies(*, storage: Storage = "studies.log") -> None:
    """List the studies of a storage, how far they are, and their best."""
    require("tune", "kmnist studies")
    from kmnist.cli.printer import Printer
    from kmnist.tuning.overview import overview
    from kmnist.tuning.storage import open_storage

    opened, screen = open_storage(storage), Printer()
    rows = overview(opened)
    if rows:
        screen.table(list(rows[0]), [list(row.values()) for row in rows])
    else:
        screen.say(f"there is no study in {opened.shown}")
