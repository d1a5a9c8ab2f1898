"""Text from outside reaches a terminal or a spreadsheet as text."""

import json
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmnist.cli.printer import Printer
from kmnist.text import complain, for_csv, for_json, for_terminal
from kmnist.tuning.definition import parse
from kmnist.tuning.storage import open_storage
from kmnist.tuning.study import create_study
from tests.commands import Command

POISONED = "[/bold][red]a:smile: \x1b]0;owned\x07\x1b[2J\x9b31m\u202egnp.exe\r\n\t\ud800 http://me:s3cret@host"
SHOWN = r"[/bold][red]a:smile: \x1b]0;owned\x07\x1b[2J\x9b31m\u202egnp.exe\r\n\t\ud800 http://me:***@host"


def test_what_a_terminal_would_obey_is_shown_as_text(capsys: pytest.CaptureFixture[str]) -> None:
    Printer().say(POISONED)
    assert capsys.readouterr().out == SHOWN + "\n"
    complain(POISONED.replace("\n", ""))
    assert capsys.readouterr().err == f"kmnist: {SHOWN}\n".replace(r"\n", "")


def test_a_table_shows_text_as_text(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    Printer().table(["name", "kana"], [[POISONED, "つ"], ["[blue]x", "[/]"]])
    head, first, second = capsys.readouterr().out.splitlines()
    assert head.split() == ["name", "kana"]
    assert first.split() == [*SHOWN.split(), "つ"]
    assert second.split() == ["[blue]x", "[/]"]


@given(st.text())
def test_nothing_reaches_a_terminal_that_it_would_obey(text: str) -> None:
    for shown in (for_terminal(text), for_json(json.dumps(text, ensure_ascii=False))):
        assert not any(unicodedata.category(char) in ("Cc", "Cf", "Cs", "Zl", "Zp") for char in shown)
    assert json.loads(for_json(json.dumps(text, ensure_ascii=False))) == text


@pytest.mark.parametrize("formula", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"])
def test_a_formula_is_text(formula: str) -> None:
    assert for_csv(formula) == f"'{formula}"
    assert for_csv(f"a{formula}") == f"a{formula}"


def test_a_poisoned_study_is_listed(kmnist_command: Command, tmp_path: Path) -> None:
    definition, budget = parse({"search": {"learning_rate": None}, "trials": 1})
    study = create_study(
        open_storage("studies.log"), "s", definition, budget, {"dataset": "sample", "train SHA-256": "0"}
    )
    study.optuna.set_user_attr("run_id", POISONED.replace("\ud800", ""))
    done = kmnist_command("studies")
    assert done.returncode == 0
    assert SHOWN.replace(r"\ud800", "").split()[0] in done.stdout
    assert "\x1b" not in done.stdout
    assert "s3cret" not in done.stdout
