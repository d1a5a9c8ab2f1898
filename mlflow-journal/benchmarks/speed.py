"""What the journal costs, as ratios to MLflow's own client and to a program that tracks nothing, in one execution.

python mlflow-journal/benchmarks/speed.py --rounds 5

Every figure is the median over rounds in which both sides take turns, each in a fresh process, before a real
``mlflow server`` over SQLite on this machine. Choose parts of the table by name: ``speed.py calls loop``.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from mlflow import MlflowClient
from mlflow_journal.testing import MlflowServer
from mlflow_journal.testing.programs import Program, begin, sync

MEASURED = Path(__file__).with_name("measured.py")
#: A program's start, with the plugin's entry points as they are or as if it were not installed.
START = """
import importlib.metadata as metadata, sys
found = metadata.entry_points
if sys.argv[1] == "absent":
    metadata.entry_points = lambda **chosen: metadata.EntryPoints(
        point for point in found(**chosen) if not point.value.startswith("mlflow_journal"))
import mlflow
mlflow.MlflowClient("http://127.0.0.1:9")
"""


class Bench:
    """A server, a folder, and processes before it."""

    def __init__(self, folder: Path, options: argparse.Namespace) -> None:
        self.folder, self.options = folder, options
        self.server = MlflowServer(folder / "server")
        self._number = 0

    def measure(self, what: str, *arguments: object, journal: bool, **environment: str) -> dict[str, Any]:
        """One fresh process; gives what it found, and its experiment and journal's folder."""
        found, _ = self.observe(what, *arguments, journal=journal, on_line=None, **environment)
        return found

    def observe(
        self,
        what: str,
        *arguments: object,
        journal: bool,
        on_line: Callable[[str], None] | None,
        **environment: str,
    ) -> tuple[dict[str, Any], str]:
        """The same; ``on_line`` hears what the process prints."""
        self._number += 1
        experiment, place = f"{what} {self._number}", self.folder / f"{what}{self._number}"
        program = Program(what, ("python", str(MEASURED), what, *map(str, arguments)))
        folder = place / "journal" if journal else None
        process, _ = begin(program, self.server.url, experiment, place, folder, **environment)
        assert process.stdout is not None
        printed = []
        with process:
            for line in process.stdout:
                if on_line is not None:
                    on_line(line)
                printed.append(line)
        answers = [line for line in printed if line.startswith("{")]
        if not answers:
            raise RuntimeError(f"{what} {arguments} ended with {process.returncode}:\n{''.join(printed)[-3000:]}")
        return {**json.loads(answers[-1]), "experiment": experiment, "journal": folder}, "".join(printed)

    def count(self, experiment: str) -> tuple[int, int]:
        """Points of all runs of an experiment on the server, and how many of them are there more than once."""
        client = MlflowClient(self.server.url)
        found = client.get_experiment_by_name(experiment)
        if found is None:
            return 0, 0
        whole = doubled = 0
        for run in client.search_runs([found.experiment_id]):
            for key in run.data.metrics:
                steps = [point.step for point in client.get_metric_history(run.info.run_id, key)]
                whole, doubled = whole + len(steps), doubled + len(steps) - len(set(steps))
        return whole, doubled

    def deliver(self, found: dict[str, Any]) -> None:
        """Send what the process left behind."""
        if found["journal"] is not None:
            sync(found["journal"], self.server.url)


def calls(bench: Bench) -> Iterator[str]:
    """A call of ``mlflow.log_metric``."""
    few, many = bench.options.calls // 10, bench.options.calls
    rows: dict[str, list[tuple[float, float, float]]] = {}
    for _ in range(bench.options.rounds):
        bench.server.start()
        official = bench.measure("calls", few, journal=False)["median"]
        found = {"up": bench.measure("calls", many, journal=True)}
        found["up, each call forced"] = bench.measure("calls", few, journal=True, MLFLOW_JOURNAL_SYNC="always")
        bench.server.kill()
        found["down"] = bench.measure("calls", many, journal=True, MLFLOW_JOURNAL_EXIT_SECONDS="0")
        for name, one in found.items():
            row = one["median"] / official, one["p99"] / official, max(one["megabytes"], one["megabytes_more"])
            rows.setdefault(name, []).append(row)
        rows.setdefault("official", []).append((official * 1000, 0, 0))
    yield f"log_metric, official client: median {_median(rows.pop('official'), 0):.2f} ms"
    for name, measured in rows.items():
        middle, slow, memory = (_median(measured, column) for column in range(3))
        yield (
            f"log_metric, server {name}: median 1/{1 / middle:.0f} and 99th percentile 1/{1 / slow:.1f} of the "
            f"official client's median; {memory:.1f} MB more"
        )


def loop(bench: Bench) -> Iterator[str]:
    """A loop of 400 steps whose server is killed at step 100 and started again at 300."""
    rows = []
    for _ in range(bench.options.rounds):
        seconds = {}
        for tracked in ("untracked", "tracked"):
            bench.server.start()
            found, _ = bench.observe(
                "loop", 400, tracked, journal=tracked == "tracked", on_line=_outage(bench.server, 100, 300)
            )
            bench.server.wait()
            seconds[tracked] = found["seconds"]
            bench.deliver(found)
            whole, doubled = bench.count(found["experiment"])
            bench.server.kill()
        rows.append((seconds["tracked"] / seconds["untracked"], found["slowest"], whole, doubled, found["megabytes"]))
    yield (
        f"loop of 400 steps through an outage: {_median(rows, 0):.3f} times the loop without tracking, slowest call "
        f"{max(row[1] for row in rows):.3f} s, at least {min(row[2] for row in rows)} of 1200 points, "
        f"{sum(row[3] for row in rows)} doubled; {max(row[4] for row in rows):.1f} MB more"
    )


def _outage(server: MlflowServer, away: int, back: int) -> Callable[[str], None]:
    def hear(line: str) -> None:
        if line == f"step {away}\n":
            server.kill()
        elif line == f"step {back}\n":
            server.begin()

    return hear


def points(bench: Bench) -> Iterator[str]:
    """Many points, from the first call until all are on the server."""
    rows, count = [], bench.options.points
    bench.server.start()
    for _ in range(bench.options.point_rounds):
        direct = bench.measure("points", count, "batches", journal=False)["logged"]
        found = bench.measure("points", count, "calls", journal=True, MLFLOW_JOURNAL_EXIT_SECONDS="3600")
        ended = time.time()
        whole, doubled = bench.count(found["experiment"])
        rows.append(((ended - found["began"]) / direct, found["megabytes"], whole, doubled, direct, found["logged"]))
    bench.server.kill()
    yield (
        f"{count} points by log_metric: {_median(rows, 0):.2f} times direct log_batch of 1,000 "
        f"({_median(rows, 4):.1f} s), "
        f"the calls themselves {_median(rows, 5):.1f} s; {min(row[2] for row in rows)} points there, "
        f"{sum(row[3] for row in rows)} doubled; {_median(rows, 1):.1f} MB more"
    )


def artifact(bench: Bench) -> Iterator[str]:
    """A big artifact: the call, beside a bare copy on the same disk."""
    path = bench.folder / "big"
    with path.open("wb") as file:
        for _ in range(bench.options.megabytes):
            file.write(bytes(range(256)) * 4096)
    bench.server.start()
    rows = []
    for _ in range(bench.options.point_rounds):
        found = bench.measure(*("artifact", path, bench.folder), journal=True, MLFLOW_JOURNAL_EXIT_SECONDS="600")
        rows.append((found["log"] / found["copy"], found["copy"], found["megabytes"]))
    bench.server.kill()
    path.unlink()
    yield (
        f"log_artifact of {bench.options.megabytes} MB: {_median(rows, 0):.2f} times a bare copy "
        f"({_median(rows, 1):.2f} s); the process had at most {_median(rows, 2):.0f} MB"
    )


def start(bench: Bench) -> Iterator[str]:
    """A program's start, in seconds of processor."""
    rows = []
    for _ in range(max(bench.options.rounds * 4, 12)):
        used = {}
        for state in ("absent", "off", "on"):
            used[state] = _processor_seconds(bench.folder, state)
        rows.append((used["off"] - used["absent"], used["on"] - used["absent"], used["absent"]))
    yield (
        f"start of a program ({_median(rows, 2) * 1000:.0f} ms of processor without the plugin): plugin off "
        f"{_median(rows, 0) * 1000:+.1f} ms, on {_median(rows, 1) * 1000:+.1f} ms"
    )


def _processor_seconds(folder: Path, state: str) -> float:
    import resource

    from mlflow_journal.testing.programs import plain_environment

    environment = {**plain_environment(), **({"MLFLOW_JOURNAL_DIR": str(folder / "start")} if state == "on" else {})}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", START, state], check=True, env=environment, cwd=folder)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _median(rows: list[Any], column: int) -> float:
    return statistics.median(row[column] for row in rows)


PARTS = {part.__name__: part for part in (calls, loop, points, artifact, start)}


@contextmanager
def _bench(options: argparse.Namespace) -> Iterator[Bench]:
    with TemporaryDirectory(dir=options.folder) as folder:
        bench = Bench(Path(folder), options)
        try:
            yield bench
        finally:
            bench.server.kill()


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", help=f"of {', '.join(PARTS)} (default: all)")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--point-rounds", type=int, default=1, help="rounds of the parts points and artifact")
    parser.add_argument("--calls", type=int, default=5000)
    parser.add_argument("--points", type=int, default=1_000_000)
    parser.add_argument("--megabytes", type=int, default=1024)
    parser.add_argument("--folder", type=Path, help="for what is written (default: the folder of temporary files)")
    options = parser.parse_args()
    if unknown := set(options.parts) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    with _bench(options) as bench:
        for name in options.parts or PARTS:
            for line in PARTS[name](bench):
                print(line, flush=True)


if __name__ == "__main__":
    main()
