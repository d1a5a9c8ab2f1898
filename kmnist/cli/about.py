"""What a user says of a run: ``--tag`` and ``--note``."""

import re
from collections.abc import Sequence
from typing import Annotated

from cyclopts import Parameter

from kmnist import record
from kmnist.errors import SettingError
from kmnist.settings import shorten

MOST_TAG = 2_000  # characters: MLflow cuts off a tag at 8,000, and our own note follows that of the user

Tags = Annotated[
    list[str] | None,
    Parameter(
        name="--tag",
        metavar="KEY=VALUE",
        show_default=False,
        help="a tag of the run, and of all runs below it; can be given more than once; keep=true: kmnist runs prune "
        "spares them",
    ),
]
Note = Annotated[
    str | None,
    Parameter(metavar="TEXT", show_default=False, help="Markdown that stands above what MLflow shows of the run"),
]


def about_run(tags: Sequence[str] | None, note: str | None) -> dict[str, str]:
    """What a user says of a run, as its tags; the note is ``record.NOTE``.

    Raises:
        SettingError: it is malformed, too long, or a tag of ours.
    """
    found: dict[str, str] = {}
    for text in tags or []:
        key, equals, value = text.partition("=")
        if not equals or not re.fullmatch(r"[\w./: -]{1,100}", key) or len(value) > MOST_TAG:
            raise SettingError(
                f"tag={shorten(text)}: must be KEY=VALUE, the key of letters, digits and ./:_- (at most 100), the "
                f"value of at most {MOST_TAG:,} characters"
            )
        if record.is_own_tag(key):
            raise SettingError(
                f"tag={shorten(text)}: {key} is written by kmnist or MLflow; take another, like my.{key}"
            )
        found[key] = value
    if note is not None and len(note) > MOST_TAG:
        raise SettingError(f"note={shorten(note)}: has {len(note):,} characters; at most {MOST_TAG:,}")
    return found | ({record.NOTE: note} if note else {})
