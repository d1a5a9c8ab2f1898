"""The code that a run was made by: its commit, and what of it was changed since."""

import subprocess
from pathlib import Path

from kmnist.addresses import redact

MOST_BYTES = 200_000  # of a patch that a run keeps: hundreds of trials each have one
MOST_NAMED = 100  # files that git does not know
#: Whose changes are never kept, although git knows them.
SECRET = ("**/.env*", "**/*.env", "**/*.pem", "**/*.key", "**/*secret*", "**/*credential*")


def commit() -> str:
    """Of the repository that this file is one of; empty where it is of none, as in an installed package."""
    here = Path(__file__).resolve()
    return git("rev-parse", "HEAD").decode().strip() if git("ls-files", "--error-unmatch", str(here)) else ""


def is_changed() -> bool:
    """Whether a file that git knows differs from the commit."""
    return bool(git("status", "--porcelain", "--untracked-files=no").strip())


def patch() -> bytes:
    """What ``git apply`` makes of the commit the code as it is; empty if nothing was changed, or more than is kept.

    Of files that git does not know it has the names only, as lines of comment; passwords in addresses are hidden.
    """
    root = git("rev-parse", "--show-toplevel").decode(errors="surrogateescape").rstrip("\n")
    without = [f":(top,exclude,glob,icase){pattern}" for pattern in SECRET]
    found = git("diff", "HEAD", "--no-color", "--no-ext-diff", "--no-textconv", "--", ":/", *without)
    if not found or len(found) > MOST_BYTES:
        return b""
    unknown = git("-C", root, "ls-files", "--others", "--exclude-standard").splitlines()
    names = b"".join(b"# not in git: " + name + b"\n" for name in unknown[:MOST_NAMED])
    return redact((names + found).decode(errors="surrogateescape")).encode(errors="surrogateescape")


def git(*arguments: str) -> bytes:
    """Output of a git command on the repository that this file is in; empty where there is none."""
    folder = Path(__file__).resolve().parent
    command = ["git", "--no-optional-locks", "-C", str(folder), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return b""
    return done.stdout if done.returncode == 0 else b""
