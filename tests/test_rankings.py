"""Runs are ranked against runs that were tested on the same images, and no others."""

from kmnist.config import TrainConfig
from kmnist.record import TrackedRun
from kmnist.report import Report, Source, arrange
from kmnist.report.arrange import rankings
from kmnist.report.blocks import Figure, Heading, Paragraph, Table
from kmnist.report.sections.verdict import verdict

PARAMS = TrainConfig.parse({}).as_text()


def source(
    run_id: str, dataset: str, digest: str, test: float | None, valid: float = 0.9, *, ours: bool = True, at: int = 1
) -> Source:
    metrics = {"train/loss": 0.1, "best/valid_accuracy": valid} if ours else {}
    metrics |= {"test/accuracy": test, "test/loss": 0.2} if test is not None else {}
    tags = {"dataset": dataset, "data.official": str(dataset == "kmnist").lower()} if dataset else {}
    digests = {"test": digest} if digest else {}
    run = TrackedRun(run_id, run_id, "FINISHED", PARAMS if ours else {}, metrics, tags, digests)
    return Source(run, started_ms=at)


STRIPES = source("stripes", "stripes", "ss", 1.0, valid=1.0)
GOOD, FAIR = source("good", "kmnist", "kk", 0.95, valid=0.97), source("fair", "kmnist", "kk", 0.94, valid=0.96)
UNTESTED = source("untested", "kmnist", "", None)
CHANGED = source("changed", "kmnist", "other", 0.99, valid=0.99, at=9)
FOREIGN = source("foreign", "", "", None, ours=False)


def test_each_set_of_test_images_has_a_ranking_of_its_own() -> None:
    found = arrange([FOREIGN, STRIPES, FAIR, UNTESTED, CHANGED, GOOD])
    assert [one.run.run_id for one in found] == ["good", "fair", "untested", "changed", "stripes", "foreign"]
    assert [one.letter for one in found] == list("ABCDEF")
    names = [[one.run.run_id for one in ranking] for ranking in rankings(found)]
    assert names == [["good", "fair", "untested"], ["changed"], ["stripes"]]


def test_the_verdict_names_a_best_run_for_each() -> None:
    blocks = verdict(Report("several", arrange([STRIPES, FAIR, CHANGED, GOOD]))).blocks
    text = " ".join(block.text for block in blocks if isinstance(block, Paragraph))
    assert "3 different sets of images, so there are 3 rankings" in text
    assert "**A** good is the best of 2" in text
    assert "best of 4" not in text
    assert [block.text for block in blocks if isinstance(block, Heading)] == [
        "On kmnist (kk)",
        "On kmnist (other)",
        "On stripes (ss)",
    ]
    assert [len(block.rows) for block in blocks if isinstance(block, Table)] == [2, 1, 1]
    figures = [block.name for block in blocks if isinstance(block, Figure)]
    assert len(figures) == len(set(figures))


def test_one_ranking_has_no_heading() -> None:
    blocks = verdict(Report("one", arrange([FAIR, GOOD]))).blocks
    assert not [block for block in blocks if isinstance(block, Heading)]
    assert "0 rankings" not in str(blocks)


def test_a_difference_of_nothing_has_no_winner() -> None:
    level = source("level", "kmnist", "kk", GOOD.test("accuracy"), valid=0.5)
    text = str(verdict(Report("level", arrange([GOOD, level]))).blocks)
    assert "It is level with **B** level on the test images" in text
    assert "ahead of" not in text
    assert "behind" not in text
