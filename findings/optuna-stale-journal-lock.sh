#!/usr/bin/env bash
# Optuna never frees the stale lock of a journal file that was named by a relative path with a folder in it.
#
# Versions: optuna 5.0.0, Python 3.11, Linux.
#
# JournalFileSymlinkLock is the default lock of JournalFileBackend. A process that is killed while it writes leaves the
# lock, a symbolic link, behind; the next process is to free it after a grace period (30 s by default).
#
# Plausible guess: the grace period holds for every path. It does for an absolute path, and for a file in the current
# folder. For `JournalFileBackend("studies/journal.log")` it never ends: the link `studies/journal.log.lock` gets
# "studies/journal.log" for its target, which a link resolves from its own folder, so it leads to nothing. The age of
# the lock is read with os.stat, which follows the link and fails, and the loop goes on without counting or sleeping.
# Every later process waits for ever, and keeps a core busy meanwhile. Way round: give the backend an absolute path.
#
# Output seen:
#   journal.log: freed
#   absolute path of studies/journal.log: freed
#   studies/journal.log: not freed
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet optuna==5.0.0
cd "$folder"
cat >check.py <<'PYTHON'
import os
import threading

from optuna.storages.journal import JournalFileSymlinkLock

GRACE_SECONDS, WAIT_SECONDS = 3, 20


def is_freed(path: str) -> bool:
    """Whether a lock that a killed process left is freed within several grace periods."""
    open(path, "w").close()
    os.symlink(path, path + ".lock")  # as JournalFileSymlinkLock.acquire() makes it
    lock = JournalFileSymlinkLock(path, grace_period=GRACE_SECONDS)
    waiting = threading.Thread(target=lock.acquire, daemon=True)
    waiting.start()
    waiting.join(WAIT_SECONDS)
    return not waiting.is_alive()


os.mkdir("studies")
os.mkdir("absolute")
seen = {
    "journal.log": is_freed("journal.log"),
    "absolute path of studies/journal.log": is_freed(os.path.abspath("absolute/journal.log")),
    "studies/journal.log": is_freed("studies/journal.log"),
}
for name, freed in seen.items():
    print(f"{name}: {'freed' if freed else 'not freed'}")
os._exit(list(seen.values()) != [True, True, False])
PYTHON
PYTHONUNBUFFERED=1 "$folder/venv/bin/python" check.py
