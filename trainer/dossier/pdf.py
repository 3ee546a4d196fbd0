"""A dossier's Markdown as a PDF: contents, page numbers, tables whose heads come again on each page.

Letters are DejaVu's, which covers Latin, Greek, Cyrillic and signs. What it lacks (Chinese, Japanese, Korean and most
other scripts), and scripts that are written from right to left, is shown as a box and said on the first page.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markdown_it.token import Token

from trainer.dossier.html import heading, parser

if TYPE_CHECKING:
    from fpdf import FPDF

TEXT, SMALL, CODE = 10.0, 8.5, 8.0  # points
HEADINGS = {"h1": 20.0, "h2": 14.0, "h3": 11.5}
MARGIN = 18.0  # mm
LINE = 1.35  # of the size of the letters
BOX = "□"
MOST_OF_A_PAGE = 0.7  # that one row of a table may fill; longer cells are cut, and say so
WIDEST_WORD = 30.0  # mm; a longer one is broken
TO_WRITE_IN = 45.0
_MM = 25.4 / 72  # of a point
_CUT = " […]"
_SOFT, _LINE = (86, 103, 108), (200, 210, 212)


def write(markdown: str, title: str) -> bytes:
    """The PDF's bytes."""
    tokens = parser().parse(markdown)
    return _Writer(tokens, title).written()


class _Writer:
    def __init__(self, tokens: list[Token], title: str) -> None:
        self.tokens = tokens
        self.pdf = _pdf()
        self.lacking = self._lacking(title)
        self.title = self.shown(title)
        self.pdf.set_title(self.title)
        self.pdf.set_lang("en")
        self.pdf.set_creator("Bedside")

    def written(self) -> bytes:
        pdf = self.pdf
        title = self.title

        def footer() -> None:
            pdf.set_y(-13)
            pdf.set_font("text", size=8)
            pdf.set_text_color(*_SOFT)
            width = pdf.epw - 25
            pdf.cell(width, 5, _cut_to(pdf, title, width))
            pdf.cell(25, 5, f"{pdf.page_no()} / {{nb}}", align="R")
            pdf.set_text_color(0, 0, 0)

        pdf.footer = footer  # type: ignore[method-assign]
        pdf.add_page()
        at = 0
        while at < len(self.tokens):
            at = self._block(at)
        return bytes(pdf.output())

    def _block(self, at: int) -> int:
        """Write the block that begins at `at`; returns where the next one does."""
        token = self.tokens[at]
        if token.type == "heading_open":
            self._heading(token.tag, self.shown(heading(self.tokens, at)))
            return at + 3
        if token.type == "paragraph_open":
            self._paragraph(self.tokens[at + 1])
            return at + 3
        if token.type == "fence":
            self._code(token.content)
            return at + 1
        if token.type == "table_open":
            end = _closing(self.tokens, at, "table_close")
            self._table(self.tokens[at:end])
            return end + 1
        if token.type == "bullet_list_open":
            end = _closing(self.tokens, at, "bullet_list_close")
            self._bullets(self.tokens[at:end])
            return end + 1
        raise ValueError(f"a dossier has no {token.type}")

    def _heading(self, tag: str, text: str) -> None:
        pdf, size = self.pdf, HEADINGS[tag]
        if tag == "h1":
            self._line(text, size, "B")
            self._say_what_is_lacking()
            pdf.insert_toc_placeholder(_contents, pages=1)
            return
        if tag == "h2" and pdf.get_y() > MARGIN + 1:
            pdf.ln(5)
        if pdf.will_page_break(size * LINE * _MM + 20):
            pdf.add_page()
        pdf.start_section(text, level=0 if tag == "h2" else 1)
        self._line(text, size, "B")
        pdf.ln(1)

    def _line(self, text: str, size: float, style: str = "") -> None:
        self.pdf.set_font("text", style, size)  # type: ignore[arg-type]
        self.pdf.multi_cell(0, size * LINE * _MM, text, align="L", new_x="LMARGIN", new_y="NEXT")

    def _paragraph(self, inline: Token, after: float = 2.0) -> None:
        pdf, height = self.pdf, TEXT * LINE * _MM
        for style, text in self._pieces(inline):
            self._font(style, TEXT)
            # Word by word, since `write` would break the first word of another style instead of taking a new line.
            for word in re.findall(r" |[^ ]+", text):
                if (
                    pdf.get_x() + pdf.get_string_width(word) > pdf.w - pdf.r_margin - 2 * pdf.c_margin
                    and pdf.get_x() > pdf.l_margin
                ):
                    pdf.ln(height)
                if word != " " or pdf.get_x() > pdf.l_margin:
                    pdf.write(height, word)
        pdf.ln(height)
        pdf.ln(after)

    def _bullets(self, tokens: list[Token]) -> None:
        pdf = self.pdf
        for token in tokens:
            if token.type != "inline":
                continue
            self._font("", TEXT)
            pdf.cell(5, TEXT * LINE * _MM, "•")
            left = pdf.l_margin
            pdf.set_left_margin(left + 5)
            self._paragraph(token, after=0.8)
            pdf.set_left_margin(left)
            pdf.set_x(left)
        pdf.ln(2)

    def _code(self, text: str) -> None:
        from fpdf.enums import WrapMode

        self.pdf.set_font("mono", size=CODE)
        for line in text.rstrip().splitlines():
            self.pdf.multi_cell(
                0,
                CODE * LINE * _MM,
                self.shown(line) or " ",
                align="L",
                new_x="LMARGIN",
                new_y="NEXT",
                wrapmode=WrapMode.CHAR,
            )
        self.pdf.ln(3)

    def _table(self, tokens: list[Token]) -> None:
        from fpdf.fonts import FontFace

        rows: list[list[str]] = []
        for token in tokens:
            if token.type == "tr_open":
                rows.append([])
            elif token.type == "inline":
                rows[-1].append("".join(text for _, text in self._pieces(token)))
        headed = any(rows[0])
        rows = rows if headed else rows[1:]
        pdf = self.pdf
        self._font("", SMALL)
        widths = _widths(pdf, rows)
        cut = [[_fitting(pdf, cell, width) for cell, width in zip(row, widths, strict=True)] for row in rows]
        pdf.set_draw_color(*_LINE)
        with pdf.table(
            col_widths=widths,
            width=min(pdf.epw, sum(widths)),
            align="L",
            text_align="L",
            v_align="T",
            borders_layout="HORIZONTAL_LINES",
            line_height=SMALL * LINE * _MM,
            padding=(0.8, 1.5, 0.8, 0),
            first_row_as_headings=headed,
            num_heading_rows=1 if headed else 0,
            headings_style=FontFace(emphasis="B", color=_SOFT),
        ) as made:
            for row in cut:
                cells = made.row()
                for cell in row:
                    cells.cell(cell or " ")
        if cut != rows:
            self._line(f"What ends with{_CUT} is cut here; dossier.html and dossier.md have all of it.", SMALL)
        pdf.ln(3)

    def _pieces(self, inline: Token) -> Iterator[tuple[str, str]]:
        """Style (`""`, `"B"`, `"I"` or `"mono"`) and text of a line of Markdown."""
        style = ""
        for child in inline.children or []:
            match child.type:
                case "strong_open":
                    style = "B"
                case "em_open":
                    style = "I"
                case "strong_close" | "em_close":
                    style = ""
                case "code_inline":
                    yield "mono", self.shown(child.content)
                case "softbreak" | "hardbreak":
                    yield style, " "
                case _:
                    yield style, self.shown(child.content)

    def _font(self, style: str, size: float) -> None:
        if style == "mono":
            self.pdf.set_font("mono", size=size - 0.5)
        else:
            self.pdf.set_font("text", style, size)  # type: ignore[arg-type]

    def shown(self, text: str) -> str:
        """The text with a box for each letter that cannot be shown."""
        return "".join(BOX if one in self.lacking else one for one in text)

    def _lacking(self, title: str) -> set[str]:
        fonts: Any = self.pdf.fonts
        texts = [title, *(child.content for token in self.tokens for child in token.children or [])]
        texts += [token.content for token in self.tokens if token.type == "fence"]
        letters = {letter for text in texts for letter in text if letter != "\n"}
        return {
            letter
            for letter in letters
            if any(ord(letter) not in fonts[name].cmap for name in ("text", "mono"))
            or unicodedata.bidirectional(letter) in ("R", "AL")
        }

    def _say_what_is_lacking(self) -> None:
        if self.lacking:
            named = ", ".join(f"U+{ord(letter):04X}" for letter in sorted(self.lacking)[:8])
            more = f" and {len(self.lacking) - 8} more" if len(self.lacking) > 8 else ""
            self.pdf.ln(2)
            self._line(
                f"Letters that this PDF cannot show stand as {BOX} ({named}{more}); dossier.html and "
                "dossier.md have them.",
                SMALL,
            )


def _pdf() -> FPDF:
    import matplotlib
    from fpdf import FPDF

    fonts = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    pdf = FPDF(format="A4")
    pdf.set_margins(MARGIN, MARGIN, MARGIN)
    pdf.set_auto_page_break(True, margin=MARGIN)
    for family, style, name in (
        ("text", "", "DejaVuSans"),
        ("text", "B", "DejaVuSans-Bold"),
        ("text", "I", "DejaVuSans-Oblique"),
        ("mono", "", "DejaVuSansMono"),
    ):
        pdf.add_font(family, style, fonts / f"{name}.ttf")  # type: ignore[arg-type]
    return pdf


def _contents(pdf: FPDF, outline: list[Any]) -> None:
    pdf.set_xy(pdf.l_margin, pdf.get_y() + 6)
    pdf.set_font("text", "B", 12)
    pdf.cell(0, 8, "Contents", new_x="LMARGIN", new_y="NEXT")
    pdf.set_font("text", "", TEXT)
    for one in outline:
        if one.level:
            continue
        link = pdf.add_link(page=one.page_number)
        pdf.cell(pdf.epw - 15, 6.2, _cut_to(pdf, one.name, pdf.epw - 15), link=link)
        pdf.cell(15, 6.2, str(one.page_number), align="R", link=link, new_x="LMARGIN", new_y="NEXT")


def _widths(pdf: FPDF, rows: list[list[str]]) -> list[float]:
    """Widths of the columns in mm, at most a page's together.

    A column that asks for no more than its even share gets it; the others share the rest by the root of what they ask
    for, but each has room for its longest word, up to `WIDEST_WORD`, if there is that much.
    """
    whole: list[float] = []
    least: list[float] = []
    for cells in zip(*rows, strict=True):
        # The first row may be a heading, whose letters are bold.
        words = [pdf.get_string_width(word) for cell in cells[1:] for word in cell.split()]
        words += [pdf.get_string_width(word) * 1.15 for word in cells[0].split()]
        longest = max([pdf.get_string_width(cell) for cell in cells[1:]] + [1.15 * pdf.get_string_width(cells[0])])
        longest = longest * 1.06 + 4
        # A column without an entry is there to be written in.
        whole.append(longest if any(cells[1:]) else TO_WRITE_IN)
        least.append(min(whole[-1], WIDEST_WORD, max(words, default=0.0) * 1.06 + 4))
    widths: dict[int, float] = {}
    left = sorted(range(len(whole)), key=lambda column: whole[column])
    while left and whole[left[0]] <= (pdf.epw - sum(widths.values())) / len(left):
        column = left.pop(0)
        widths[column] = whole[column]
    while left:
        room, needed = pdf.epw - sum(widths.values()), sum(least[column] for column in left)
        if needed >= room:
            widths |= {column: least[column] * room / needed for column in left}
            break
        each = room / sum(math.sqrt(whole[column]) for column in left)
        narrow = next((column for column in left if math.sqrt(whole[column]) * each < least[column]), None)
        if narrow is None:
            widths |= {column: math.sqrt(whole[column]) * each for column in left}
            break
        widths[narrow] = least[narrow]
        left.remove(narrow)
    return [widths[column] for column in range(len(whole))]


def _fitting(pdf: FPDF, text: str, width: float) -> str:
    """The text, cut where it would fill more than most of a page in a column of this width."""
    lines = MOST_OF_A_PAGE * pdf.eph / (SMALL * LINE * _MM)
    # A line is filled to two thirds at the least: words are not broken.
    room = lines * (width - 2) * 0.66
    if pdf.get_string_width(text) <= room:
        return text
    return _cut_to(pdf, text, room)


def _cut_to(pdf: FPDF, text: str, width: float) -> str:
    """The text, cut so that it is at most this wide."""
    if pdf.get_string_width(text) <= width:
        return text
    low, high = 0, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if pdf.get_string_width(text[:middle] + _CUT) <= width else (low, middle - 1)
    return text[:low].rstrip() + _CUT


def _closing(tokens: list[Token], at: int, kind: str) -> int:
    return next(
        place
        for place in range(at, len(tokens))
        if tokens[place].type == kind and tokens[place].level == tokens[at].level
    )
