"""What waits on this disk, of all processes: to be listed, sent, dropped, and carried to another machine."""

import tarfile
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from mlflow_journal.delivery import Delivery
from mlflow_journal.errors import JournalError, ServerAway
from mlflow_journal.files import refuse_links
from mlflow_journal.identities import Identities
from mlflow_journal.journal import Busy, Entry, Journal, delete_journal, read_about, read_unsent
from mlflow_journal.operations import Operation, Target, operation
from mlflow_journal.process import address_folder
from mlflow_journal.sender import JOURNALS
from mlflow_journal.server import Server, redact


@dataclass(frozen=True)
class Waiting:
    """A journal with what has not arrived of it.

    Attributes:
        folder: of the journal.
        address: of the server that it is for; empty: it does not say.
        records: how many records wait.
        refused: how many of them the server refused.
        answer: what the server said of the first of these.
        subjects: the runs, models and experiments that they are about, with how many records each.
        in_use: whether a process that lives writes or sends it.
        trouble: why it cannot be read; empty: it can.
    """

    folder: Path
    address: str
    records: int = 0
    refused: int = 0
    answer: str = ""
    subjects: dict[str, int] = field(default_factory=dict)
    in_use: bool = False
    trouble: str = ""


def journals(root: Path) -> list[Path]:
    """The folders of all journals below the folder of journals."""
    return sorted(path for path in root.glob(f"*/{JOURNALS}") if path.is_dir())


def look(folder: Path) -> Waiting:
    """What waits in a journal, whoever is writing it."""
    about = read_about(folder)
    address = about.get("address")
    address = address if isinstance(address, str) else ""
    try:
        refuse_links(folder)
        counts: dict[str, int] = {}
        records = refused = 0
        answer = ""
        for entry in read_unsent(folder):
            records += 1
            if entry.answer:
                refused += 1
                answer = answer or entry.answer
            subject = operation(entry.record).subject
            counts[subject] = counts.get(subject, 0) + 1
    except OSError as error:
        return Waiting(folder, address, trouble=f"{error.filename or folder}: {error.strerror or error}")
    return Waiting(folder, address, records, refused, answer, counts, is_in_use(folder))


def look_all(root: Path) -> list[Waiting]:
    """What waits, of all journals in which something does."""
    return [found for found in map(look, journals(root)) if found.records or found.trouble]


def is_in_use(folder: Path) -> bool:
    """Whether a process holds a journal."""
    from mlflow_journal.files import FolderLock

    lock = FolderLock(folder / "lock")
    try:
        free = lock.acquire()
    except OSError:
        return False
    lock.release()
    return not free


def entries_of(root: Path, subject: str) -> Iterator[tuple[Path, Entry, Operation]]:
    """What waits of one run, model or experiment, named by the id that it has or by a provisional one."""
    for folder in journals(root):
        names = {subject, Identities(folder.parent).canonical(subject)}
        for entry in read_unsent(folder):
            found = operation(entry.record)
            if found.subject in names:
                yield folder, entry, found


def sync(root: Path, address: str | None = None, say: Callable[[str], None] = lambda line: None) -> list[Waiting]:
    """Send the journals that no process holds; gives what is left.

    Args:
        root: the folder of journals.
        address: where to, with user and password if need be; ``None``: to where each is for.
        say: called with a line about each journal that cannot be sent now.
    """
    left: list[Waiting] = []
    folders = journals(root)
    for _ in range(2):  # what one made may be what another one waits for
        left = []
        for folder in folders:
            wanted = read_about(folder).get("address")
            if address is not None and wanted != redact(address):
                continue
            problem = _sync_one(folder, address or wanted)
            if problem:
                say(f"{folder}: {problem}")
            found = look(folder) if folder.exists() else None
            if found and (found.records or found.trouble):
                left.append(found)
        folders = [found.folder for found in left if not found.in_use]
        if not any(found.refused for found in left):
            break
    return left


def _sync_one(folder: Path, address: object) -> str:
    """Why a journal is not sent as a whole; empty: it is."""
    if not isinstance(address, str) or not address.startswith(("http://", "https://")):
        return "it does not say for which server it is: about.json is missing or damaged"
    if address_folder(folder.parent.parent, address) != folder.parent:
        return f"it says that it is for {redact(address)}, but lies in the folder of another address: nothing is sent"
    try:
        journal = Journal(folder)
    except Busy:
        return "a process that lives sends it"
    except OSError as error:
        return f"it cannot be opened: {error.filename or folder}: {error.strerror or error}"
    target = Target(Server(address), Identities(folder.parent), journal.payloads)
    delivery = Delivery(journal, target, threading.Event())
    try:
        while delivery.step():
            pass
        if journal.aside_count:
            delivery.retry_aside()
        delivery.tell_missing()
    except ServerAway as error:
        return str(error.message)
    finally:
        journal.close()
    return ""


def drop(root: Path, subject: str) -> int:
    """Give up what waits of one run, model or experiment; gives how many records.

    Raises:
        JournalError: a process that lives writes one of its journals.
    """
    count = 0
    for folder in sorted({folder for folder, _, _ in entries_of(root, subject)}):
        try:
            journal = Journal(folder)
        except Busy:
            raise JournalError(f"a process that lives writes {folder}; end it first, or wait until it ends") from None
        names = {subject, Identities(folder.parent).canonical(subject)}
        try:
            while window := journal.peek(1000):  # what goes on waiting waits as what is set aside does
                gone = [entry for entry in window if operation(entry.record).subject in names]
                count += len(gone)
                for entry in window:
                    if entry not in gone:
                        journal.dead_letter(entry.record, "kept while other records were dropped")
                journal.ack(window[-1].end, [entry.record for entry in gone])
            before = journal.aside_count
            journal.revise(partial(_without, names))
            count += before - journal.aside_count
        finally:
            journal.close()
    return count


def _without(names: set[str], window: list[Entry]) -> list[Entry]:
    return [entry for entry in window if operation(entry.record).subject not in names]


def export(root: Path, archive: Path) -> int:
    """Write all journals that no process holds, and the ids of their addresses, to a new archive; gives how many.

    Raises:
        OSError: it is there, or cannot be written.
    """
    count = 0
    with archive.open("xb") as file, tarfile.open(fileobj=file, mode="w:gz") as tar:
        for folder in journals(root):
            if look(folder).records and not is_in_use(folder):
                tar.add(folder, folder.relative_to(root).as_posix(), filter=_plain)
                count += 1
        for path in sorted(root.glob("*/identities.jsonl")):
            tar.add(path, path.relative_to(root).as_posix(), filter=_plain)
    return count


def import_archive(root: Path, archive: Path) -> int:
    """Take up the journals of an archive; gives how many. Ids are added to those that are known here.

    Raises:
        JournalError: it is no archive of journals, or one of them is here already; nothing is taken up then.
        OSError: it cannot be read.
    """
    root.mkdir(parents=True, exist_ok=True, mode=0o700)
    staging = root / f".import-{archive.name}"
    if staging.exists():
        _remove(staging)
    try:
        with tarfile.open(archive) as tar:
            tar.extractall(staging, filter="data")
        folders = journals(staging)
        for folder in folders:
            refuse_links(folder)
            if (root / folder.relative_to(staging)).exists():
                raise JournalError(f"{folder.name} is here already; send it or move it away first")
        for ids in staging.glob("*/identities.jsonl"):
            known = Identities(root / ids.parent.name)
            (root / ids.parent.name).mkdir(exist_ok=True, mode=0o700)
            for provisional, real in Identities(ids.parent).all().items():
                if known.find(provisional) is None:
                    known.record(provisional, real)
        for folder in folders:
            (root / folder.parent.name).mkdir(exist_ok=True, mode=0o700)
            folder.rename(root / folder.relative_to(staging))
        return len(folders)
    except (tarfile.TarError, EOFError) as error:
        raise JournalError(f"{archive} is no archive of journals: {error}") from None
    finally:
        _remove(staging)


def _plain(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    return member if member.isfile() or member.isdir() else None


def _remove(staging: Path) -> None:
    for folder in journals(staging):
        delete_journal(folder)
    for path in sorted(staging.rglob("*"), reverse=True):
        with suppress(OSError):
            path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
    with suppress(OSError):
        staging.rmdir()
