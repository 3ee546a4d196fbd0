"""A dossier's Markdown as one HTML file: no outside resource, no script, fit to be printed."""

from __future__ import annotations

from html import escape

from markdown_it import MarkdownIt
from markdown_it.token import Token

STYLE = """
:root { color-scheme: light dark; --text: #1d2b2f; --soft: #56676c; --line: #d5dfe1; --sunk: #f1f5f5; --back: #fff; }
@media (prefers-color-scheme: dark) {
  :root { --text: #dfe8ea; --soft: #93a5aa; --line: #2c3a3f; --sunk: #161e21; --back: #0f1517; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 24px 20px 60px; max-width: 1000px; color: var(--text); background: var(--back);
  font: 16px/1.55 system-ui, "DejaVu Sans", sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.9rem; line-height: 1.2; } h2 { font-size: 1.35rem; margin-top: 2.2em; }
nav ol { columns: 2 280px; padding-left: 2em; }
a { color: inherit; }
.scroll { overflow-x: auto; margin: 1em 0; }
table { border-collapse: collapse; width: 100%; font-size: .92rem; font-variant-numeric: tabular-nums; }
th, td { text-align: left; vertical-align: top; padding: 6px 10px 6px 0; border-bottom: 1px solid var(--line);
  min-width: 5em; }
th { color: var(--soft); font-weight: 600; } th:empty { padding: 0; }
@media screen and (max-width: 700px) { th, td { overflow-wrap: break-word; } }
pre { background: var(--sunk); padding: 14px; overflow-x: auto; font-size: .85rem; white-space: pre-wrap; }
code { font-family: ui-monospace, "DejaVu Sans Mono", monospace; }
@page { margin: 16mm; }
@media print {
  body { max-width: none; padding: 0; font-size: 10pt; color: #000; background: #fff; }
  h2 { break-after: avoid; } tr { break-inside: avoid; } .scroll { overflow: visible; }
  thead { display: table-header-group; }
}
"""


def parser() -> MarkdownIt:
    """The Markdown that a dossier is written in: CommonMark with tables, and no HTML in it."""
    return MarkdownIt("commonmark", {"html": False}).enable("table")


def heading(tokens: list[Token], at: int) -> str:
    """The text of the heading that opens at `at`."""
    return "".join(child.content for child in tokens[at + 1].children or [])


def page(markdown: str, title: str) -> str:
    """The whole file. Its headings of the second level stand in a list of contents."""
    markdown_it = parser()
    tokens = markdown_it.parse(markdown)
    contents = []
    for at, token in enumerate(tokens):
        if token.type == "heading_open" and token.tag == "h2":
            token.attrSet("id", f"part-{len(contents) + 1}")
            contents.append(f'<li><a href="#part-{len(contents) + 1}">{escape(heading(tokens, at))}</a></li>')
    body = markdown_it.renderer.render(tokens, markdown_it.options, {})
    body = body.replace("<table>", '<div class="scroll"><table>').replace("</table>", "</table></div>")
    listed = f'<nav aria-label="Contents"><ol>{"".join(contents)}</ol></nav>'
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        f"<title>{escape(title)}</title><style>{STYLE}</style></head><body>\n"
        f"{body.replace('</h1>', '</h1>' + listed, 1)}</body></html>\n"
    )
