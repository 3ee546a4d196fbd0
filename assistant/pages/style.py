"""How every page looks: the theme, the style sheet, the head of each page, and its footer.

One accent colour; any other colour only carries meaning (`good`, `warn`, `bad`). Fonts come with Gradio, so that a
page asks nothing of any other server.
"""

from __future__ import annotations

from html import escape
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

HEADER = f'<header class="bs-header"><span class="bs-mark">Bedside</span><span class="bs-tag">{TAGLINE}</span></header>'
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
        link_text_color="#0f766e",
        link_text_color_dark="#5cc7bb",
    )


def html(content: str = "", **options: Any) -> gr.HTML:
    """A piece of HTML without Gradio's own style for prose."""
    return gr.HTML(content, apply_default_css=False, **options)


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


CSS = """
:root { --bs-accent: #0f766e; --bs-soft: #56676c; --bs-line: #e3eaeb; --bs-card: #ffffff; --bs-sunk: #e9efef;
  --bs-good: #12734d; --bs-good-bg: #e4f3ec; --bs-warn: #8a5a00; --bs-warn-bg: #fbf0d9;
  --bs-bad: #a13325; --bs-bad-bg: #fbe9e6; --bs-busy: #0f6673; --bs-busy-bg: #e0f1f3; }
.dark { --bs-accent: #4fbfb2; --bs-soft: #93a5aa; --bs-line: #263236; --bs-card: #161e21; --bs-sunk: #243035;
  --bs-good: #6fd0a3; --bs-good-bg: #14301f; --bs-warn: #e9bd66; --bs-warn-bg: #33280f;
  --bs-bad: #f0a196; --bs-bad-bg: #371c18; --bs-busy: #7fd0db; --bs-busy-bg: #122e33; }
.gradio-container { width: 100%; max-width: 1280px !important; margin: 0 auto !important; }
.gradio-container .html-container { padding: 0 !important; }
footer:not(.bs-footer) { display: none !important; }
.bs-header { display: flex; align-items: baseline; gap: 2px 14px; flex-wrap: wrap; }
.bs-mark { font-size: 1.5rem; font-weight: 600; letter-spacing: -.01em; color: var(--bs-accent); }
.bs-tag, .bs-soft { color: var(--bs-soft); }
.bs-soft { font-size: .92rem; margin: 0; }
.bs-footer { color: var(--bs-soft); font-size: .9rem; text-align: center; padding: 14px 8px 4px; }
button.selected[role=tab] { color: var(--bs-accent) !important; }
.bs-card { background: var(--bs-card); border: 1px solid var(--bs-line); border-radius: 12px; padding: 20px 22px; }
.bs-card h3, .bs-answer h3 { margin: 0 0 8px; font-size: 1rem; font-weight: 600; }
.bs-empty { border: 1px dashed var(--bs-line); border-radius: 12px; padding: 56px 24px; text-align: center; }
.bs-empty h3 { margin: 0 0 6px; font-size: 1.1rem; font-weight: 600; }
.bs-empty p { margin: 0 auto; max-width: 52ch; color: var(--bs-soft); }
.bs-badge { display: inline-block; padding: 2px 12px; border-radius: 999px; font-size: .9rem; font-weight: 600;
  white-space: nowrap; }
.bs-good { color: var(--bs-good); background: var(--bs-good-bg); }
.bs-warn { color: var(--bs-warn); background: var(--bs-warn-bg); }
.bs-bad { color: var(--bs-bad); background: var(--bs-bad-bg); }
.bs-busy { color: var(--bs-busy); background: var(--bs-busy-bg); }
.bs-quiet { color: var(--bs-soft); background: var(--bs-sunk); }
.bs-notice { border-radius: 12px; padding: 14px 18px; overflow-wrap: anywhere; }
.bs-notice ul { margin: 6px 0 0; padding-left: 1.2em; list-style: disc; }
.bs-notice li + li { margin-top: 4px; }
.bs-row { display: flex; align-items: center; gap: 4px 12px; flex-wrap: wrap; justify-content: space-between; }
.bs-head { flex-wrap: nowrap; align-items: flex-start; }
.bs-big { font-size: 1.3rem; font-weight: 600; letter-spacing: -.01em; overflow-wrap: anywhere; }
.bs-bar { position: relative; height: 14px; border-radius: 7px; background: var(--bs-sunk); margin: 18px 0 34px; }
.bs-bar i { position: absolute; top: 0; bottom: 0; left: 0; border-radius: 7px; background: var(--bs-fill); }
.bs-bar i.bs-high { opacity: .4; }
.bs-fill-good { --bs-fill: #2a9d74; } .bs-fill-warn { --bs-fill: #d49a2a; } .bs-fill-bad { --bs-fill: #cf5443; }
.bs-fill-accent { --bs-fill: #2a9d8f; margin: 16px 0 6px; height: 8px; }
.bs-bar b { position: absolute; top: -4px; bottom: -4px; width: 2px; background: var(--body-text-color); }
.bs-bar b span { position: absolute; top: 24px; right: 0; white-space: nowrap; font-weight: 400; font-size: .85rem;
  color: var(--bs-soft); }
.bs-bar em { position: absolute; top: 0; bottom: 0; border-radius: 0 7px 7px 0; background: repeating-linear-gradient(
  135deg, transparent 0 4px, color-mix(in srgb, var(--bs-soft) 50%, transparent) 4px 6px); }
.bs-facts { display: grid; grid-template-columns: repeat(auto-fit, minmax(130px, 1fr)); gap: 14px 20px; margin: 0; }
.bs-bar + .bs-row + .bs-facts, .bs-scroll + .bs-soft + .bs-facts { margin-top: 20px; }
.bs-facts dt { color: var(--bs-soft); font-size: .88rem; }
.bs-facts dd { margin: 0; font-weight: 600; font-variant-numeric: tabular-nums; }
.bs-known-list { list-style: none; margin: 14px 0 0; padding: 0; }
.bs-known-list li { display: flex; justify-content: space-between; gap: 16px; padding: 11px 0; color: var(--bs-soft);
  border-top: 1px solid var(--bs-line); overflow-wrap: anywhere; }
.bs-known-list li.bs-known span:first-child { color: var(--body-text-color); }
.bs-known-list li.bs-known span:last-child { color: var(--body-text-color); font-weight: 600; text-align: right; }
details > summary { cursor: pointer; list-style: none; }
details > summary::-webkit-details-marker { display: none; }
details > summary::after { content: "+"; color: var(--bs-soft); float: right; padding-left: 12px; }
details[open] > summary::after { content: "\\2212"; }
.bs-section + .bs-section { border-top: 1px solid var(--bs-line); }
.bs-section > summary { padding: 14px 0; }
.bs-section > summary strong { font-weight: 600; }
.bs-section > summary span { color: var(--bs-soft); font-size: .9rem; padding-left: 10px; }
.bs-section[open] > summary span { display: none; }
.bs-section[open] { padding-bottom: 10px; }
.bs-values { padding: 0; }
.bs-changed { background: var(--bs-sunk); box-shadow: inset 3px 0 0 var(--bs-accent); border-radius: 4px; }
.bs-value { display: grid; grid-template-columns: minmax(0, 5fr) minmax(0, 7fr); gap: 2px 24px; padding: 9px 0; }
.bs-value.bs-changed { padding-left: 12px; }
.bs-name, .bs-source { color: var(--bs-soft); font-size: .88rem; }
.bs-what { font-weight: 600; overflow-wrap: anywhere; }
.bs-why { font-size: .95rem; }
.bs-defaults > summary { color: var(--bs-soft); padding: 8px 0; font-size: .9rem; }
.bs-facts + .bs-defaults { margin-top: 14px; }
.bs-scroll { overflow-x: auto; }
.bs-table { width: 100%; border-collapse: collapse; font-variant-numeric: tabular-nums; }
.bs-table.bs-table, .bs-table.bs-table tr { margin: 0; padding: 0; }
.bs-table th { text-align: left; font-weight: 400; color: var(--bs-soft); font-size: .9rem; padding: 6px 16px 6px 0;
  white-space: nowrap; }
.bs-table td { padding: 9px 16px 9px 0; border-top: 1px solid var(--bs-line); vertical-align: top; }
.bs-table td:not(:first-child) .bs-soft { white-space: nowrap; }
.bs-table .bs-short { white-space: nowrap; }
.bs-table .bs-under td { border-top: 0; padding-top: 0; }
.bs-table strong { font-weight: 600; color: var(--bs-accent); }
.bs-ways { display: grid; grid-template-columns: repeat(auto-fit, minmax(170px, 1fr)); gap: 12px; }
.bs-way { padding: 12px 14px; border: 1px solid var(--bs-line); border-radius: 8px; overflow-wrap: anywhere; }
.bs-stands { border-color: var(--bs-accent); }
.bs-way q { quotes: none; font-weight: 600; }
.bs-way p { margin: 6px 0 0; font-size: .92rem; }
.bs-sample { padding: 12px 0; border-top: 1px solid var(--bs-line); }
.bs-sample:last-child { padding-bottom: 0; }
.bs-sample q { quotes: none; font-weight: 600; }
.bs-sample p { margin: 4px 0 0; white-space: pre-wrap; overflow-wrap: anywhere; }
.bs-stack { display: flex; flex-direction: column; gap: 16px; }
.bs-list { margin: 0 0 12px; padding-left: 1.2em; list-style: disc; }
.bs-card > * + h3 { margin-top: 24px; }
.bs-cards { columns: 2 480px; column-gap: 16px; }
.bs-cards .bs-card { break-inside: avoid; margin-bottom: 16px; }
.bs-cards .bs-facts + p, .bs-cards .bs-row + .bs-chart, .bs-cards .bs-told { margin: 10px 0 8px; }
.bs-hist { display: flex; align-items: flex-end; gap: 2px; height: 96px; border-bottom: 1px solid var(--bs-line); }
.bs-hist i { flex: 1; min-height: 1px; background: #2a9d8f; border-radius: 2px 2px 0 0; }
.bs-hist i.bs-over { background: #d49a2a; }
.bs-hist + .bs-row + .bs-facts { margin-top: 12px; }
.bs-mixes { display: grid; grid-template-columns: repeat(auto-fit, minmax(240px, 1fr)); gap: 22px 32px; }
.bs-bars { list-style: none; margin: 0 0 6px; padding: 0; }
.bs-bars li { display: grid; grid-template-columns: minmax(0, 5fr) minmax(0, 4fr) 3em; gap: 10px; align-items: center;
  padding: 3px 0; }
.bs-bars span { overflow-wrap: anywhere; }
.bs-bars i { background: var(--bs-sunk); border-radius: 4px; height: 10px; }
.bs-bars b { display: block; height: 10px; border-radius: 4px; background: #2a9d8f; }
.bs-bars em { font-style: normal; color: var(--bs-soft); text-align: right; font-variant-numeric: tabular-nums; }
.bs-text { white-space: pre-wrap; overflow-wrap: anywhere; margin: 4px 0 16px; line-height: 1.6; }
.bs-text mark, mark.bs-trained { border-radius: 4px; padding: 1px 2px; color: inherit; }
mark.bs-trained { background: var(--bs-good-bg); box-shadow: inset 0 -2px 0 #2a9d74; }
mark.bs-found { background: var(--bs-warn-bg); box-shadow: inset 0 -2px 0 #d49a2a; }
mark.bs-found small { color: var(--bs-warn); font-size: .75rem; padding-left: 4px; }
mark.bs-up, mark.bs-down { border-radius: 3px 3px 0 0; padding: 1px 0; color: var(--body-text-color); }
mark.bs-up { background: color-mix(in srgb, var(--bs-accent) var(--bs-strength), transparent);
  border-bottom: 2px solid var(--bs-accent); }
mark.bs-down { background: color-mix(in srgb, var(--bs-warn) var(--bs-strength), transparent);
  border-bottom: 2px dashed var(--bs-warn); }
.bs-text + p + .bs-legend { margin: 12px 0; }
.bs-chart { margin: 0 0 14px; }
.bs-chart figcaption, .bs-legend { color: var(--bs-soft); font-size: .88rem; }
.bs-plot { display: grid; grid-template-columns: max-content minmax(0, 1fr); gap: 0 8px; max-width: 760px;
  margin: 12px 0 4px; color: var(--bs-soft); font-size: .82rem; font-variant-numeric: tabular-nums; }
.bs-plot div { display: flex; flex-direction: column; justify-content: space-between; margin: -.6em 0;
  text-align: right; line-height: 1.2; }
.bs-plot svg { display: block; width: 100%; height: 168px; overflow: visible; }
.bs-plot svg * { vector-effect: non-scaling-stroke; }
.bs-plot p { grid-column: 2; display: flex; justify-content: space-between; margin: 6px 0 0; }
.bs-legend { display: flex; flex-wrap: wrap; gap: 2px 18px; }
.bs-legend span { white-space: nowrap; }
.bs-legend i { display: inline-block; width: 12px; height: 3px; margin: 0 7px 3px 0; border-radius: 2px;
  vertical-align: middle; }
.bs-ask { margin: 0; padding: 8px 0; }
.bs-form .block { min-width: min(260px, 100%) !important; } /* Gradio does not pass a switch its own */
.bs-mono textarea { font-family: var(--font-mono); font-size: .92rem; }
#plan-chips { gap: 8px; flex-wrap: wrap; }
#plan-chips button { border-radius: 999px; font-weight: 400; font-size: .92rem; min-width: 0; flex: 0 1 auto;
  width: auto; padding: 6px 14px; }
#plan-tools button, #data-prepare, #data-use, #data-mended, #data-rejected { flex: 0 0 auto; width: auto; }
#data-preview { align-self: flex-start; width: auto; }
#data-mend button, #data-keep-template { flex: 0 0 auto; width: auto; }
#data-mend, #data-own-template { align-items: flex-end; flex-wrap: wrap; }
#data-bring, #data-saved { align-items: flex-end; }
#data-confirm { align-items: center; gap: 10px; }
#data-bring > button, #data-saved > button, #data-confirm button { flex: 0 0 auto; height: auto; }
#runs-actions button, #runs-confirm button, #play-actions button, #release-actions button, #release-confirm button {
  flex: 0 0 auto; width: auto; }
#plan-tools, #runs-actions, #release-actions { gap: 10px; flex-wrap: wrap; }
#runs-confirm, #release-confirm { align-items: center; gap: 10px; }
#release-bring { align-items: flex-end; }
#release-bring > button { flex: 0 0 auto; height: auto; }
.bs-gates { list-style: none; margin: 0; padding: 0; }
.bs-gates li { padding: 10px 0; border-top: 1px solid var(--bs-line); }
.bs-gates li:first-child { border-top: 0; }
#release-verdict > .bs-row { margin: 10px 0 14px; }
.bs-section h4, .bs-defaults h4 { margin: 14px 0 2px; font-size: .95rem; font-weight: 600; }
.bs-section .bs-scroll + .bs-scroll, .bs-section .bs-scroll + .bs-list { margin-top: 14px; }
.bs-good-text { color: var(--bs-good); } .bs-bad-text { color: var(--bs-bad); }
#plan-chat { border: 1px solid var(--bs-line); border-radius: 12px; }
#plan-chat .icon-button-wrapper { display: none; }
#plan-chat .bubble-wrap { padding-top: 0; }
#plan-chat .message-row { margin: 14px 18px; }
#plan-chat .role, #plan-chat .prose, #plan-chat .prose * { font-size: 1rem; line-height: 1.55; }
#plan-chat .prose p + p { margin-top: .6em; }
#plan-chat .prose table { display: block; max-width: 100%; overflow-x: auto; margin: .6em 0 0; border: 0; }
#plan-chat .prose :is(th, td) { padding: 4px 8px; font-size: .9rem; border: 0; word-break: normal;
  overflow-wrap: normal; min-width: 4.5em; vertical-align: top; }
#plan-chat .prose tr + tr td { border-top: 1px solid var(--bs-line); }
#plan-chat code { background: none; border: 0; padding: 0; color: inherit; white-space: normal; display: inline; }
#plan-ask { gap: 10px; flex-wrap: nowrap; }
.bs-answer { background: var(--bs-card); border: 1px solid var(--bs-line); border-radius: 12px; padding: 20px 22px;
  gap: 10px; }
.bs-answer > .block { margin: 0; flex: none; }
.bs-answer .prose { font-size: 1.02rem; line-height: 1.6; overflow-wrap: anywhere; min-height: 5em; }
.bs-answer-tuned { border-color: var(--bs-accent); }
#play-actions { align-items: center; gap: 12px 16px; flex-wrap: wrap; }
#play-prompted-too { background: none; border: 0; padding: 0; }
#plan-send { align-self: flex-end; }
input[role=combobox] { text-overflow: ellipsis; padding-right: 24px !important; }
#runs-loss .role-legend text { font-size: 11px !important; }
@media (min-width: 900px) { #plan-left { position: sticky; top: 12px; } }
@media (max-width: 640px) {
  .gradio-container main.contain, .gradio-container > main { padding: 0 !important; }
  .gradio-container { padding: 12px 12px 4px !important; }
  .bs-value { grid-template-columns: minmax(0, 1fr); }
  .bs-card, .bs-answer { padding: 16px; }
  .bs-empty { padding: 36px 16px; }
  #data-tabs > .tab-wrapper .tab-container button { padding: 0 6px; font-size: .88rem; }
  #pages > .tab-wrapper .tab-container button { padding: 0 5px; font-size: .86rem; }
  .bs-tag { font-size: .88rem; }
  #play-prompted-too { flex-basis: 100% !important; }
  .bs-compare.bs-compare, .bs-compare.bs-compare thead, .bs-compare.bs-compare tbody { display: block; }
  .bs-compare.bs-compare thead th:first-child { display: none; }
  .bs-compare.bs-compare th { white-space: normal; padding: 0 8px 8px 0; margin: 0; }
  .bs-compare.bs-compare tr { display: grid; grid-template-columns: repeat(3, minmax(0, 1fr)); }
  .bs-compare.bs-compare td { border: 0; padding: 0 8px 10px 0; margin: 0; }
  .bs-compare.bs-compare td:first-child { grid-column: 1 / -1; border-top: 1px solid var(--bs-line);
    padding: 10px 0 4px; }
  .bs-compare.bs-compare .bs-soft { white-space: normal; }
  #plan-chat .message-row { margin: 12px; max-width: calc(100% - 24px); }
}
"""
