"""The People page: who may sign in, and as what; what was done by whom. Administrators see it where people sign in."""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from typing import Any

import gradio as gr

from assistant.gate import SignIn
from assistant.pages.background import said
from assistant.pages.style import QUIET, html, page_title
from trainer import audit
from trainer.actor import ROLES
from trainer.errors import UserError

SHOWN = 200  # deeds; all of them: `bedside audit`
MAY = {
    "reviewer": "asks in the Playground, judges answers, reads reports, signs dossiers",
    "trainer": "also plans, prepares data, runs, evaluates and exports",
    "administrator": "also lets people in, puts versions into use, deletes what others made",
}
Updates = dict[Any, Any]


def build(tab: Any, sign_in: SignIn) -> None:
    """Draw the page (within its tab) and connect it; it is read whenever the tab is chosen."""
    page = _Page(sign_in)
    page.connect(tab)


class _Page:
    """The page's components, and what each button does to them."""

    def __init__(self, sign_in: SignIn) -> None:
        self.passwords = sign_in == "password"
        page_title("People")
        self.list = html(elem_id="people-list")
        self.told = html(visible=False, elem_id="people-said")
        with gr.Row(elem_id="people-new"):
            self.name = gr.Textbox(
                label="Name" if self.passwords else "Hugging Face user name", max_lines=1, max_length=80,
                info="Votes and runs are kept under it", elem_id="people-name", min_width=220,
            )  # fmt: skip
            self.role = gr.Dropdown(
                list(ROLES), value=ROLES[0], label="Role", filterable=False, elem_id="people-role", min_width=160
            )
            self.add = gr.Button("Let in", variant="primary", scale=0, min_width=120, elem_id="people-add")
        with gr.Row(visible=False, elem_id="people-change") as self.change:
            self.who = gr.Dropdown(
                [], label="Somebody who is in", filterable=False, elem_id="people-who", min_width=220
            )
            self.other = gr.Dropdown(
                list(ROLES), value=ROLES[0], label="Other role", filterable=False, elem_id="people-other", min_width=160
            )
            with gr.Row(elem_id="people-actions", elem_classes=["bs-tools"]):
                self.set_role = gr.Button("Change role", min_width=130, elem_id="people-set-role")
                self.renew = gr.Button("New password", min_width=150, visible=self.passwords, elem_id="people-renew")
                self.remove = gr.Button("Remove", variant="stop", min_width=110, elem_id="people-remove")
        with gr.Row(visible=False, elem_id="people-confirm") as self.confirm:
            html('<p class="bs-ask">Let this person in no more? What they did stays, under their name.</p>')
            self.really = gr.Button("Remove", variant="stop", elem_id="people-really", min_width=150)
            self.keep = gr.Button("Keep", elem_id="people-keep", min_width=110)
        with gr.Accordion("What was done", open=False, elem_id="people-audit"):
            self.deeds = html(elem_id="people-deeds")
        self.outputs = [self.list, self.told, self.name, self.change, self.who, self.confirm, self.deeds]

    def connect(self, tab: Any) -> None:
        """Every event of the page."""
        tab.select(self.open, None, self.outputs, **QUIET)
        gr.on([self.add.click, self.name.submit], self._add, [self.name, self.role], self.outputs, **QUIET)
        self.set_role.click(self._set_role, [self.who, self.other], self.outputs, **QUIET)
        self.renew.click(self._renew, self.who, self.outputs, **QUIET)
        self.remove.click(lambda: gr.Row(visible=True), None, self.confirm, **QUIET)
        self.keep.click(lambda: gr.Row(visible=False), None, self.confirm, **QUIET)
        self.really.click(self._remove, self.who, self.outputs, **QUIET)

    def open(self, sentence: str = "", tone: str = "good") -> Updates:
        """Who is in now, and the latest deeds."""
        from trainer import people

        found = people.everybody()
        names = [one.name for one in found]
        return {
            self.list: _people([(one.name, one.role, f"{one.created:%-d %b %Y}") for one in found]),
            self.told: gr.HTML(said(sentence, tone), visible=bool(sentence)),
            self.name: "",
            self.change: gr.Row(visible=bool(found)),
            self.who: gr.Dropdown(names, value=next(iter(names), None)),
            self.confirm: gr.Row(visible=False),
            self.deeds: _deeds(audit.entries(SHOWN)),
        }

    def _add(self, name: str, role: Any) -> Updates:
        from trainer import passwords, people

        made = passwords.made() if self.passwords else ""
        return self._after(lambda: people.add(name, role, made), lambda who: f"{who} may sign in now.", made)

    def _set_role(self, name: str, role: Any) -> Updates:
        from trainer import people

        return self._after(lambda: people.set_role(name or "", role), lambda who: f"{who} is {role} now.")

    def _renew(self, name: str) -> Updates:
        from trainer import passwords, people

        made = passwords.made()
        return self._after(lambda: people.set_password(name or "", made), lambda who: f"{who} has a new one.", made)

    def _remove(self, name: str) -> Updates:
        from trainer import people

        return self._after(lambda: people.remove(name or ""), lambda who: f"{who} may sign in no more.")

    def _after(self, work: Callable[[], Any], words: Callable[[str], str], password: str = "") -> Updates:
        """Do it and draw the page anew; a password that was made is shown here and nowhere else."""
        try:
            sentence = words(work().name)
        except UserError as error:
            return {self.told: gr.HTML(said(str(error), "bad"), visible=True)}
        told = f" The password, shown this once: {password}" if password else ""
        return self.open(sentence + told)


def _people(rows: list[tuple[str, str, str]]) -> str:
    roles = "".join(f"<li><strong>{role}</strong>: {words}</li>" for role, words in MAY.items())
    head = f'<ul class="bs-list">{roles}</ul>'
    if not rows:
        return head + '<p class="bs-soft">Nobody is registered yet.</p>'
    return head + _table(("Name", "Role", "Since"), rows)


def _deeds(entries: list[audit.Entry]) -> str:
    rows = [
        (f"{one.time:%-d %b %Y, %H:%M:%S} UTC", f"{one.who}{f', {one.role}' if one.role else ''}", one.action, one.on)
        for one in reversed(entries)
    ]
    return _table(("When", "Who", "What", "On"), rows) if rows else '<p class="bs-soft">Nothing was done yet.</p>'


def _table(head: tuple[str, ...], rows: list[Any]) -> str:
    top = "".join(f"<th>{escape(one)}</th>" for one in head)
    body = "".join(f"<tr>{''.join(f'<td>{escape(one)}</td>' for one in row)}</tr>" for row in rows)
    return f'<div class="bs-scroll" tabindex="0"><table class="bs-table"><tr>{top}</tr>{body}</table></div>'
