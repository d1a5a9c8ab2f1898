"""The page as a Starlette application: the page itself, its files, and answers about pictures."""

from base64 import b64encode
from collections.abc import Sequence
from html import escape
from io import BytesIO
from pathlib import Path
from typing import Any

from anyio import CapacityLimiter, to_thread
from PIL import Image
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from kmnist.data.spec import DataSpec
from kmnist.errors import PictureError
from kmnist.fonts import font_of
from kmnist.inference import Classifier, prepare_picture, read_picture
from kmnist.pictures.formats import SUFFIXES

HERE = Path(__file__).parent
MOST_BYTES = 30_000_000  # of a picture; a photograph of 50 million pixels has 10 to 25 million
AT_ONCE = 2  # pictures that are decoded: each may take 300 MB
SENT_AS = "application/octet-stream"


def build_app(classifier: Classifier, hosts: Sequence[str]) -> Starlette:
    """The page, which asks ``classifier`` and shows its name.

    Args:
        classifier: whose answers are shown; it is asked from several threads.
        hosts: the names that the page may be asked for by; ``*``: by any.
    """
    page, font, limiter = (
        _page(classifier),
        font_of("".join(label.glyph for label in classifier.spec.classes)),
        CapacityLimiter(AT_ONCE),
    )

    async def show_page(request: Request) -> Response:
        return HTMLResponse(page)

    async def send_font(request: Request) -> Response:
        return Response(font, media_type="font/ttf")

    async def answer(request: Request) -> Response:
        # Pages of other origins can send forms, text and files. To send this type a browser asks first, and is refused.
        if request.headers.get("content-type") != SENT_AS:
            return PlainTextResponse(f"a picture must be sent as {SENT_AS}", 415)
        try:
            content = await request.body()
            return JSONResponse(await to_thread.run_sync(answer_to, classifier, content, limiter=limiter))
        except PictureError as error:
            return PlainTextResponse(str(error), 422)
        except ClientDisconnect:  # who draws on while a photograph is sent
            return Response(status_code=400)

    return Starlette(
        routes=[
            Route("/", show_page),
            Route("/kana.ttf", send_font),
            Route("/answer", answer, methods=["POST"], max_body_size=MOST_BYTES),
            Mount("/static", StaticFiles(directory=HERE / "static")),
        ],
        middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=hosts, www_redirect=False)],
    )


def answer_to(classifier: Classifier, content: bytes) -> dict[str, Any]:
    """What the page shows about a picture, as JSON values.

    Of ``candidates`` the best comes first; ``unsure`` says whether to believe it; ``seen`` is a data URL.

    Args:
        classifier: whose answer.
        content: of a file such as ``kmnist predict`` reads.

    Raises:
        PictureError: it cannot be read, or nothing is on it.
    """
    seen = prepare_picture(read_picture(content), classifier.spec)
    predictions = classifier.predict(seen)
    [best], [shares] = predictions.candidates().tolist(), predictions.probabilities.tolist()
    labels = [classifier.spec.classes[number] for number in best]
    png = BytesIO()
    Image.fromarray(seen).save(png, "PNG")
    return {
        "candidates": [
            {"glyph": label.glyph, "text": label.text, "probability": shares[number]}
            for label, number in zip(labels, best)
        ],
        "unsure": bool(predictions.unsure[0]),
        "seen": f"data:image/png;base64,{b64encode(png.getvalue()).decode()}",
    }


def _page(classifier: Classifier) -> str:
    return (
        (HERE / "page.html")
        .read_text(encoding="utf-8")
        .format(
            name=escape(classifier.name),
            kinds=",".join(sorted(SUFFIXES)),
            most_bytes=MOST_BYTES,
            classes=_classes(classifier.spec),
        )
    )


def _classes(spec: DataSpec) -> str:
    """Every class as an item of a list; what has no glyph of its own is shown once."""
    return "".join(
        f"<li>{escape(of.text)}</li>"
        if of.glyph == of.text
        else f'<li><b lang="ja">{escape(of.glyph)}</b>{escape(of.text)}</li>'
        for of in spec.classes
    )
