"""All files of a report."""

from kmnist.report.blocks import Section
from kmnist.report.html import render_html
from kmnist.report.markdown import render_markdown
from kmnist.report.sections import SECTIONS
from kmnist.report.source import Report

HTML, MARKDOWN = "report.html", "report.md"


def sections_of(report: Report) -> dict[str, Section]:
    """Those that have something to say, in their order."""
    found = ((name, make(report)) for name, make in SECTIONS.items())
    return {name: section for name, section in found if section is not None}


def report_files(report: Report) -> dict[str, bytes]:
    """The report as HTML and as Markdown with its figures, by path; the same runs give the same bytes."""
    sections = sections_of(report)
    text, figures = render_markdown(report, sections)
    return {HTML: render_html(report, sections).encode(), MARKDOWN: text.encode(), **figures}
