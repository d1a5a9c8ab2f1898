"""The page: a sketchpad, and beside it what the network says while one draws.

The sketchpad is a canvas in ``gr.HTML``. ``gr.Sketchpad`` tells of a stroke only when it has ended, draws only after a
tool was chosen (and after clearing: chosen again), and uploads every stroke as files.
"""

from html import escape
from pathlib import Path

import gradio as gr

from kmnist.data.spec import DataSpec
from kmnist.demo.answer import answer
from kmnist.demo.shown import answer_html, hint_html
from kmnist.errors import NothingDrawn, PictureError
from kmnist.fonts import font_css
from kmnist.inference import Classifier

HERE = Path(__file__).parent
HINT = "Draw one of the {} characters with mouse or finger."


def respond(classifier: Classifier, drawing: object) -> str:
    """What the page shows about a drawing, as HTML; of what is no drawing, too: anyone can send anything."""
    try:
        return answer_html(answer(classifier, drawing))
    except NothingDrawn:
        return hint_html(HINT.format(len(classifier.spec.classes)))
    except PictureError as error:
        return hint_html(str(error))


def build_page(classifier: Classifier) -> gr.Blocks:
    """The page, which asks ``classifier`` and shows its name."""

    def look(drawing: object) -> str:
        return respond(classifier, drawing)

    labels = classifier.spec.classes
    kana = "".join(f'<li><b lang="ja">{escape(of.glyph)}</b>{escape(of.text)}</li>' for of in labels)
    hint = hint_html(HINT.format(len(labels)))
    body = (HERE / "page.html").read_text().format(name=escape(classifier.name), kana=kana, hint=hint)
    page = gr.Blocks(title="kmnist", analytics_enabled=False)  # without analytics it asks for no newer version either
    with page:
        gr.HTML(body, js_on_load=(HERE / "sketchpad.js").read_text(), server_functions=[look], apply_default_css=False)
    return page


def style(spec: DataSpec) -> str:
    """The style sheet of the page, with its font."""
    return font_css("".join(label.glyph for label in spec.classes)) + (HERE / "page.css").read_text()
