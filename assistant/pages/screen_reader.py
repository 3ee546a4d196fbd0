"""What some of Gradio's own widgets lack for the keyboard and for screen readers, added in the browser once they are
drawn: names, roles and a way in. Whatever a property can say is said where the widget is made, not here."""

from __future__ import annotations

from assistant.pages import style

# Widgets are drawn and drawn anew at any time, so each change of the page is looked at, at most once a frame.
_SCRIPT = """
const each = (selector, mend) => document.querySelectorAll(selector).forEach(mend);
const set = (it, name, text) => { if (it.getAttribute(name) !== text) it.setAttribute(name, text); };
const mend = () => {
  // The conversation scrolls, and so has to take the focus.
  each('#plan-chat .bubble-wrap', (it) => set(it, 'tabindex', '0'));
  // The editor takes it in its text; its Tab key indents, so the way out is said.
  each('#plan-yaml .cm-content', (it) => {
    set(it, 'tabindex', '0');
    set(it, 'aria-label', 'Run file as YAML. Escape, then Tab, leaves the editor.');
  });
  // A list of choices scrolls, so that the Tab key would stop in it and lose its place when it closes.
  each('ul[role=listbox]', (it) => set(it, 'tabindex', '-1'));
  // A check box in a table stands in what calls itself a button, and neither has a name.
  each('#data-labels :is(.bool-cell, .select-all-checkbox)[role=button]', (it) => it.removeAttribute('role'));
  each('#data-labels .bool-cell input', (it) => set(it, 'aria-label', 'Checked by an expert'));
  each('#data-labels .select-all-checkbox input', (it) => set(it, 'aria-label', 'All checked by an expert'));
  each('#data-labels [aria-label="Static column"]', (it) => {
    set(it, 'role', 'img');
    set(it, 'aria-label', 'cannot be changed');
  });
};
// Gradio opens a list at every key, so that it would stay open, over what follows it, behind whoever goes on by Tab.
document.addEventListener('keydown', (event) => {
  if (event.key === 'Tab' && event.target.matches('input[role=combobox]')) event.stopPropagation();
}, true);
let due = false;
const soon = () => {
  if (!due) requestAnimationFrame(() => { due = false; mend(); });
  due = true;
};
new MutationObserver(soon).observe(document.body, {childList: true, subtree: true});
soon();
"""


def draw() -> None:
    """Put the script into the page; it shows nothing."""
    style.html("<span></span>", js_on_load=_SCRIPT, elem_classes=["bs-spoken"])
