import json
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmnist.tracking.journal import JOURNAL, Journal, Record, unsent_bytes

records = st.lists(st.dictionaries(st.text(), st.text() | st.floats(allow_nan=False) | st.integers()), max_size=6)


@contextmanager
def opened(folder: Path) -> Iterator[Journal]:
    journal = Journal(folder)
    yield journal
    journal.close()


def drain(journal: Journal) -> list[Record]:
    found = []
    while items := journal.peek(timeout=0, most=2):
        found += [record for record, _ in items]
        journal.strike(items[-1][1])
    return found


@given(records, st.data())
def test_a_process_killed_at_any_byte_leaves_a_readable_journal(
    tmp_path_factory: pytest.TempPathFactory, records: list[Record], data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("journal")
    with opened(folder) as journal:
        for record in records:
            journal.append(record)
        content = (folder / JOURNAL).read_bytes()
    cut = data.draw(st.integers(0, len(content)))
    whole = content[:cut].count(b"\n")
    (folder / JOURNAL).write_bytes(content[:cut])
    with opened(folder) as reopened:
        reopened.append({"after": "the kill"})
        assert drain(reopened) == [*records[:whole], {"after": "the kill"}]


@given(records, st.data())
def test_what_was_struck_off_is_not_read_again(
    tmp_path_factory: pytest.TempPathFactory, records: list[Record], data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("journal")
    arrived = data.draw(st.integers(0, len(records)))
    with opened(folder) as journal:
        for record in records:
            journal.append(record)
        for _ in range(arrived):
            [(_, position)] = journal.peek(timeout=0)
            journal.strike(position)
    with opened(folder) as reopened:
        assert drain(reopened) == records[arrived:]


def test_a_closed_journal_is_gone_if_all_arrived_and_stays_if_not(tmp_path: Path) -> None:
    for arrived in (True, False):
        folder = tmp_path / str(arrived)
        with opened(folder) as journal:
            payload = journal.new_payload("text.txt")
            payload.write_text("content")
            journal.append({"op": "x"})
            if arrived:
                drain(journal)
        assert (folder / JOURNAL).exists() == payload.exists() == (not arrived)


def test_payloads_of_the_same_name_do_not_meet(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        first, second = journal.new_payload("a"), journal.new_payload("a")
        assert first != second
        first.write_text("x")
        first.unlink()
        assert journal.new_payload("a") not in (first, second)


def test_a_waiting_reader_wakes_up(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        threading.Timer(0.05, journal.append, [{"op": "late"}]).start()
        [(record, _)] = journal.peek(timeout=10)
    assert record == {"op": "late"}


def test_a_line_that_the_disk_has_spoilt_is_a_record_that_says_so(tmp_path: Path) -> None:
    (tmp_path / JOURNAL).write_bytes(b'{"op": "a"}\n\x00\x00\xff\n[1]\n{"op": "b"}\n')
    with opened(tmp_path) as journal:
        assert [record["op"] for record in drain(journal)] == ["a", "damaged", "damaged", "b"]


def test_without_the_position_all_is_sent_again(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        journal.append({"op": "a"})
        journal.append({"op": "b"})
        journal.strike(journal.peek(timeout=0)[0][1])
        assert unsent_bytes(tmp_path) == journal.pending_bytes == len('{"op": "b"}\n')
    (tmp_path / "sent").write_text("")  # as a machine leaves it that loses its power
    with opened(tmp_path) as reopened:
        assert [record["op"] for record in drain(reopened)] == ["a", "b"]
    assert unsent_bytes(tmp_path) == 0


def test_a_record_that_does_not_fit_on_the_disk_leaves_no_half(small_disk: Path) -> None:
    with opened(small_disk) as journal:
        journal.append({"op": "a"})
        (small_disk / "filler").write_bytes(b"x" * (shutil.disk_usage(small_disk).free - 4096))
        with pytest.raises(OSError, match="No space left"):
            journal.append({"op": "x" * 10_000})
        (small_disk / "filler").unlink()
        journal.append({"op": "b"})
        assert [record["op"] for record in drain(journal)] == ["a", "b"]


def test_rejected_records_are_kept_with_their_reason(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        journal.reject({"op": "params"}, "immutable")
    assert json.loads((tmp_path / "rejected.jsonl").read_text()) == {"reason": "immutable", "op": "params"}
