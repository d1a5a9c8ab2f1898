"""What a person sees while a network is trained."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING

from kmnist.checkpoint import Checkpoint
from kmnist.cli.bar import progress
from kmnist.cli.printer import Printer
from kmnist.config import TrainConfig
from kmnist.data import Dataset
from kmnist.experiment import Result
from kmnist.training.compute import Compute
from kmnist.training.fit import Epoch

if TYPE_CHECKING:
    from kmnist.tracking import MlflowRun

LINES = 10  # printed for a whole training where there is no terminal to draw a bar on


class Screen(Printer):
    """What is said of one training."""

    _in_trouble = False
    _set_aside = 0

    def data(self, data: Dataset) -> None:
        """What is trained on; on the stand-in, loudly."""
        if data.spec.name == "sample":
            self.say(_SAMPLE_WARNING)
        elif not self._quiet:
            self.say(f"{data.spec.title}: {len(data.train):,} images to train on, {len(data.test):,} to test")
        for note in data.notes:
            self.say(f"note: {note}")

    def run(self, run_id: str) -> None:
        """What to name when it is to be resumed."""
        if not self._quiet:
            self.say(f"run {run_id}")

    def computes(self, before: Compute, now: Compute) -> None:
        """That a resumed run does so otherwise than before."""
        was, tags = before.as_tags(), now.as_tags()
        changed = ", ".join(f"{name} {text}, not {was[name]}" for name, text in tags.items() if was[name] != text)
        self.say(
            f"goes on with {changed}: the last digits of its numbers are not those of a run that was never stopped"
        )

    @contextmanager
    def epochs(self, config: TrainConfig, checkpoint: Checkpoint | None) -> Iterator[Callable[[Epoch, Epoch], None]]:
        """A bar over the epochs with the numbers that matter; where no terminal is, a line now and then."""
        if self._quiet or not self._console.is_terminal:
            yield self._ignore if self._quiet else self._line_for(config.epochs)
            return
        done = len(checkpoint.epochs) if checkpoint else 0
        with progress(self._console) as bar:
            task = bar.add_task("epoch", total=config.epochs, completed=done, numbers=(), seconds=0, since=monotonic())

            def show(epoch: Epoch, best: Epoch) -> None:
                numbers = [f"train {epoch.train.accuracy:.2%}", f"loss {epoch.train.loss:.3f}"]
                if epoch.valid and best.valid:
                    numbers = [f"valid {epoch.valid.accuracy:.2%}", f"best {best.valid.accuracy:.2%}"]
                    numbers.append(f"loss {epoch.valid.loss:.3f}")
                numbers.append(f"{epoch.images_per_second:,.0f} img/s")
                if epoch.number == config.epochs:
                    numbers = ["drawing and saving"]
                bar.update(task, completed=epoch.number, numbers=numbers, seconds=epoch.seconds, since=monotonic())

            yield show

    def tracking(self, run: "MlflowRun") -> None:
        """The tracking server, when it goes away and when it is back."""
        if bool(run.trouble) != self._in_trouble:
            self._in_trouble = bool(run.trouble)
            if run.trouble:
                self.say(
                    f"the tracking server takes nothing ({run.trouble}); it waits in {run.folder}, training goes on"
                )
            else:
                self.say("the tracking server is back")
        if run.set_aside > self._set_aside:
            self.say(
                f"the tracking server refuses {run.set_aside} of this run's records (kmnist sync --show says which); "
                f"they wait in {run.folder} and are tried again, training goes on"
            )
        self._set_aside = run.set_aside

    def interrupted(self, run: "MlflowRun", work_dir: Path, *, resumable: bool) -> None:
        """How to go on, if there is anything to go on from."""
        if resumable:
            self.say("interrupted; everything up to the last whole epoch is kept. Go on with")
            self.say(f"kmnist train --resume {run.id}")  # a line of its own: no terminal breaks it
        else:
            self.say("interrupted before the first epoch had ended: there is nothing to go on from; start it again")
        if not run.is_complete:
            self.say(self.unsent(run, work_dir))

    def result(self, result: Result, data: Dataset, url: str) -> None:
        """One line of results, and where to look at the run."""
        best, last = result.best, result.epochs[-1]
        found = f"last epoch {last.number}: test accuracy {result.test_last.accuracy:.2%}"
        if best.valid:
            chosen = f"best epoch {best.number}: valid accuracy {best.valid.accuracy:.2%}, "
            found = f"{chosen}test accuracy {result.test.accuracy:.2%}, test loss {result.test.loss:.4f} | {found}"
        self.say(f"{found} | {result.seconds:.1f} s")
        self.say(url)
        if data.spec.name == "sample":
            self.say(_SAMPLE_WARNING)

    @staticmethod
    def unsent(run: "MlflowRun", work_dir: Path) -> str:
        """Why not all has arrived, where it is, and how to send it."""
        why = run.trouble or (f"it refuses {run.set_aside} of its records" if run.set_aside else "it is slow")
        return (
            f"the tracking server has not taken all of this run ({why}); nothing is lost: it waits in {run.folder}. "
            f"Send it with: kmnist sync --work-dir {work_dir}"
        )

    def _line_for(self, epochs: int) -> Callable[[Epoch, Epoch], None]:
        def show(epoch: Epoch, best: Epoch) -> None:
            if epoch.number == 1 or epoch.number % max(epochs // LINES, 1) == 0:
                self.say(f"epoch {epoch.number}/{epochs}: {_numbers(epoch, best)}")
                sys.stdout.flush()

        return show

    @staticmethod
    def _ignore(epoch: Epoch, best: Epoch) -> None: ...


_SAMPLE_WARNING = (
    "NOT KMNIST: this is the drawn sample set, because Kuzushiji-MNIST was not found or sample was asked for. Its "
    "numbers say nothing about KMNIST. (--data-dir names a folder with the four files.)"
)


def _numbers(epoch: Epoch, best: Epoch) -> str:
    valid = ""
    if epoch.valid and best.valid:
        valid = f"valid loss {epoch.valid.loss:.4f}  valid accuracy {epoch.valid.accuracy:.2%} "
        valid += f"(best {best.valid.accuracy:.2%}, epoch {best.number})  "
    return f"train loss {epoch.train.loss:.4f}  {valid}{epoch.images_per_second:,.0f} img/s"
