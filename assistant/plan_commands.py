"""`bedside plans`: conversations that have not become a run yet."""

from __future__ import annotations

from typing import Annotated

import typer

from assistant.terminal import Json, say

plans_app = typer.Typer(help="Look at saved plans, export and delete them.", no_args_is_help=True)
PlanId = Annotated[str, typer.Argument(help="Id of a plan, as `bedside plans list` shows it.")]


@plans_app.command("list")
def list_all(as_json: Json = False) -> None:
    """All saved plans, newest first; `bedside plan --open ID` goes on with one."""
    from assistant.planner import drafts
    from assistant.results import PlanList, PlanSummary

    found, unreadable = drafts.saved()
    if as_json:
        plans = [PlanSummary(id=one.id, title=one.title, messages=len(one.messages)) for one in found]
        print(PlanList(plans=plans, unreadable=unreadable).model_dump_json(indent=1))
        return
    for one in found:
        print(f"{one.id}  {one.title}")
    for sentence in unreadable:
        say(sentence)
    if not found and not unreadable:
        print("No saved plans. Talk to the planner with `bedside plan`, or on the Plan page.")


@plans_app.command()
def export(plan_id: PlanId, as_json: Json = False) -> None:
    """The conversation of a plan as Markdown."""
    from assistant.planner import drafts
    from assistant.results import PlanConversation

    text = drafts.as_markdown(drafts.load(plan_id))
    print(PlanConversation(id=plan_id, markdown=text).model_dump_json(indent=1) if as_json else text)


@plans_app.command()
def delete(
    plan_id: PlanId,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: Json = False,
) -> None:
    """Remove a plan and its conversation for good."""
    from assistant.planner import drafts
    from assistant.results import Deleted

    title = drafts.load(plan_id).title
    if not yes and not typer.confirm(f"Delete plan {plan_id} ({title}) for good?", err=True):
        raise typer.Exit(0)
    drafts.delete(plan_id)
    print(Deleted(deleted=plan_id).model_dump_json(indent=1) if as_json else f"Deleted {plan_id}.")
