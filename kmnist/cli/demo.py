"""``kmnist demo``"""

from kmnist.cli.options import ModelUri, TrackingUri
from kmnist.extras import require


def demo(
    *,
    model: ModelUri = "models:/kmnist@champion",
    host: str = "127.0.0.1",
    port: int = 7860,
    tracking_uri: TrackingUri = None,
) -> None:
    """Open a page that says which kana is drawn on it, while one draws, or is on a photograph.

    Parameters
    ----------
    host
        the address to be reached at; 0.0.0.0: by everyone who can reach this computer
    port
        of that address; 0 takes a free one
    """
    require("demo", "kmnist demo")
    from kmnist.demo import build_app, host_names, serve
    from kmnist.listening import listen
    from kmnist.pictures.read import quiet_decoders
    from kmnist.registry import load_model

    quiet_decoders()
    with listen(host, port) as taken:  # first, because it fails at once
        app = build_app(load_model(model, tracking_uri=tracking_uri), host_names(host, taken))
        shown = f"[{host}]" if ":" in host else host
        print(f"draw on http://{shown}:{taken.getsockname()[1]} (Ctrl-C ends it)", flush=True)
        serve(app, taken)
