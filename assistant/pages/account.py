"""Who is signed in: name and role at the head of the page, the way out, and the tabs that they may use."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

import gradio as gr

from assistant.pages.style import QUIET
from trainer import actor
from trainer.actor import Actor, Role

_NEEDED: dict[Role, tuple[str, ...]] = {
    "trainer": ("#play-bring", "#play-cases-file", "#release-settings", "#release-actions", "#dossier-make", "#export",
                "#versions-register", *(f"#review-tabs button[data-tab-id={one}]" for one in ("preferences", "sets"))),
    "administrator": ("#versions-actions", "#review-delete"),
}  # fmt: skip
"""Selectors of what else on the pages is only for this role and those above it; a tab of a page that is not drawn yet
cannot be hidden otherwise."""


def connect(demo: Any, head: Any, pages: Any, tabs: Mapping[Any, Role]) -> None:
    """Draw it in every new window.

    `head` is the HTML that takes the name; of `tabs`, each with the role that it needs, those that somebody may not use
    are hidden, and so are buttons. That is for the eye alone: what may be called is settled in `assistant.access`.
    """

    def greet() -> dict[Any, Any]:
        person = actor.now()
        return {
            head: gr.HTML(_head(person), visible=True),
            **{tab: gr.Tab(visible=person.may(role)) for tab, role in tabs.items()},
            pages: gr.Tabs(selected="plan" if person.may("trainer") else "review"),
        }

    demo.load(greet, None, [head, *tabs, pages], **QUIET)


def _head(person: Actor) -> str:
    not_theirs = [one for role, every in _NEEDED.items() if not person.may(role) for one in every]
    hidden = f"<style>{', '.join(not_theirs)} {{ display: none !important; }}</style>" if not_theirs else ""
    return hidden + (
        f'<form class="bs-who" method="post" action="/sign-out"><span>{escape(person.name)}, {person.role}</span>'
        "<button>Sign out</button></form>"
    )
