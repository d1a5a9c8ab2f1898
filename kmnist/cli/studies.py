"""``kmnist studies``"""

from kmnist.cli.options import Storage


def studies(*, storage: Storage = "studies.log") -> None:
    """List the studies of a storage, how far they are, and their best.

    Parameters
    ----------
    storage
        file of studies, or postgresql://user@host/database
    """
    from rich.console import Console
    from rich.table import Table

    from kmnist.tuning.overview import overview
    from kmnist.tuning.storage import open_storage

    opened = open_storage(storage)
    rows = overview(opened)
    console = Console(highlight=False)
    if not rows:
        console.print(f"there is no study in {opened.shown}", markup=False)
        return
    table = Table(box=None, pad_edge=False)
    for name in rows[0]:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*row.values())
    console.print(table)
