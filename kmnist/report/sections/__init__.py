"""The sections of a report, in their order. To add one: a file here, and its line.

Each takes a report to a section, or to ``None`` where it has nothing to say. What a section needs and a run has not is
told by the section, in a sentence; it is never an error.
"""

from collections.abc import Callable

from kmnist.report.blocks import Section
from kmnist.report.sections.architectures import architectures
from kmnist.report.sections.calibration import calibration
from kmnist.report.sections.comparison import comparison
from kmnist.report.sections.data import data
from kmnist.report.sections.ensemble import ensemble
from kmnist.report.sections.evaluation import evaluation
from kmnist.report.sections.missing import missing
from kmnist.report.sections.original import original
from kmnist.report.sections.overfitting import overfitting
from kmnist.report.sections.provenance import provenance
from kmnist.report.sections.recommendations import recommendations
from kmnist.report.sections.stagnation import stagnation
from kmnist.report.sections.study import study
from kmnist.report.sections.training import training
from kmnist.report.sections.verdict import verdict
from kmnist.report.sections.weak_classes import weak_classes
from kmnist.report.source import Report

SECTIONS: dict[str, Callable[[Report], Section | None]] = {
    "verdict": verdict,
    "provenance": provenance,
    "data": data,
    "architectures": architectures,
    "training": training,
    "overfitting": overfitting,
    "stagnation": stagnation,
    "evaluation": evaluation,
    "weak-classes": weak_classes,
    "calibration": calibration,
    "comparison": comparison,
    "ensemble": ensemble,
    "original": original,
    "study": study,
    "recommendations": recommendations,
    "missing": missing,
}
