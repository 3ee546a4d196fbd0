"""How every page looks: the theme, the style sheet, the head of each page, and its footer.

One accent colour; any other colour only carries meaning (`good`, `warn`, `bad`). Fonts come with Gradio, so that a
page asks nothing of any other server.
"""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import Any, Literal

import gradio as gr
from gradio import themes

NOTICE = "Bedside is a research tool, not a medical device; a clinician checks every answer."
TAGLINE = "Tune a clinical language model by conversation."
# Options of every event: no spinner over what is redrawn, and no public API (the command line has the same verbs).
QUIET: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
Tone = Literal["good", "warn", "bad", "busy", "quiet"]

# First and second series of a plot; readable on the light and on the dark page, also with colour blindness.
SERIES = {"training": "#2a9d8f", "validation": "#d98324", "general rows": "#5b7fbf"}

HEADER = (
    f'<header class="bs-header"><h1 class="bs-mark">Bedside</h1><span class="bs-tag">{TAGLINE}</span>'
    '<button type="button" class="bs-button" id="tour-begin" aria-expanded="false" aria-controls="tour">Tour</button>'
    "</header>"
)
FOOTER = f'<footer class="bs-footer">{NOTICE}</footer>'


def theme() -> themes.Base:
    """Large readable type, quiet surfaces, one teal accent, light and dark."""
    return themes.Base(
        primary_hue="teal",
        secondary_hue="teal",
        neutral_hue="slate",
        text_size="lg",
        spacing_size="lg",
        radius_size="lg",
        # The SemiBold file that comes with Gradio holds only some letters; Bold holds them all.
        font=(themes.LocalFont("IBM Plex Sans", weights=(400, 700)), "ui-sans-serif", "system-ui", "sans-serif"),
    ).set(
        body_background_fill="#f7f9f9",
        body_background_fill_dark="#0f1517",
        background_fill_primary="#ffffff",
        background_fill_primary_dark="#161e21",
        background_fill_secondary="#f7f9f9",
        background_fill_secondary_dark="#0f1517",
        body_text_color="#1d2b2f",
        body_text_color_dark="#dfe8ea",
        body_text_color_subdued="#56676c",
        body_text_color_subdued_dark="#93a5aa",
        block_background_fill="#ffffff",
        block_background_fill_dark="#161e21",
        block_border_color="#e3eaeb",
        block_border_color_dark="#263236",
        border_color_primary="#dbe4e5",
        border_color_primary_dark="#2c3a3f",
        block_label_background_fill="transparent",
        block_label_background_fill_dark="transparent",
        block_label_border_width="0px",
        block_label_text_color="#56676c",
        block_label_text_color_dark="#93a5aa",
        block_title_text_weight="600",
        block_title_text_color="#1d2b2f",
        block_title_text_color_dark="#dfe8ea",
        color_accent_soft="#e6f3f1",
        color_accent_soft_dark="#16383a",
        border_color_accent_subdued="#c3e1dd",
        border_color_accent_subdued_dark="#215053",
        block_shadow="none",
        layout_gap="16px",
        input_border_width="1px",
        input_border_width_dark="1px",
        form_gap_width="0px",
        button_border_width="1px",
        button_border_width_dark="1px",
        button_large_text_size="*text_md",
        button_large_padding="10px 20px",
        button_primary_border_color="#0f766e",
        button_primary_border_color_dark="#0f766e",
        input_background_fill="#ffffff",
        input_background_fill_dark="#11181b",
        input_border_color="#cfdadc",
        input_border_color_dark="#314146",
        button_primary_background_fill="#0f766e",
        button_primary_background_fill_dark="#0f766e",
        button_primary_background_fill_hover="#0b5f59",
        button_primary_background_fill_hover_dark="#128a80",
        button_primary_text_color="#ffffff",
        button_primary_text_color_dark="#ffffff",
        button_secondary_background_fill="#ffffff",
        button_secondary_background_fill_dark="#1b2529",
        button_secondary_background_fill_hover="#eef4f4",
        button_secondary_background_fill_hover_dark="#223035",
        button_secondary_border_color="#cfdadc",
        button_secondary_border_color_dark="#314146",
        button_secondary_text_color="#1d2b2f",
        button_secondary_text_color_dark="#dfe8ea",
        button_cancel_background_fill="#ffffff",
        button_cancel_background_fill_dark="#1b2529",
        button_cancel_background_fill_hover="#fdf1ef",
        button_cancel_background_fill_hover_dark="#2e1f1d",
        button_cancel_border_color="#e3b5ae",
        button_cancel_border_color_dark="#6b3a33",
        button_cancel_text_color="#a13325",
        button_cancel_text_color_dark="#f0a196",
        checkbox_border_radius="4px",
        checkbox_background_color_dark="#11181b",
        input_placeholder_color="#66777c",
        input_placeholder_color_dark="#84969b",
        table_even_background_fill_dark="#161e21",
        table_odd_background_fill_dark="#1b2529",
        link_text_color="#0f766e",
        link_text_color_dark="#5cc7bb",
    )


def html(content: str = "", **options: Any) -> gr.HTML:
    """A piece of HTML without Gradio's own style for prose."""
    return gr.HTML(content, apply_default_css=False, **options)


def page_title(title: str) -> None:
    """The heading of a page for those who hear it; whoever sees the page reads it on the tab."""
    html(f"<h2>{escape(title)}</h2>", elem_classes=["bs-spoken"])


def badge(text: str, tone: Tone) -> str:
    """A word with the colour of its meaning."""
    return f'<span class="bs-badge bs-{tone}">{escape(text)}</span>'


def empty(title: str, text: str) -> str:
    """What a page without content says: what it is for and what to do next."""
    return f'<div class="bs-empty"><h3>{escape(title)}</h3><p>{escape(text)}</p></div>'


def notice(title: str, lines: list[str], tone: Tone = "bad") -> str:
    """A block that says what is wrong, one line a fault; empty where nothing is."""
    if not lines:
        return ""
    items = "".join(f"<li>{escape(line)}</li>" for line in lines)
    return f'<div class="bs-notice bs-{tone}" role="alert"><strong>{escape(title)}</strong><ul>{items}</ul></div>'


CSS = (Path(__file__).parent / "style.css").read_text(encoding="utf-8")
