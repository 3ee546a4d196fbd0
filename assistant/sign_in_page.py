"""The page on which people sign in, and the one for whoever is signed in and may not come in: plain HTML, no script."""

from __future__ import annotations

from html import escape

_STYLE = """
:root { color-scheme: light dark; --ink: #1d2b2f; --soft: #56676c; --card: #fff; --back: #f7f9f9; --line: #cfdadc;
  --accent: #0f766e; --warn: #8a5a00; --warn-back: #fbf0d9; }
@media (prefers-color-scheme: dark) { :root { --ink: #dfe8ea; --soft: #93a5aa; --card: #161e21; --back: #0f1517;
  --line: #314146; --accent: #128a80; --warn: #e9bd66; --warn-back: #33280f; } }
* { box-sizing: border-box; }
body { margin: 0; padding: 12vh 16px 24px; background: var(--back); color: var(--ink); line-height: 1.5;
  font: 17px/1.5 ui-sans-serif, system-ui, sans-serif; }
main { max-width: 400px; margin: 0 auto; padding: 28px; background: var(--card); border: 1px solid var(--line);
  border-radius: 12px; }
h1 { margin: 0 0 4px; font-size: 1.4rem; color: var(--accent); }
p { margin: 0 0 16px; color: var(--soft); overflow-wrap: anywhere; }
p.told { padding: 10px 14px; border-radius: 8px; color: var(--warn); background: var(--warn-back); }
label { display: block; margin: 0 0 14px; font-weight: 600; }
input { display: block; width: 100%; margin-top: 4px; padding: 10px 12px; font: inherit; color: inherit;
  background: var(--back); border: 1px solid var(--line); border-radius: 8px; }
button, a.button { display: block; width: 100%; padding: 11px 20px; font: inherit; font-weight: 600; text-align: center;
  text-decoration: none; color: #fff; background: #0f766e; border: 0; border-radius: 8px; cursor: pointer; }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
small { display: block; margin-top: 18px; color: var(--soft); }
"""
POLICY = "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'"
"""Content-Security-Policy of these pages, without who may frame them."""
_NOTICE = "A research tool, not a medical device; a clinician checks every answer."


def with_password(told: str = "", name: str = "") -> str:
    """A form with name and password; `told` says why the last try failed."""
    return _page(
        told,
        f"""<form method="post" action="/sign-in">
<label>Name<input name="name" autocomplete="username" required maxlength="80" value="{escape(name)}"
 {"" if name else "autofocus"}></label>
<label>Password<input name="password" type="password" autocomplete="current-password" required maxlength="200"
 {"autofocus" if name else ""}></label>
<button>Sign in</button>
</form>
<small>No account, or the password forgotten? Ask whoever administers Bedside here.</small>""",
    )


def with_hugging_face() -> str:
    """A link to Hugging Face's own sign-in, in a window of its own: it does not work within a frame."""
    return _page(
        "",
        '<a class="button" href="/login/huggingface" target="_blank" rel="noopener">Sign in with Hugging Face</a>'
        "<small>Then open this page again, or go on in the new window.</small>",
    )


def not_let_in(name: str, owner: str) -> str:
    """For a Hugging Face user whom nobody has let in."""
    told = f"You are signed in to Hugging Face as {name}, and nobody has let you in here yet. "
    told += f"Ask {owner}, who administers this Space." if owner else "Ask whoever administers this Space."
    return _page(
        told, '<form method="post" action="/sign-out"><button>Sign out, to come as somebody else</button></form>'
    )


def _page(told: str, body: str) -> str:
    alert = f'<p class="told" role="alert">{escape(told)}</p>' if told else ""
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Sign in · Bedside</title><style>{_STYLE}</style></head>
<body><main><h1>Bedside</h1><p>Sign in to go on.</p>{alert}{body}<small>{_NOTICE}</small></main></body></html>"""
