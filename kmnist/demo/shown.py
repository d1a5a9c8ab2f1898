"""Answers and hints as HTML."""

from base64 import b64encode
from html import escape
from io import BytesIO

import numpy as np
import numpy.typing as npt
from PIL import Image

from kmnist.data.spec import ClassLabel
from kmnist.demo.answer import Answer


def answer_html(answer: Answer) -> str:
    """The kana large, what the network saw, and a bar for each class."""
    labels, [shares] = answer.predictions.spec.classes, answer.predictions.probabilities
    best, (height, width) = int(shares.argmax()), answer.seen.shape
    bars = "".join(_bar(label, share, number == best) for number, (label, share) in enumerate(zip(labels, shares)))
    glyph, text = escape(labels[best].glyph), escape(labels[best].text)
    return (
        f'<div class="first"><div class="words" aria-live="polite"><div class="kana" lang="ja">{glyph}</div>'
        f'<div><div class="romaji">{text}</div><div class="sure">{shares[best]:.1%}</div></div>'
        f'</div><figure><img alt="the drawing in {height} x {width} pixels" src="{picture_url(answer.seen)}">'
        f"<figcaption>what the network sees</figcaption></figure></div><table>{bars}</table>"
    )


def hint_html(text: str) -> str:
    """Where the answer would be: why there is none."""
    return f'<p class="hint">{escape(text)}</p>'


def _bar(label: ClassLabel, probability: float, is_best: bool) -> str:
    mark = ' class="best"' if is_best else ""
    return (
        f'<tr{mark}><th lang="ja">{escape(label.glyph)}</th><td class="name">{escape(label.text)}</td>'
        f'<td><div class="bar"><i style="width:{probability:.1%}"></i></div></td>'
        f'<td class="percent">{probability:.1%}</td></tr>'
    )


def picture_url(image: npt.NDArray[np.uint8]) -> str:
    """A picture (H, W) of gray levels as a data URL, so that it needs no file and no other request."""
    content = BytesIO()
    Image.fromarray(image).save(content, "PNG")
    return f"data:image/png;base64,{b64encode(content.getvalue()).decode()}"
