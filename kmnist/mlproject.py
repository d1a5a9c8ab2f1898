"""``MLproject``, rendered from ``TrainConfig``: its parameters are the settings, with their defaults and meanings."""

import textwrap

import yaml

from kmnist.config import TrainConfig
from kmnist.settings import describe, to_text

HEADER = """\
# The MLflow Project. Written by `kmnist mlproject` from the settings: change them there, not here.
"""


def render() -> str:
    """The text of the file ``MLproject``.

    ``exec`` lets a signal to ``mlflow run`` reach the training, which then ends its run as KILLED.
    A parameter that is not declared is appended to the command by MLflow, as ``--name value``; so ``main`` takes the
    settings of one architecture, which the others would refuse (``-P hidden=512,256``), ``experiment`` any setting on
    top of its file, and ``tune`` tells what was given from what was not.
    """
    fields = TrainConfig.fields()
    flags = " ".join(f"--{name.replace('_', '-')} {{{name}}}" for name in fields)
    lines = [HEADER, "name: kmnist", "python_env: python_env.yaml", "", "entry_points:", "  main:", "    parameters:"]
    lines.append("      # and what its architecture has: -P hidden=512,256; see `kmnist train --arch NAME --help`")
    for name, field in fields.items():
        lines += textwrap.wrap(describe(field), 112, initial_indent=" " * 6 + "# ", subsequent_indent=" " * 6 + "# ")
        default = yaml.safe_dump(to_text(field.default), default_style='"', width=200).strip()
        lines.append(f"      {name}: {{type: string, default: {default}}}")
    lines += ["    command: >-", *_folded(f"exec python -m kmnist train {flags}")]
    lines += [
        "  experiment:",
        "    parameters:",
        "      # a file of settings; any setting can be given on top of it: -P epochs=3",
        "      experiment: {type: path}",
        "    command: >-",
        *_folded("exec python -m kmnist train --experiment {experiment}"),
        "  # A study. Nothing is declared, for a declared default would count as given: -P arch=plain -P trials=50",
        "  # -P study_file=experiments/studies/plain.yaml -P workers=2, and whatever `kmnist tune --help` shows.",
        "  tune:",
        "    command: >-",
        *_folded("exec python -m kmnist tune"),
        "  # An ensemble: -P kind=bag (or boost, stack) -P arch=cnn -P members=3, and whatever",
        "  # `kmnist ensemble bag --help` shows; of trained runs: -P kind=vote -P members=ID,ID",
        "  ensemble:",
        "    parameters:",
        "      kind: {type: string, default: bag}",
        "    command: >-",
        *_folded("exec python -m kmnist ensemble {kind}"),
        "  # A report of tracked runs: -P runs=ID,ID or -P experiment=NAME or -P study=NAME, -P out=report",
        "  report:",
        "    command: >-",
        *_folded("exec python -m kmnist report"),
    ]
    return "\n".join(lines) + "\n"


def _folded(command: str) -> list[str]:
    return textwrap.wrap(command, 112, initial_indent=" " * 6, subsequent_indent=" " * 6, break_on_hyphens=False)
