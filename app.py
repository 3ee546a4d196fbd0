"""Bedside's pages: `python app.py` serves them on this machine, and is what a Hugging Face Space runs.

Nothing heavy is imported here or by the pages when they are drawn: Gradio itself takes most of the start.
"""

from __future__ import annotations

import argparse
import os
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from trainer import config

if TYPE_CHECKING:
    import gradio as gr

PORT = 7860


def main(arguments: list[str] | None = None) -> int:
    """Serve the pages until interrupted; returns the exit status (2: the port is in use)."""
    parser = argparse.ArgumentParser(prog="app.py", description="Serve Bedside's pages on this machine.")
    parser.add_argument("--port", type=int, default=PORT, help=f"TCP port (default {PORT})")
    port = parser.parse_args(arguments).port
    on_space = bool(os.environ.get("SPACE_ID"))
    host = "0.0.0.0" if on_space else "127.0.0.1"
    fault = _port_fault(host, port)
    if fault:
        print(fault, file=sys.stderr)
        return 2
    if on_space and not Path("/data").is_dir():
        print("This Space has no /data: runs and plans are lost when it restarts. Add storage to it.", file=sys.stderr)
    _keep_to_ourselves()

    from assistant.pages import style, uploads

    demo = build()
    print(f"Bedside is on http://{'127.0.0.1' if not on_space else host}:{port}", flush=True)
    demo.queue(default_concurrency_limit=8).launch(
        server_name=host,
        server_port=port,
        share=False,
        inbrowser=False,
        quiet=True,
        ssr_mode=False,
        footer_links=[],
        max_file_size=f"{uploads.MOST_MB}mb",
        theme=style.theme(),
        css=style.CSS,
    )
    return 0


def build() -> gr.Blocks:
    """All pages, connected, not served yet."""
    _keep_to_ourselves()
    import gradio as gr

    from assistant.pages import data, plan, playground, release, review, runs, search, style, versions

    with gr.Blocks(title="Bedside", analytics_enabled=False, delete_cache=(3600, 3600)) as demo:
        style.html(style.HEADER)
        with gr.Tabs(elem_id="pages") as pages:
            with gr.Tab("Plan", id="plan", elem_id="page-plan"):
                plan_page = plan.build()
            with gr.Tab("Data", id="data", elem_id="page-data") as data_tab:
                data_page = data.build()
            with gr.Tab("Runs", id="runs", elem_id="page-runs") as runs_tab, gr.Tabs(elem_id="runs-tabs") as run_tabs:
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
                gr.Tabs(elem_id="release-tabs"),
            ):
                with gr.Tab("Evaluation", id="evaluation"):
                    release_page = release.build()
                with gr.Tab("Versions", id="versions", elem_id="page-versions") as versions_tab:
                    versions_page = versions.build()
        style.html(style.FOOTER)

        quiet = style.QUIET
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


def _keep_to_ourselves() -> None:
    """No telemetry, and uploads inside the home; both are read when Gradio is imported."""
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    uploads = config.home() / "uploads"
    uploads.mkdir(exist_ok=True, mode=0o700)
    os.environ["GRADIO_TEMP_DIR"] = str(uploads)


def _port_fault(host: str, port: int) -> str:
    """One sentence where this port cannot be had. Looked at before Gradio is imported, to say so at once."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            return f"Port {port} cannot be used ({reason}); stop what uses it, or choose another with --port."
    return ""


if __name__ == "__main__":
    sys.exit(main())
