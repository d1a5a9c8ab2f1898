"""A page on which a person draws a kana and sees what a network makes of it. The only room that knows Gradio.

``answer`` goes from a drawing to an answer, ``shown`` puts that into HTML, ``page`` is the page with its sketchpad,
``gate`` refuses what the page never asks for, ``serve`` answers browsers until it is interrupted.
"""

from kmnist.demo.page import build_page, style
from kmnist.demo.serve import listen, serve

__all__ = ["build_page", "listen", "serve", "style"]
