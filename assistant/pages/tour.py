"""The tour: eight cards that lead through the pages themselves, each saying what a page is for and what to do there.

It all happens in the browser; nothing of it is asked of the server or kept there. The card stands at the lower edge;
the page is made longer by its height, and moved until what the card speaks of stands clear above it.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from assistant.pages import style


@dataclass(frozen=True)
class Step:
    """One card."""

    tabs: list[str]
    """Ids of the tabs that lead to its page, the outer one first."""
    marks: list[str]
    """Selectors of what it speaks of: the first that can be seen is marked, so that an empty page has one too."""
    title: str
    what: str
    now: str


STEPS = [
    Step(
        ["plan"],
        ["#plan-ask"],
        "Plan: say what you need",
        "A model begins with a conversation: what it is for, which examples you have, and which computer trains it. "
        "What is missing is asked, and you may change your mind at any time.",
        "Press one of the suggestions, or write a sentence. Nothing is trained yet.",
    ),
    Step(
        ["plan"],
        ["#plan-estimate", "#plan-known"],
        "Plan: see why",
        "The run file grows here: every setting with its reason and where the reason comes from. You need not know any "
        "of them. The bar says whether the computer's memory is enough.",
        "When all is answered, “Start run” begins the training; the tour can wait.",
    ),
    Step(
        ["data"],
        ["#data-bring"],
        "Data: bring your own examples",
        "Tables, notes and exports are read as they are. You see the rows as the model will, what identifies a patient "
        "is taken out, and some rows are held back for a fair test.",
        "Choose a published set from the list, or upload a file. For a first try, leave this page: "
        "the starter data is ready.",
    ),
    Step(
        ["runs", "training"],
        ["#runs-state", "#runs-empty"],
        "Runs: watch it learn",
        "The curves show the model's mistakes becoming fewer, first on the rows it learns from, then on rows it never "
        "saw. If only the first falls, it learns by heart. The page may be closed: the run goes on.",
        "After a run has ended, read its report: base and tuned model on the same held-out questions.",
    ),
    Step(
        ["playground"],
        ["#play-question", "#play-empty"],
        "Playground: ask both",
        "The model before and after training answers the same question side by side, so that you see what training "
        "changed and what it spoilt. No answer here is medical advice.",
        "Ask what you ask in your work, without anything that identifies a patient. Then vote.",
    ),
    Step(
        ["review"],
        ["#review-who", "#review-empty"],
        "Review: judge without knowing whose",
        "You see two answers without their names and say which is better, or that both are bad. Colleagues judge some "
        "of the same cases, and the page says how far you agree beyond chance.",
        "Write your name, choose a set, and read each case as if a patient depended on it.",
    ),
    Step(
        ["release", "evaluation"],
        ["#release-actions", "#release-empty"],
        "Release: is it better, and is it safe?",
        "Both models take the same tests: knowledge, harmful requests, disturbed questions. Each gate says pass, fail, "
        "or not enough evidence. “Not enough evidence” is no pass.",
        "Press “Evaluate” once a run has finished. The dossier then gathers the evidence for people to sign.",
    ),
    Step(
        ["release", "versions"],
        ["#versions-line", "#versions-register", "#versions-empty"],
        "Versions: know what is in use",
        "A model that you keep gets a number, with its data, its gates and what changed. What an older version could "
        "do and a newer one cannot is listed, and one step goes back.",
        "That is the whole way. Go back to Plan and begin with the starter data: a first run takes a few minutes.",
    ),
]

_CARD = """
<section id="tour" class="bs-tour" role="dialog" aria-labelledby="tour-title" aria-describedby="tour-text" hidden>
<div aria-live="polite"><p class="bs-soft" id="tour-place"></p><h2 id="tour-title"></h2>
<div id="tour-text"><p id="tour-what"></p><p><strong>Now:</strong> <span id="tour-now"></span></p></div></div>
<div class="bs-row"><button type="button" class="bs-button bs-button-first" id="tour-next">Next</button>
<button type="button" class="bs-button" id="tour-back">Back</button>
<button type="button" class="bs-button" id="tour-leave">Leave the tour</button></div>
</section>
"""
# Pages are drawn by the server after their tab was chosen, and may then show another part: so what is marked is looked
# for again while the tour lasts, and the page is moved only when it is another.
_SCRIPT = """
const steps = STEPS, card = element.querySelector('#tour'), begin = element.querySelector('#tour-begin');
const part = (name) => element.querySelector('#tour-' + name);
const tab = (id) => document.querySelector(`[role=tab][data-tab-id=${id}]`);
const seen = (it) => it && it.offsetParent !== null && it.offsetHeight > 0;
let shown = [], at = 0, ahead = [], marked = null, clock = null;

const mark = () => {
  while (ahead.length && tab(ahead[0])) tab(ahead.shift()).click();  // inner tabs are drawn after the outer was chosen
  if (ahead.length) return;
  const found = shown[at].marks.map((one) => document.querySelector(one)).find(seen) || null;
  if (found === marked) return;
  if (marked) marked.classList.remove('bs-toured');
  marked = found;
  if (!found) return;
  found.classList.add('bs-toured');
  const place = found.getBoundingClientRect(), free = innerHeight - card.offsetHeight - 24;
  // As little as shows all of it; of what is higher than the free room, its beginning.
  if (place.bottom > free) scrollBy(0, Math.min(place.bottom - free, place.top - 12));
  else if (place.top < 12) scrollBy(0, place.top - 12);
};
const show = (number) => {
  at = number;
  const step = shown[at], last = at === shown.length - 1;
  ahead = [...step.tabs];
  part('place').textContent = `${at + 1} of ${shown.length}`;
  for (const name of ['title', 'what', 'now']) part(name).textContent = step[name];
  part('back').disabled = at === 0;
  part('next').textContent = last ? 'Finish' : 'Next';
  document.body.style.paddingBottom = card.offsetHeight + 24 + 'px';
  if (marked) marked.classList.remove('bs-toured');
  marked = null;
  mark();
};
const leave = () => {
  clearInterval(clock);
  if (marked) marked.classList.remove('bs-toured');
  marked = null;
  card.hidden = true;
  document.body.style.paddingBottom = '';
  begin.setAttribute('aria-expanded', 'false');
  begin.focus();
};
begin.addEventListener('click', () => {
  // Whoever is signed in is led through the pages that they see.
  shown = steps.filter((step) => tab(step.tabs[0]));
  card.hidden = false;
  begin.setAttribute('aria-expanded', 'true');
  show(0);
  clearInterval(clock);
  clock = setInterval(mark, 200);
  part('next').focus();
});
part('next').addEventListener('click', () => at === shown.length - 1 ? leave() : show(at + 1));
part('back').addEventListener('click', () => show(at - 1));
part('leave').addEventListener('click', leave);
element.addEventListener('keydown', (event) => { if (event.key === 'Escape' && !card.hidden) leave(); });
"""


def draw() -> None:
    """Draw the head of the pages with its “Tour” button, and the tour's card, hidden until the button is pressed."""
    steps = json.dumps([asdict(step) for step in STEPS])
    style.html(style.HEADER + _CARD, js_on_load=_SCRIPT.replace("STEPS", steps))
