"""Parts of a drawing that is stretched to its place, with all words beside it as text (as in `line_chart`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

EVEN = 'vector-effect="non-scaling-stroke"'


def svg(described: str, inner: str, height: int = 100) -> str:
    """A drawing 100 wide and `height` high, stretched to its place; below 100, it is as high in pixels."""
    style = "display:block;width:100%;overflow:visible" + (f";height:{height}px" if height < 100 else "")
    return (
        f'<svg viewBox="0 0 100 {height}" preserveAspectRatio="none" role="img" aria-label="{escape(described)}" '
        f'style="{style}">{inner}</svg>'
    )


def path(line: str, ink: str, width: float, dashes: str = "none") -> str:
    return f'<path d="{line}" fill="none" stroke="{ink}" stroke-width="{width}" stroke-dasharray="{dashes}" {EVEN}/>'


def dot(x: float, y: float, ink: str, size: float, words: str = "") -> str:
    # A line of no length with round ends: a circle would be stretched with the drawing.
    title = f"<title>{escape(words)}</title>" if words else ""
    return (
        f'<path d="M{x:.2f},{y:.2f} h0" stroke="{ink}" stroke-width="{size:.1f}" stroke-linecap="round" {EVEN}>'
        f"{title}</path>"
    )


def levels() -> str:
    return "".join(path(f"M0,{up} H100", "var(--bs-line)", 1) for up in (0, 50, 100))


def figure(caption: str, up: Sequence[str], drawing: str, across: Sequence[str], legend: str) -> str:
    left = "".join(f"<span>{escape(word)}</span>" for word in up)
    below = "".join(f"<span>{escape(word)}</span>" for word in across)
    return (
        f'<figure class="bs-chart"><figcaption>{escape(caption)}</figcaption><div class="bs-plot"><div>{left}</div>'
        f'{drawing}<p style="gap:0 10px">{below}</p></div>{legend}</figure>'
    )


def legend(series: Mapping[str, str]) -> str:
    words = "".join(f'<span><i style="background:{ink}"></i>{escape(name)}</span>' for name, ink in series.items())
    return f'<div class="bs-legend">{words}</div>'
