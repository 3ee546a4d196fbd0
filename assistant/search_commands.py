"""`bedside search`: look for better values of a run file, by many short trainings."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from typer.core import TyperGroup

from assistant import terminal
from assistant.terminal import BadInput, Json, Now, as_settings, follow, get_run, say
from trainer.atomic import write_atomically

if TYPE_CHECKING:
    from assistant.planner.advice_search import Proposal
    from trainer.search.searches import Search


class _StartsByDefault(TyperGroup):
    """`bedside search run.yaml` is `bedside search start run.yaml`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] not in ctx.help_option_names:
            args = ["start", *args]
        return super().parse_args(ctx, args)


search_app = typer.Typer(
    cls=_StartsByDefault,
    help="Look for better values of a run file by many short trainings: bedside search run.yaml.",
    no_args_is_help=True,
)
SearchId = Annotated[str, typer.Argument(help="Id of a search, its beginning, or 'latest'.")]
Source = Annotated[
    str, typer.Argument(metavar="RUN", help="Run file, the id of a run, 'latest', or a search file (propose --out).")
]
Minutes = Annotated[
    float | None, typer.Option(min=1, help="About how long it may take on this machine; 60 if left out.")
]
Detach = Annotated[bool, typer.Option(help="Start it and return; `bedside search show` follows it.")]
Settings = Annotated[
    list[str] | None, typer.Option("--set", help="section.field=value of the run file; may be repeated.")
]


@search_app.command()
def start(
    source: Source,
    minutes: Minutes = None,
    trials: Annotated[int | None, typer.Option(min=2, max=1000, help="How many trials.")] = None,
    tokens: Annotated[int | None, typer.Option(min=1, help="Tokens that each trial trains on.")] = None,
    method: Annotated[
        Literal["tpe", "random", "population", "hyperopt"] | None, typer.Option(help="How values are drawn.")
    ] = None,
    objective: Annotated[
        list[str] | None, typer.Option(help="quality, safety, forgetting or memory; may be repeated.")
    ] = None,
    workers: Annotated[int | None, typer.Option(min=1, max=64, help="Processes that share the trials.")] = None,
    engine: Annotated[Literal["local", "ray"] | None, typer.Option(help="Here, or on a Ray cluster.")] = None,
    ray_address: Annotated[
        str | None, typer.Option(help="Of the Ray cluster; one of its own here if left out.")
    ] = None,
    settings: Settings = None,
    detach: Detach = False,
    as_json: Json = False,
) -> None:
    """Search from a run file, everything proposed that is not said; shows how it goes."""
    from pydantic import ValidationError

    from trainer.evaluation.request import RequestError
    from trainer.hardware import detect
    from trainer.readiness import faults
    from trainer.search import searches
    from trainer.search.request import SearchRequest
    from trainer.search.space import LIVE

    wanted = {
        "trials": trials,
        "tokens": tokens,
        "method": method,
        "objectives": objective or None,
        "workers": workers,
        "engine": engine or ("ray" if ray_address else None),
        "ray_address": ray_address,
    }
    request = _proposed(source, minutes, settings).request
    data = request.model_dump(mode="json") | {name: one for name, one in wanted.items() if one is not None}
    if method == "population":
        left = [name for name in data["space"] if name not in LIVE]
        data["space"] = {name: one for name, one in data["space"].items() if name in LIVE}
        if left:
            say(f"Left out, since a population's values change while it trains: {', '.join(left)}.")
    try:
        request = SearchRequest.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        raise RequestError(f"{'.'.join(map(str, first['loc']))}: {first['msg']} (found {first['input']!r}).") from None
    if against := faults(request.run, detect()):
        raise BadInput(" ".join(against))
    search = searches.start(searches.create(request))
    say(f"Search {search.id} started; it goes on if this terminal closes.")
    _finish(search, detach, as_json)


@search_app.command()
def propose(
    source: Source,
    minutes: Minutes = None,
    settings: Settings = None,
    out: Annotated[Path | None, typer.Option(help="Write the search file here, to be changed and started.")] = None,
    as_json: Json = False,
) -> None:
    """What would be searched, how far and for how long, each with its reason; nothing is started."""
    from trainer.search import request as requests

    found = _proposed(source, minutes, settings)
    if as_json:
        print(found.model_dump_json(indent=1))
    else:
        for reason in found.reasons:
            print(f"  {reason.field}: {reason.value}. {reason.why} [{reason.source}]")
    if out is not None:
        write_atomically(out, requests.to_yaml(found.request))
        say(f"Search file written to {out}; `bedside search {out}` starts it.")


@search_app.command("list")
def list_all(as_json: Json = False) -> None:
    """All searches, newest first."""
    from assistant.search_words import SearchList, summary
    from trainer.search import searches

    found = [summary(one) for one in searches.list_searches()]
    if as_json:
        print(SearchList(searches=found).model_dump_json(indent=1))
        return
    for one in found:
        taken = f"trial {one.best} is best so far" if one.best is not None else ""
        print(f"{one.id:50} {one.state:10} {one.done} of {one.trials} trials  {taken}".rstrip())
    if not found:
        print("No searches yet. `bedside search run.yaml` starts one.")


@search_app.command()
def show(search_id: SearchId, as_json: Json = False) -> None:
    """One search: its trials, which is taken, and which fields matter."""
    _print(_get(search_id), as_json)


@search_app.command()
def stop(search_id: SearchId, now: Now = False, as_json: Json = False) -> None:
    """Ask a search to stop; the trial that it is at is made again when it goes on."""
    from trainer.search import searches

    _print(terminal.stop(_get(search_id), searches.get, now), as_json)


@search_app.command()
def resume(search_id: SearchId, detach: Detach = False, as_json: Json = False) -> None:
    """Go on with a stopped or failed search; no trial that is done is made again."""
    from trainer.search import searches

    _finish(searches.start(_get(search_id)), detach, as_json)


@search_app.command()
def work(search_id: SearchId, as_json: Json = False) -> None:
    """Make trials of a running search in this terminal too, until it is done; from any machine that sees its home."""
    from trainer.jobs import ACTIVE
    from trainer.search import searches
    from trainer.search.work import help_with

    search = _get(search_id)
    if search.status.state not in ACTIVE:
        raise BadInput(f"Search {search.id} is {search.status.state}; `bedside search resume {search.id}` goes on.")
    if search.request.method == "population" or search.request.engine == "ray":
        what = "A population" if search.request.method == "population" else "Ray"
        raise BadInput(f"{what} shares out its trials itself; nothing is to be done in another process.")
    help_with(search.folder)
    _print(searches.get(search.id), as_json)


@search_app.command()
def promote(
    search_id: SearchId,
    trial: Annotated[int | None, typer.Option(help="The values of this trial instead of the best's.")] = None,
    out: Annotated[Path | None, typer.Option(help="Write the run file here.")] = None,
    as_json: Json = False,
) -> None:
    """Write the run file with the values that were found, to be planned with and trained."""
    from assistant.search_words import Promoted
    from trainer import config as run_config
    from trainer.search import searches

    search = _get(search_id)
    config = searches.best(search, trial)
    if out is not None:
        write_atomically(out, run_config.to_yaml(config))
        say(f"Run file written to {out}; `bedside train {out}` trains it.")
    if as_json:
        values = {name: _value(config, name) for name in search.request.space.root}
        file = str(out) if out else None
        print(Promoted(search=search.id, values=values, file=file, config=config).model_dump_json(indent=1))
    elif out is None:
        print(run_config.to_yaml(config), end="")


@search_app.command()
def sweep(
    source: Annotated[Path, typer.Argument(metavar="RUNFILE", help="Run file (YAML) that the sweep's agents train.")],
    out: Annotated[Path, typer.Option(help="Write the sweep file here.")] = Path("sweep.yaml"),
    as_json: Json = False,
) -> None:
    """Write a Weights & Biases sweep with the same search space; nothing is sent."""
    from assistant.search_words import SweepWritten
    from trainer.search.sweep import to_sweep

    request = _proposed(str(source), None, None).request
    write_atomically(out, to_sweep(request, str(source), out.name))
    if as_json:
        print(SweepWritten(file=str(out)).model_dump_json(indent=1))
    else:
        print(f"Sweep written to {out}; `wandb sweep {out}` registers it with your account.")


@search_app.command()
def delete(
    search_id: SearchId,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: Json = False,
) -> None:
    """Remove a search and its trials, for good."""
    from assistant.results import Deleted
    from trainer.search import searches

    search = _get(search_id)
    if not yes and not (sys.stdin.isatty() and typer.confirm(f"Delete {search.id} for good?", err=True)):
        raise BadInput(f"Nothing was deleted; add --yes to delete {search.id} for good.")
    searches.delete(search)
    print(Deleted(deleted=search.id).model_dump_json(indent=1) if as_json else f"Deleted {search.id}.")


def _proposed(source: str, minutes: float | None, settings: list[str] | None) -> Proposal:
    """The search that a file, a run or a search file leads to; a search file is taken as it is."""
    from assistant.planner import advice_search
    from trainer import config as run_config
    from trainer.hardware import detect
    from trainer.search import request as requests

    path = Path(source)
    if path.suffix in (".yaml", ".yml") and path.exists() and _is_search_file(path):
        request = requests.load(path)
        if settings:
            changed = run_config.with_values(request.run, as_settings(settings))
            request = request.model_copy(update={"run": changed})
        return advice_search.Proposal(request=request, reasons=[])
    config = run_config.load(path) if path.suffix in (".yaml", ".yml") else get_run(source).config
    if settings:
        config = run_config.with_values(config, as_settings(settings))
    return advice_search.propose(config, detect(), minutes or advice_search.MINUTES)


def _is_search_file(path: Path) -> bool:
    import yaml

    from trainer import yaml_text

    try:
        found = yaml_text.read(yaml_text.text_of(path))
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return False  # reading it as a run file says what is wrong
    return isinstance(found, dict) and "space" in found


def _value(config: Any, name: str) -> Any:
    section, _, field = name.partition(".")
    return getattr(getattr(config, section), field)


def _get(identity: str) -> Search:
    from trainer.search import searches

    if identity == "latest":
        found = searches.list_searches()
        if not found:
            raise BadInput("There are no searches yet; `bedside search run.yaml` starts one.")
        return found[0]
    return searches.get(identity)


def _finish(search: Search, detach: bool, as_json: bool) -> None:
    from trainer.search import searches

    if not detach:
        search = follow(search, searches.get)
    _print(search, as_json)
    raise typer.Exit(1 if search.status.state == "failed" else 0)


def _print(search: Search, as_json: bool) -> None:
    from assistant.search_words import details, lines

    found = details(search)
    if as_json:
        print(found.model_dump_json(indent=1))
        return
    summary = found.search
    print(f"Search {search.id} is {summary.state}: {summary.done} of {summary.trials} trials ({summary.method}).")
    if search.status.error:
        say(search.status.error)
    for line in lines(found):
        print(line)
