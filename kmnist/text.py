"""Text from outside (tags, names of runs, studies and files) on its way to a terminal or a spreadsheet."""

import json
import sys
import unicodedata
from collections.abc import Iterable, Sequence

from kmnist.addresses import redact

#: Control characters, invisible ones (those that turn the direction of writing, too), halves of characters, and the
#: separators of lines and paragraphs.
_NOT_SHOWN = {"Cc", "Cf", "Cs", "Zl", "Zp"}
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def for_terminal(text: str) -> str:
    r"""One line without passwords, and without characters that a terminal would obey: ``\x1b`` is shown as such."""
    return "".join(_escaped(char) if unicodedata.category(char) in _NOT_SHOWN else char for char in redact(text))


def for_csv(text: str) -> str:
    """A cell that no spreadsheet takes for a formula.

    After OWASP, "CSV Injection" (https://owasp.org/www-community/attacks/CSV_Injection).
    """
    return f"'{text}" if text.startswith(_FORMULA) else text


def for_json(text: str) -> str:
    r"""The same JSON, with ``\u009b`` for what a terminal would obey."""
    return "".join(json.dumps(char)[1:-1] if unicodedata.category(char) in _NOT_SHOWN else char for char in text)


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table whose columns stand apart: MLflow's page gives its cells no padding."""
    first, *others = ("| " + " | ".join(f"{cell}&emsp;" for cell in line) + " |" for line in (header, *rows))
    return "\n".join([first, "| --- " * len(header) + "|", *others])


def complain(message: str) -> None:
    """An error or a warning, on standard error."""
    for place, line in enumerate(message.split("\n")):
        print(("" if place else "kmnist: ") + for_terminal(line), file=sys.stderr)  # noqa: T201 - workers have no screen, but they complain


def _escaped(char: str) -> str:
    return char.encode("unicode_escape", "surrogatepass").decode("ascii")
