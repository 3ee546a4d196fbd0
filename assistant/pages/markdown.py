"""Text from people and models, made safe to render as markdown: no HTML, no link, and no image that is fetched."""

from __future__ import annotations

from html import escape


def plain(text: str) -> str:
    """The text with its emphasis, lists and tables, but nothing that a browser would follow or load.

    Escaped first; then every opening bracket and address becomes a character reference, which markdown shows but
    never reads as the start of a link or an image. Gradio's own sanitiser still runs after this.
    """
    safe = escape(text, quote=False).replace("[", "&#91;")
    return safe.replace("://", "&#58;//").replace("www.", "www&#46;").replace("@", "&#64;")
