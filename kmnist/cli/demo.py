"""``kmnist demo``"""

from importlib.util import find_spec

from kmnist.cli.options import ModelUri, TrackingUri
from kmnist.errors import DemoError


def demo(
    *,
    model: ModelUri = "models:/kmnist@champion",
    host: str = "127.0.0.1",
    port: int = 7860,
    tracking_uri: TrackingUri = None,
) -> None:
    """Open a page to draw kana on, which says what the network reads while one draws.

    Parameters
    ----------
    host
        the address to be reached at; 0.0.0.0: by everyone who can reach this computer
    port
        of that address; 0 takes a free one
    """
    if find_spec("gradio") is None:
        raise DemoError("the demo needs the package gradio: pip install -e '.[demo]'")
    from kmnist.demo import build_page, listen, serve, style
    from kmnist.registry import load_model

    with listen(host, port) as taken:  # first, because it fails at once
        classifier = load_model(model, tracking_uri=tracking_uri)
        page = build_page(classifier)
        shown = f"[{host}]" if ":" in host else host
        print(f"draw on http://{shown}:{taken.getsockname()[1]} (Ctrl-C ends it)", flush=True)
        serve(page, style(classifier.spec), taken)
