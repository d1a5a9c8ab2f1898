"""The command ``mlflow-journal``."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from mlflow_journal import __version__
from mlflow_journal.settings import FOLDER, journal_folder

EPILOG = f"""The folder of journals is that of {FOLDER}, or --folder.
Exit status: 0 all has arrived, 1 something waits, 2 the command is wrong or failed."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; gives its exit status."""
    parser = _parser()
    options = parser.parse_args(arguments)
    root = options.folder.expanduser().absolute() if options.folder else journal_folder()
    if root is None:
        parser.error(f"say where the journals are: set {FOLDER}, or give --folder")
    from mlflow.exceptions import MlflowException

    try:
        return int(options.run(root, options))
    except MlflowException as error:
        print(f"mlflow-journal: {error.message}", file=sys.stderr)
    except OSError as error:
        print(f"mlflow-journal: {error.filename or root}: {error.strerror or error}", file=sys.stderr)
    except KeyboardInterrupt:
        print("mlflow-journal: interrupted; what has not arrived is kept", file=sys.stderr)
    return 2


def status(root: Path, options: argparse.Namespace) -> int:
    """List what waits."""
    from mlflow_journal.transfer import look_all

    waiting = look_all(root)
    if not waiting:
        print(f"nothing waits in {root}")
    for found in waiting:
        print(f"{found.folder}")
        if found.trouble:
            print(f"  it cannot be read: {found.trouble}")
            continue
        used = "; a process that lives sends it" if found.in_use else ""
        print(f"  {found.records} records for {found.address or 'an unknown server'}{used}")
        if found.refused:
            print(f"  {found.refused} of them were refused: {found.answer}")
        for subject, count in sorted(found.subjects.items()):
            print(f"  {subject or '(damaged)'}: {count}")
    return 1 if waiting else 0


def sync(root: Path, options: argparse.Namespace) -> int:
    """Send what waits."""
    from mlflow_journal import transfer

    left = transfer.sync(root, options.server, say=lambda line: print(f"mlflow-journal: {line}", file=sys.stderr))
    if not left:
        print("all has arrived")
        return 0
    return status(root, options)


def show(root: Path, options: argparse.Namespace) -> int:
    """List the records of one run."""
    from mlflow_journal.transfer import entries_of

    found = False
    for _, entry, operation in entries_of(root, options.run_id):
        found = True
        print(f"{operation.describe()}{f'  refused: {entry.answer}' if entry.answer else ''}")
    if not found:
        print(f"nothing of {options.run_id} waits in {root}")
    return 1 if found else 0


def drop(root: Path, options: argparse.Namespace) -> int:
    """Give up the records of one run."""
    from mlflow_journal import transfer

    count = transfer.drop(root, options.run_id)
    print(f"{count} records of {options.run_id} are dropped")
    return 0 if count else 1


def export(root: Path, options: argparse.Namespace) -> int:
    """Write an archive."""
    from mlflow_journal import transfer

    print(f"{transfer.export(root, options.archive)} journals are in {options.archive}")
    return 0


def import_(root: Path, options: argparse.Namespace) -> int:
    """Read an archive."""
    from mlflow_journal import transfer

    print(f"{transfer.import_archive(root, options.archive)} journals were taken up; mlflow-journal sync sends them")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "mlflow-journal",
        description="See and send what a program has logged while its MLflow tracking server was away.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=__version__)
    parser.add_argument("--folder", type=Path, help=f"the folder of journals (default: {FOLDER})")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    commands.add_parser("status", help="list what waits").set_defaults(run=status)
    command = commands.add_parser("sync", help="send what programs have left behind")
    command.add_argument("--server", help="only what is for this address, to which it is sent")
    command.set_defaults(run=sync)
    command = commands.add_parser("show", help="list what waits of a run")
    command.add_argument("run_id", metavar="RUN", help="the id of a run, model or experiment")
    command.set_defaults(run=show)
    command = commands.add_parser("drop", help="give up what waits of a run")
    command.add_argument("run_id", metavar="RUN", help="the id of a run, model or experiment")
    command.set_defaults(run=drop)
    command = commands.add_parser("export", help="write what waits to an archive, for another machine to send")
    command.add_argument("archive", type=Path, metavar="FILE.tar.gz")
    command.set_defaults(run=export)
    command = commands.add_parser("import", help="take up what waits in an archive")
    command.add_argument("archive", type=Path, metavar="FILE.tar.gz")
    command.set_defaults(run=import_)
    return parser


if __name__ == "__main__":
    sys.exit(main())
