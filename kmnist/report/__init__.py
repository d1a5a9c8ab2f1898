"""Tracked runs become a report: one HTML file, and the same as Markdown. Knows no tracker and not how runs were made.

``source`` is what is read of a run (``tracking`` fetches it), ``arrange`` orders the runs, ``sections`` make of them
``blocks``, of which ``html`` and ``markdown`` make files. ``statistics`` says how sure a number is. To add a section: a
file in ``sections/`` and a line in its ``SECTIONS``.
"""

from kmnist.report.arrange import arrange
from kmnist.report.blocks import Section
from kmnist.report.sections import SECTIONS
from kmnist.report.source import CURVES, FILES, Report, Source
from kmnist.report.write import HTML, MARKDOWN, report_files

__all__ = ["CURVES", "FILES", "HTML", "MARKDOWN", "SECTIONS", "Report", "Section", "Source", "arrange", "report_files"]
