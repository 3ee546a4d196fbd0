"""Bedside's pages: `python app.py` serves them on this machine, and is what a Hugging Face Space runs.

Nothing heavy is imported here or by the pages when they are drawn: Gradio itself takes most of the start.
"""

from __future__ import annotations

import argparse
import gc
import os
import socket
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from trainer import config, restarts, storage
from trainer.errors import READ_ONLY, UserError, of_the_disk

if TYPE_CHECKING:
    from assistant.access import GuardedBlocks
    from assistant.gate import SignIn
    from trainer.actor import Role

PORT = 7860


def main(arguments: list[str] | None = None) -> int:
    """Serve the pages until interrupted; returns the exit status (2: not to be served so, and why stands on stderr)."""
    parser = argparse.ArgumentParser(prog="app.py", description="Serve Bedside's pages, on this machine or to others.")
    parser.add_argument("--host", help="address to listen at; people sign in at any but this machine's own (127.0.0.1)")
    parser.add_argument("--port", type=int, default=PORT, help=f"TCP port (default {PORT})")
    parser.add_argument(
        "--sign-in", action="store_true", help="people sign in here too: for a proxy that serves these pages to others"
    )
    parser.add_argument("--certificate", type=Path, help="TLS certificate (PEM), so that nobody on the way reads along")
    parser.add_argument("--key", type=Path, help="its private key (PEM)")
    given = parser.parse_args(arguments)
    on_space = bool(os.environ.get("SPACE_ID"))
    host, port = given.host or ("0.0.0.0" if on_space else "127.0.0.1"), given.port

    from assistant.gate import is_this_machine

    open_to_others = not is_this_machine(host)
    sign_in: SignIn = "hugging face" if on_space else "password" if open_to_others or given.sign_in else "off"
    try:
        fault = (
            _home_fault()
            or _port_fault(host, port)
            or _sign_in_fault(sign_in, host)
            or _tls_fault(given.certificate, given.key)
        )
        storage.days_to_keep()
    except UserError as error:
        fault = str(error)
    if fault:
        print(fault, file=sys.stderr)
        return 2
    if on_space and not Path("/data").is_dir():
        print("This Space has no /data: runs and plans are lost when it restarts. Add storage to it.", file=sys.stderr)
    if open_to_others and not on_space and not given.certificate:
        told = (
            "Warning: nothing is encrypted: whoever is on the way reads passwords and patient text. Give --certificate "
            "and --key; or leave --host out, give --sign-in, and let a proxy with TLS on this machine serve port "
            f"{port}."
        )
        print(told, file=sys.stderr)
    storage.sweep_passing()
    if open_to_others:  # at such a machine nobody sits who would press Resume
        for sentence in restarts.resume():
            print(sentence, flush=True)
    threading.Thread(target=storage.keep_to_limit, daemon=True).start()

    # What is loaded and drawn stays: looking through it for garbage again and again takes a sixth of the start.
    gc.disable()
    demo = build(sign_in)
    gc.freeze()
    gc.enable()
    print(f"Bedside is on http{'s' if given.certificate else ''}://{host}:{port}", flush=True)
    serve(demo, host, port, given.certificate, given.key)
    return 0


def serve(
    demo: GuardedBlocks,
    host: str,
    port: int,
    certificate: Path | None = None,
    key: Path | None = None,
    wait: bool = True,
) -> None:
    """Put the pages that `build` made behind the gate and serve them; until interrupted, unless `wait` is false."""
    from starlette.middleware import Middleware

    from assistant.gate import Gate, actor_of
    from assistant.pages import style, uploads

    gate = Middleware(Gate, sign_in=demo.sign_in, owner=_owner())
    demo.queue(default_concurrency_limit=8).launch(
        server_name=host,
        server_port=port,
        app_kwargs={"middleware": [gate]},
        auth_dependency=None if demo.sign_in == "off" else lambda request: getattr(actor_of(request), "name", None),
        ssl_certfile=certificate and str(certificate),
        ssl_keyfile=key and str(key),
        ssl_verify=False,  # of its own first call alone, by an address that the certificate need not name
        run_history=False,  # else the browser keeps what was asked and answered
        pwa=False,
        prevent_thread_lock=not wait,
        share=False,
        inbrowser=False,
        quiet=True,
        ssr_mode=False,
        footer_links=[],
        max_file_size=f"{uploads.MOST_MB}mb",
        theme=style.theme(),
        css=style.CSS,
    )


def build(sign_in: SignIn = "off") -> GuardedBlocks:
    """All pages, connected, not served yet; where people sign in, each sees what their role may use."""
    _keep_to_ourselves()
    import gradio as gr

    from assistant.access import GuardedBlocks
    from assistant.pages import (
        account,
        data,
        people,
        plan,
        playground,
        release,
        review,
        runs,
        screen_reader,
        search,
        style,
        tour,
        versions,
    )

    alone = sign_in == "off"
    with GuardedBlocks(title="Bedside", analytics_enabled=False, delete_cache=(3600, 3600)) as demo:
        demo.sign_in = sign_in
        tour.draw()
        screen_reader.draw()
        who = style.html(visible=False, elem_id="who")
        if sign_in == "hugging face":
            gr.LoginButton(visible=False)  # it is what makes Gradio take part in Hugging Face's sign-in
        with gr.Tabs(elem_id="pages", overflow_behavior="wrap") as pages:
            with gr.Tab("Plan", id="plan", elem_id="page-plan", visible=alone) as plan_tab:
                plan_page = plan.build()
            with gr.Tab("Data", id="data", elem_id="page-data", visible=alone) as data_tab:
                data_page = data.build()
            with (
                gr.Tab("Runs", id="runs", elem_id="page-runs", visible=alone) as runs_tab,
                gr.Tabs(elem_id="runs-tabs", overflow_behavior="wrap") as run_tabs,
            ):
                with gr.Tab("Training", id="training"):
                    runs_page = runs.build()
                with gr.Tab("Search", id="search", elem_id="page-search") as search_tab:
                    search_page = search.build()
            with gr.Tab("Playground", id="playground", elem_id="page-playground") as play_tab:
                play_page = playground.build()
            with gr.Tab("Review", id="review", elem_id="page-review") as review_tab:
                review_page = review.build()
            with (
                gr.Tab("Release", id="release", elem_id="page-release") as release_tab,
                gr.Tabs(elem_id="release-tabs", overflow_behavior="wrap"),
            ):
                with gr.Tab("Evaluation", id="evaluation"):
                    release_page = release.build()
                with gr.Tab("Versions", id="versions", elem_id="page-versions") as versions_tab:
                    versions_page = versions.build()
            people_tab = None if alone else gr.Tab("People", id="people", elem_id="page-people", visible=False)
            if people_tab is not None:
                with people_tab:
                    people.build(people_tab, sign_in)
        style.html(style.FOOTER)

        quiet = style.QUIET
        if people_tab is not None:
            tabs: dict[gr.Tab, Role] = dict.fromkeys([plan_tab, data_tab, runs_tab], "trainer")
            tabs[people_tab] = "administrator"
            account.connect(demo, who, pages, tabs)
        plan_page.load(demo)
        demo.load(runs_page.open, runs_page.select, runs_page.outputs, **quiet)
        review_page.opens(demo, review_tab)
        play_page.load(demo)
        data_tab.select(data_page.enter, data_page.state, data_page.outputs, **quiet)
        data_page.used.change(
            lambda draft, used: {pages: gr.Tabs(selected="plan"), **plan_page.say(draft, f'My data is in "{used[0]}"')},
            [plan_page.draft, data_page.used],
            [pages, *plan_page.outputs],
            **quiet,
        )
        runs_tab.select(runs_page.open, runs_page.select, runs_page.outputs, **quiet)
        search_tab.select(search_page.open, runs_page.select, search_page.outputs, **quiet)
        search_page.planned.change(
            lambda draft: {pages: gr.Tabs(selected="plan"), **plan_page.open(draft)},
            search_page.planned,
            [pages, *plan_page.outputs],
            **quiet,
        )
        # One run is looked at: the one that was just trained is the one that is asked, and the other way round.
        play_tab.select(play_page.open, [runs_page.select, *play_page.select], play_page.outputs, **quiet)
        play_page.run.change(runs_page.open, play_page.run, runs_page.outputs, **quiet)
        release_tab.select(release_page.open, runs_page.select, release_page.outputs, **quiet)
        versions_tab.select(versions_page.open, release_page.select, versions_page.outputs, **quiet)
        for started in (plan_page.started, review_page.started):
            started.change(
                lambda run: {
                    pages: gr.Tabs(selected="runs"),
                    run_tabs: gr.Tabs(selected="training"),
                    **runs_page.open(run),
                },
                started,
                [pages, run_tabs, *runs_page.outputs],
                **quiet,
            )
    return demo


def _owner() -> str:
    """The Hugging Face user who administers a Space: an organisation's Space has to name one."""
    return os.environ.get("BEDSIDE_ADMINISTRATOR") or os.environ.get("SPACE_AUTHOR_NAME", "")


def _sign_in_fault(sign_in: SignIn, host: str) -> str:
    """One sentence where nobody could sign in; raises `StoreError` where the database cannot be read."""
    if sign_in == "hugging face" and not os.environ.get("OAUTH_CLIENT_ID"):
        return (
            "This Space has no sign-in, so that everybody could read and delete what is in it: put `hf_oauth: true` "
            "into the head of its README.md."
        )
    if sign_in != "password":
        return ""
    from trainer import people

    if any(one.role == "administrator" and one.password for one in people.everybody()):
        return ""
    return (
        f"Others could reach {host}, and nobody is registered who may sign in: first run "
        '`bedside people add "YOUR NAME" --role administrator`, then add the others.'
    )


def _tls_fault(certificate: Path | None, key: Path | None) -> str:
    """One sentence where the certificate and its key do not stand there together."""
    if (certificate is None) != (key is None):
        return "--certificate and --key go together: give both files, or neither."
    absent = [str(file) for file in (certificate, key) if file is not None and not file.is_file()]
    return f"{absent[0]}: there is no such file; --certificate and --key each name a PEM file." if absent else ""


def _keep_to_ourselves() -> None:
    """No telemetry, and uploads inside the home; both are read when Gradio is imported."""
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    uploads = config.home() / "uploads"
    uploads.mkdir(exist_ok=True, mode=0o700)
    os.environ["GRADIO_TEMP_DIR"] = str(uploads)


def _home_fault() -> str:
    """One sentence where the home cannot be written to: the pages keep there whatever is said and done."""
    try:
        home = config.home()
        if not os.access(home, os.W_OK):
            return READ_ONLY.format(place=home)
        _keep_to_ourselves()
    except OSError as error:
        cannot = f"{error.filename} cannot be used ({error.strerror}); see that it is there and that you may use it."
        return of_the_disk(error) or cannot
    return ""


def _port_fault(host: str, port: int) -> str:
    """One sentence where this port cannot be had. Looked at before Gradio is imported, to say so at once."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            return f"Port {port} cannot be used ({reason}); stop what uses it, or choose another with --port."
    return ""


if __name__ == "__main__":
    sys.exit(main())
