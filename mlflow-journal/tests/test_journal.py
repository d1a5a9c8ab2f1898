"""The queue on disk: what a kill, a full disk or a stranger's hand leaves of it."""

import json
import os
from pathlib import Path

import pytest
from mlflow_journal.errors import JournalFull, Unsendable
from mlflow_journal.files import Position, Segments
from mlflow_journal.journal import Busy, Entry, Journal, Record, read_unsent


def numbers(journal: Journal, most: int = 10_000) -> list[object]:
    return [entry.record.get("number") for entry in journal.peek(most)]


def filled(folder: Path, count: int) -> Journal:
    journal = Journal(folder)
    for number in range(count):
        journal.append({"op": "batch", "number": number})
    return journal


def test_records_are_read_in_order_after_the_process_is_gone(tmp_path: Path) -> None:
    filled(tmp_path / "j", 100).abandon()
    journal = Journal(tmp_path / "j")
    assert numbers(journal) == list(range(100))
    journal.ack(journal.peek(40)[-1].end, [])
    journal.close()
    again = Journal(tmp_path / "j")
    assert numbers(again) == list(range(40, 100))
    again.append({"op": "batch", "number": 100})
    ids = [entry.record["id"] for entry in again.peek(1000)]
    assert len(set(ids)) == len(ids)
    again.close()


def test_a_journal_cut_at_any_byte_loses_no_more_than_its_last_record(tmp_path: Path) -> None:
    filled(tmp_path / "whole", 5).abandon()
    content = (tmp_path / "whole/records/00000001.jsonl").read_bytes()
    for cut in range(len(content) + 1):
        folder = tmp_path / f"cut{cut}"
        (folder / "records").mkdir(parents=True)
        (folder / "records/00000001.jsonl").write_bytes(content[:cut])
        journal = Journal(folder)
        complete = content[:cut].count(b"\n")
        assert numbers(journal) == list(range(complete))
        journal.append({"op": "batch", "number": "next"})
        assert numbers(journal) == [*range(complete), "next"]
        journal.abandon()


def test_what_is_sent_is_deleted_while_more_is_written(tmp_path: Path) -> None:
    queue = Segments(tmp_path / "q", segment_bytes=1000)
    position, seen, largest = Position(1, 0), 0, 0
    for number in range(1000):
        queue.append(b"%06d" % number + b"x" * 50)
        if number % 10 == 9:
            lines = queue.read(position, 100)
            seen += len(lines)
            position = lines[-1].end
            queue.drop_before(position)
            largest = max(largest, sum(path.stat().st_size for path in (tmp_path / "q").iterdir()))
    assert seen == 1000
    assert largest < 3000
    queue.close()


def test_lines_longer_than_what_is_read_at_once(tmp_path: Path) -> None:
    queue = Segments(tmp_path / "q", segment_bytes=50_000)
    lines = [bytes([65 + number % 26]) * (1 + 7919 * number % 40_000) for number in range(50)]
    for line in lines:
        queue.append(line)
    found, position = [], Position(1, 0)
    while some := queue.read(position, 7, most_bytes=100):
        found += [line.content for line in some]
        position = some[-1].end
    assert found == lines
    queue.close()


def test_a_damaged_line_becomes_a_record_that_is_told(tmp_path: Path) -> None:
    filled(tmp_path / "j", 3).abandon()
    path = tmp_path / "j/records/00000001.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + b"\xff\x00 no json\n" + b"[" * 100_000 + b"\n" + b"[1]\n" + lines[2])
    journal = Journal(tmp_path / "j")
    assert [entry.record["op"] for entry in journal.peek(10)] == ["batch", "damaged", "damaged", "damaged", "batch"]
    journal.abandon()


@pytest.mark.parametrize(
    "content", [b"", b"no", b"{}", b"[]", b'{"segment":9,"offset":0}', b'{"segment":1,"offset":-5}']
)
def test_where_the_offset_is_unreadable_all_is_sent_again(tmp_path: Path, content: bytes) -> None:
    journal = filled(tmp_path / "j", 3)
    journal.ack(journal.peek(2)[-1].end, [])
    journal.abandon()
    (tmp_path / "j/sent.json").write_bytes(content)
    again = Journal(tmp_path / "j")
    assert numbers(again) == [0, 1, 2]
    again.abandon()


def test_dead_letters_are_kept_revised_and_counted(tmp_path: Path) -> None:
    journal = filled(tmp_path / "j", 10)
    for entry in journal.peek(10):
        journal.dead_letter(entry.record, f"no {entry.record['number']}")
    journal.ack(journal.end, [])
    assert not journal.is_empty

    def handle(window: list[Entry]) -> list[Entry]:
        return [entry._replace(answer="still no") for entry in window if entry.record["number"] % 2]

    journal.revise(handle, most=3)
    assert [(entry.record["number"], entry.answer) for entry in journal.dead_letters()] == [
        (number, "still no") for number in (1, 3, 5, 7, 9)
    ]
    assert journal.aside_count == 5
    journal.close()
    again = Journal(tmp_path / "j")
    assert again.aside_count == 5
    again.revise(lambda window: [])
    assert again.is_empty
    again.close()
    assert not (tmp_path / "j").exists()


def test_one_process_holds_a_journal(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j")
    with pytest.raises(Busy):
        Journal(tmp_path / "j")
    journal.abandon()
    Journal(tmp_path / "j").abandon()


def test_a_payload_is_a_copy_that_stays_until_it_has_arrived(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j")
    source = tmp_path / "file.txt"
    source.write_text("first")
    name = journal.add_payload(source, source.name)
    source.write_text("second")
    assert journal.payloads.find(name).read_text() == "first"
    record: Record = {"op": "artifact", "payload": name}
    journal.append(record, force=True)
    journal.ack(journal.end, [record])
    with pytest.raises(Unsendable, match="gone"):
        journal.payloads.find(name)
    journal.close()
    assert not (tmp_path / "j").exists()


def test_a_folder_is_copied_as_it_is_uploaded_without_links_to_folders(tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "deep/er").mkdir(parents=True)
    (source / "deep/er/a").write_text("a")
    (source / "empty").write_text("")
    (source / "link").symlink_to(source / "deep/er/a")
    (source / "loop").symlink_to(source)
    journal = Journal(tmp_path / "j")
    found = journal.payloads.find(journal.add_payload(source, "source"))
    files = {path.relative_to(found).as_posix(): path.read_text() for path in found.rglob("*") if path.is_file()}
    assert files == {"deep/er/a": "a", "empty": "", "link": "a"}
    journal.abandon()


@pytest.mark.parametrize("name", ["../../secret", "/etc/hostname", "000001/../../../secret", "", "."])
def test_a_payload_elsewhere_is_never_sent_nor_deleted(tmp_path: Path, name: str) -> None:
    (tmp_path / "secret").write_text("secret")
    journal = Journal(tmp_path / "j")
    with pytest.raises(Unsendable):
        journal.payloads.find(name)
    journal.append({"op": "artifact", "payload": name})
    journal.ack(journal.end, [{"op": "artifact", "payload": name}])
    assert (tmp_path / "secret").read_text() == "secret"
    assert Path("/etc/hostname").exists() or name != "/etc/hostname"
    journal.abandon()


def test_links_are_refused(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "file").write_text("mine")
    journal = Journal(tmp_path / "j")
    place = tmp_path / "j/payloads/000001"
    place.mkdir()
    (place / "file").symlink_to(elsewhere / "file")
    with pytest.raises(Unsendable):
        journal.payloads.find("000001/file")
    journal.abandon()
    for name in ("records", "lock", "sent.json"):
        folder = tmp_path / f"with-{name}"
        folder.mkdir()
        (folder / name).symlink_to(elsewhere)
        with pytest.raises(OSError, match="link"):
            Journal(folder)
    segment = tmp_path / "segment"
    (segment / "records").mkdir(parents=True)
    (segment / "records/00000001.jsonl").symlink_to(elsewhere / "file")
    with pytest.raises(OSError, match="link"):
        Journal(segment)
    assert (elsewhere / "file").read_text() == "mine"


def test_a_limit_is_an_error_of_its_own_and_leaves_the_journal_usable(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j", max_bytes=1000)
    while journal.records.bytes_on_disk < 960:
        journal.append({"op": "batch", "number": 7})
    count = len(journal.peek(1000))
    with pytest.raises(JournalFull, match="MLFLOW_JOURNAL_MAX_BYTES"):
        journal.append({"op": "batch", "text": "x" * 100})
    assert len(journal.peek(1000)) == count
    big = tmp_path / "big"
    big.write_bytes(b"x" * 2000)
    with pytest.raises(JournalFull):
        journal.add_payload(big, "big")
    journal.ack(journal.end, [])
    journal.abandon()


def test_a_write_that_fails_leaves_no_half_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = filled(tmp_path / "j", 2)
    real = os.write

    def half(descriptor: int, content: bytes) -> int:
        return real(descriptor, content[: len(content) // 2])

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", half)
        with pytest.raises(JournalFull, match="No space left"):
            journal.append({"op": "batch", "number": 2})
    journal.append({"op": "batch", "number": 3})
    assert numbers(journal) == [0, 1, 3]
    journal.abandon()


def test_every_record_has_a_version_and_an_id(tmp_path: Path) -> None:
    journal = filled(tmp_path / "j", 3)
    journal.abandon()
    found = [json.loads(line) for line in (tmp_path / "j/records/00000001.jsonl").read_text().splitlines()]
    assert [record["v"] for record in found] == [1, 1, 1]
    assert len({record["id"] for record in found}) == 3
    assert [entry.record["number"] for entry in read_unsent(tmp_path / "j")] == [0, 1, 2]
