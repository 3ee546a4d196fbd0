"""`bedside serve`: one version behind an OpenAI-compatible API, until Ctrl-C."""

from __future__ import annotations

import signal
from typing import Annotated, Literal

import typer
from pydantic import BaseModel

from assistant.terminal import Json, say, tell

# As `trainer.server_process.Engine`, without loading what that imports.
Engine = Literal["transformers", "vllm", "llama.cpp"]


class Served(BaseModel):
    """`serve --json`, printed once the server answers."""

    address: str
    """Base address for a client: http://127.0.0.1:8000/v1."""
    model: str
    """What a client calls the model."""
    engine: Engine
    gates: str
    """What the release gates say, in a sentence."""
    warnings: list[str]
    """Gates that fail, who can reach it, and what has to be known of the model."""


def serve(
    model: Annotated[
        str,
        typer.Argument(
            help="A version (clinic@1.2.0; clinic: the one in use), RUN, RUN:base, latest, an exported folder, or GGUF."
        ),
    ],
    engine: Annotated[
        Engine | None, typer.Option(help="The server; llama.cpp for GGUF and transformers for the rest if left out.")
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen at; another than this machine's own is warned of.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(min=1, max=65535)] = 8000,
    adapter: Annotated[
        str | None, typer.Option(help="Which adapter, where each task or specialty has its own.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Answer an OpenAI-compatible API with one model, until Ctrl-C."""
    from trainer import audit, server_process, serving

    chosen = serving.find(model)
    chosen_engine = serving.engine_for(chosen, engine)
    warnings = serving.warnings(chosen, host)
    say("Research software, not a medical device: a clinician checks every answer.")
    for line in [f"{chosen.name}: {chosen.said}", *warnings]:
        say(line)
    # So that what was started is ended as on Ctrl-C.
    signal.signal(signal.SIGTERM, signal.getsignal(signal.SIGINT))
    try:
        with (
            serving.laid_out(chosen, chosen_engine, _told, adapter) as (files, notes),
            server_process.running(files, chosen_engine, host, port, chosen.name) as server,
        ):
            for note in notes:
                say(note)
            address = f"{server_process.address(host, port)}/v1"
            audit.record("served", f"{chosen.name} at {address}")
            if as_json:
                found = Served(
                    address=address,
                    model=chosen.name,
                    engine=chosen_engine,
                    gates=chosen.said,
                    warnings=warnings + notes,
                )
                print(found.model_dump_json(indent=1), flush=True)
            else:
                print(f"Serving {chosen.name} at {address} ({chosen_engine}).", flush=True)
                say("Ctrl-C stops it.")
            status = server.wait()
    except KeyboardInterrupt:
        say("Stopped.")
        return
    say(f"The server ended by itself, with status {status}.")
    raise typer.Exit(1)


def _told(stage: str, done: int, total: int) -> None:
    from trainer import events

    if done in (0, total):  # a model's layers are many
        tell(events.ProgressEvent(stage=stage, done=done, total=total))
