"""The process of a server that answers an OpenAI-compatible API: its command line, its start and its end."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from trainer.errors import UserError
from trainer.jobs import CODE_ROOT

Engine = Literal["transformers", "vllm", "llama.cpp"]
_POLL_SECONDS, _ENDING_SECONDS, _LINES_SHOWN = 0.2, 10, 8
_PR_SET_PDEATHSIG = 1  # Linux: the signal that a process gets when its parent is gone


class ServingError(UserError):
    """A model cannot be served; the text says why and what to do."""


def address(host: str, port: int) -> str:
    """Where a server at this host and port is reached."""
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def command(model: Path, engine: Engine, host: str, port: int, name: str) -> list[str]:
    """The command line of the server; `model` is what `serving.laid_out` gave, `name` what clients call it."""
    place = ["--host", host, "--port", str(port)]
    python = [sys.executable, "-P", "-m"]  # -P: nothing beside the model is taken for a module
    if engine == "transformers":
        return [*python, "transformers.cli.transformers", "serve", name, *place]
    if engine == "vllm":  # written by its documentation; untested, as it wants a GPU
        return [*python, "vllm.entrypoints.cli.main", "serve", str(model), "--served-model-name", name, *place]
    return [*python, "trainer.llama_cpp_server", str(model), name, host, str(port)]


@contextlib.contextmanager
def running(model: Path, engine: Engine, host: str, port: int, name: str) -> Iterator[subprocess.Popen[bytes]]:
    """The server's process, from when it answers; it is ended with the block, and with this process.

    Raises `ServingError` where the port is taken or the server does not start, with its last lines.
    """
    _check_free(host, port)
    paths = [str(CODE_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "PYTHONPATH": os.pathsep.join(paths)}
    if engine == "transformers":
        environment["HF_HUB_CACHE"] = str(model.parents[2])
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            command(model, engine, host, port, name),
            cwd=model.parent,  # no folder of the user's may be taken for the model
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=environment,
            start_new_session=True,  # Ctrl-C is for this process, which ends that one
            preexec_fn=_end_with_parent,
        )
        try:
            _wait(process, host, port)
            if process.poll() is not None:
                log.seek(0)
                told = log.read().decode(errors="replace").strip().splitlines()[-_LINES_SHOWN:]
                raise ServingError("\n".join([f"The server ({engine}) did not start. It said last:", *told]))
            yield process
        finally:
            process.terminate()
            try:
                process.wait(_ENDING_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _check_free(host: str, port: int) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        # As servers do it, so that a port that was just given up counts as free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise ServingError(
                f"Nothing can be served at {host}:{port} ({error.strerror}); choose another with --port or --host."
            ) from None


def _wait(process: subprocess.Popen[bytes], host: str, port: int) -> None:
    """Until the server answers, or has ended."""
    health = f"{address('127.0.0.1' if host == '0.0.0.0' else host, port)}/health"
    while process.poll() is None:
        try:
            with urllib.request.urlopen(health, timeout=2):
                return
        except (OSError, urllib.error.URLError):
            time.sleep(_POLL_SECONDS)


def _end_with_parent() -> None:
    # A server that outlives `bedside serve`, killed before it could end it, would hold the port and the memory.
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
