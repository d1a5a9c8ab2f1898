"""The command ``kmnist``: its subcommands, and what an error looks like."""

import os
import signal
import sys
import traceback
from types import TracebackType
from typing import NoReturn

from cyclopts import App, CycloptsError, Parameter, UnknownOptionError

from kmnist import output
from kmnist.environment import set_environment
from kmnist.errors import Incomplete, KmnistError, Terminated

app = App(
    name="kmnist",
    help="Train Kuzushiji-MNIST classifiers, tracked with MLflow.",
    help_epilogue="Exit status: 0 done, 1 an error, 2 bad usage, 3 done, but the tracking server has not taken all of "
    "it (kmnist sync), 129, 130 or 143 interrupted.",
    default_parameter=Parameter(negative=()),
    suppress_keyboard_interrupt=False,  # main() tells an interruption from a termination
    help_format="plaintext",  # markdown would cost a fifth of the start-up
)
# Named, not imported: a command is loaded when it is run.
app.command("kmnist.cli.train:train", help="Train a network and track it.")
app.command("kmnist.cli.tune:tune", help="Search for good settings: a study of many runs.")
app.command("kmnist.cli.ensemble:ensemble", name="ensemble", help="Make one model of several networks.")
app.command("kmnist.cli.studies:studies", help="List studies, how far they are, and their best.")
app.command("kmnist.cli.report:report", help="Write a report of tracked runs: HTML, and Markdown with figures.")
app.command("kmnist.cli.registry:register", help="Make a version of the registered model from a run.")
app.command("kmnist.cli.registry:promote", help="Give a version the alias champion, if it passes the gate.")
app.command("kmnist.cli.registry:rollback", help="Put the alias back on the version before.")
app.command("kmnist.cli.registry:models", help="List the versions of the registered model.")
app.command("kmnist.cli.predict:predict", help="Say which kana pictures show.")
app.command("kmnist.cli.evaluate:evaluate", help="Measure a model on labelled pictures.")
app.command("kmnist.cli.demo:demo", help="Open a page to draw kana on.")
app.command("kmnist.cli.serve:serve", help="Answer for a model over HTTP.")
app.command("kmnist.cli.export:export", help="Write a model as ONNX.")
runs = App(name="runs", help="List runs, move them to another server, free what nobody needs.")
runs.command("kmnist.cli.runs:list_runs", name="list", help="List runs, newest first.")
runs.command("kmnist.cli.runs:export_runs", name="export", help="Write runs to a file.")
runs.command("kmnist.cli.runs:import_runs", name="import", help="Make the runs of a file on another server.")
runs.command("kmnist.cli.runs:prune", name="prune", help="Free models, images and checkpoints that nobody needs.")
app.command(runs)
app.command("kmnist.cli.sync:sync", help="Send what the tracking server has not taken yet.")
app.command("kmnist.cli.reap:reap", help="End runs whose process is gone.")
app.command("kmnist.cli.mlproject:mlproject", help="Write the file MLproject anew (for developers).")
app.register_install_completion_command(help="Let the shell complete commands and options (bash, zsh, fish).")


def main() -> None:
    """Run the command line.

    Exit status: 0 done, 1 one of our errors, 2 bad usage, 3 done, but the tracking server has not taken all of it,
    129, 130 or 143 interrupted.
    """
    set_environment()
    output.begin()
    signal.signal(signal.SIGTERM, _terminate)
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # as nohup sets it
        signal.signal(signal.SIGHUP, _terminate)
    if signal.getsignal(signal.SIGINT) != signal.SIG_IGN:
        signal.signal(signal.SIGINT, _interrupt)
    sys.excepthook = _tell_without_passwords
    try:
        if os.environ.pop("KMNIST_UNDER_MLFLOW_RUN", None):
            _enter_project()
        app(sys.argv[1:], print_error=False, exit_on_error=False)
    except CycloptsError as error:
        _fail(_as_meant(error), 2)
    except Incomplete as error:
        _fail(str(error), 3)
    except KmnistError as error:
        _fail(str(error), 1)
    except BrokenPipeError:  # whoever read our output, like `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except Terminated as ended:
        sys.exit(128 + ended.signum)
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)


def _as_meant(error: CycloptsError) -> str:
    """What is wrong; of an option that others call so, which of ours means it, instead of the nearest letters."""
    if isinstance(error, UnknownOptionError):
        from kmnist.settings.synonyms import MEANT

        word = (error.token.keyword or error.token.value).partition("=")[0]
        option = f"--{MEANT.get(word.lstrip('-').lower().replace('-', '_'), '').replace('_', '-')}"
        if any(option in argument.names for argument in error.argument_collection):
            return f"Unknown option: {word}. Did you mean {option}?"
    return str(error)


def _terminate(signum: int, frame: object) -> None:
    if output.is_ending():  # once is enough: a second would break off the end of the run
        return
    output.end()
    raise Terminated(signum)


def _interrupt(signum: int, frame: object) -> NoReturn:
    output.end()
    raise KeyboardInterrupt


def _enter_project() -> None:
    from kmnist.mlproject import enter
    from kmnist.text import for_terminal

    here = enter(sys.argv)
    print(
        for_terminal(
            f"under `mlflow run`: checkpoints, studies.log, mlflow.db and all relative paths are those of {here}, "
            "where it was typed"
        ),
        flush=True,
    )


def _tell_without_passwords(kind: type[BaseException], error: BaseException, place: TracebackType | None) -> None:
    from kmnist.text import complain

    complain("".join(traceback.format_exception(kind, error, place)).rstrip())


def _fail(message: str, status: int) -> NoReturn:
    from kmnist.text import complain

    complain(message)
    sys.exit(status)
