import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmnist.tracking.journal import JOURNAL, Journal, read_journal, unsent_bytes
from kmnist.tracking.records import Record

records = st.lists(st.dictionaries(st.text(), st.text() | st.floats(allow_nan=False) | st.integers()), max_size=6)


@contextmanager
def opened(folder: Path) -> Iterator[Journal]:
    journal = Journal(folder)
    yield journal
    journal.close()


def drain(journal: Journal) -> list[Record]:
    found = []
    while items := journal.peek(timeout=0, most=2):
        found += [entry.record for entry in items]
        journal.strike(*items)
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
            journal.strike(*journal.peek(timeout=0))
    with opened(folder) as reopened:
        assert drain(reopened) == records[arrived:]


def test_a_closed_journal_is_gone_if_all_arrived_and_stays_if_not(tmp_path: Path) -> None:
    for arrived in (True, False):
        folder = tmp_path / str(arrived)
        with opened(folder) as journal:
            payload = journal.payloads.new("text.txt")
            payload.write_text("content")
            journal.append({"op": "x"})
            if arrived:
                drain(journal)
        assert (folder / JOURNAL).exists() == payload.exists() == (not arrived)


def test_payloads_of_the_same_name_do_not_meet(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        first, second = journal.payloads.new("a"), journal.payloads.new("a")
        assert first != second
        first.write_text("x")
        first.unlink()
        assert journal.payloads.new("a") not in (first, second)


def test_a_waiting_reader_wakes_up(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        threading.Timer(0.05, journal.append, [{"op": "late"}]).start()
        [entry] = journal.peek(timeout=10)
    assert entry.record == {"op": "late"}


def test_a_line_that_the_disk_has_spoilt_is_a_record_that_says_so(tmp_path: Path) -> None:
    (tmp_path / JOURNAL).write_bytes(b'{"op": "a"}\n\x00\x00\xff\n[1]\n{"op": "b"}\n')
    with opened(tmp_path) as journal:
        assert [record["op"] for record in drain(journal)] == ["a", "damaged", "damaged", "b"]


def test_without_the_position_all_is_sent_again(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        journal.append({"op": "a"})
        journal.append({"op": "b"})
        journal.strike(*journal.peek(timeout=0))
        assert unsent_bytes(tmp_path) == journal.unsent_bytes == len('{"op": "b"}\n')
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


def test_what_is_set_aside_stays_with_its_answer_and_its_payload_until_it_arrives(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        payload = journal.payloads.new("text.txt")
        payload.write_text("content")
        journal.append({"op": "file", "payload": journal.payloads.keep(payload), "folder": ""})
        journal.append({"op": "b"})
        journal.set_aside(journal.peek(timeout=0)[0], "413")
        assert [record["op"] for record in drain(journal)] == ["b"]
    waiting = read_journal(tmp_path)
    assert waiting is not None
    assert [(record["op"], answer) for record, answer in waiting.aside] == [("file", "413")]
    with opened(tmp_path) as reopened:
        [(entry, answer)] = reopened.aside
        assert (entry.record["op"], answer, payload.read_text()) == ("file", "413", "content")
        assert reopened.unsent_bytes == waiting.unsent_bytes == entry.end - entry.start
        reopened.strike(entry)
        assert not payload.exists()
    assert read_journal(tmp_path) is None


@given(st.data())
def test_a_damaged_file_of_progress_lets_all_be_sent_again(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("journal")
    with opened(folder) as journal:
        for op in "abc":
            journal.append({"op": op})
        journal.set_aside(journal.peek(timeout=0)[0], "413")
        journal.strike(*journal.peek(timeout=0))
        content = (folder / "sent").read_bytes()
    spoilt = data.draw(
        st.sampled_from(
            [b"-1", b"99999", b"\x00" * 9, content.replace(b":12", b":9999"), content.replace(b":0", b":null")]
        )
        | st.integers(0, len(content) - 1).map(lambda cut: content[:cut])
    )
    (folder / "sent").write_bytes(spoilt)
    with opened(folder) as reopened:
        assert [entry.record["op"] for entry, _ in reopened.aside] == []
        assert "".join(record["op"] for record in drain(reopened)) in ("abc", "c")  # a cut number may be one, too


def test_what_an_older_version_gave_up_and_how_far_it_was_is_read(tmp_path: Path) -> None:
    (tmp_path / JOURNAL).write_text('{"op": "a"}\n{"op": "b"}\n')
    (tmp_path / "sent").write_text("12")
    (tmp_path / "rejected.jsonl").write_text('{"reason": "immutable", "op": "params"}\n')
    waiting = read_journal(tmp_path)
    assert waiting is not None
    assert [answer for _, answer in waiting.aside] == ["immutable"]
    with opened(tmp_path) as journal:
        assert drain(journal) == [{"op": "b"}, {"op": "params"}]
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", [JOURNAL, "sent", "sent.tmp", "payloads", "lock"])
def test_a_folder_with_links_is_left_alone(tmp_path: Path, name: str) -> None:
    outside = tmp_path / "outside"
    outside.write_text("half a line")
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / name).symlink_to(outside)
    with pytest.raises(OSError, match="it is a link"):
        Journal(folder)
    assert outside.read_text() == "half a line"
