"""Two runs beside each other: the fields of their run files that differ, and their curves laid over each other."""

from __future__ import annotations

from html import escape

from assistant.pages.history import history, thinned
from assistant.pages.line_chart import Series, line_chart
from trainer import runs
from trainer.run_differences import differences
from trainer.runs import Run


def comparison(first: Run, second: Run) -> str:
    """The second beside the first, as a card."""
    names = [run.config.output.name for run in (first, second)]
    if names[0] == names[1]:
        names = [runs.label(run) for run in (first, second)]
    charts = "".join(line_chart(series, "step", title) for title, series in _curves(first, second, names).items())
    rows = "".join(
        f"<tr><td>{escape(one.field)}</td><td>{escape(one.first)}</td><td>{escape(one.second)}</td></tr>"
        for one in differences(first.config, second.config)
    )
    heads = "".join(f"<th>{escape(name)}</th>" for name in names)
    table = (
        '<div class="bs-scroll" tabindex="0">'
        f'<table class="bs-table bs-compare bs-fields"><thead><tr><th>Run file</th>{heads}</tr>'
        f"</thead><tbody>{rows}</tbody></table></div>"
        if rows
        else '<p class="bs-soft">The two run files are the same.</p>'
    )
    return f'<div class="bs-card" id="runs-compared-card"><h3>Beside each other</h3>{charts}{table}</div>'


def _curves(first: Run, second: Run, names: list[str]) -> dict[str, Series]:
    pasts = [history(run.folder) for run in (first, second)]
    return {
        "validation loss": {
            name: [(one.step, one.loss) for one in thinned(past.evals)] for name, past in zip(names, pasts, strict=True)
        },
        "training loss": {
            name: [(one.step, one.loss) for one in thinned(past.steps)] for name, past in zip(names, pasts, strict=True)
        },
    }
