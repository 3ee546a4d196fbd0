"""llama.cpp's own HTTP server on one GGUF file: `python -m trainer.llama_cpp_server MODEL NAME HOST PORT`."""

from __future__ import annotations

import signal
import sys

from trainer import hardware


def main(model: str, name: str, host: str, port: str) -> None:
    """Serve until SIGTERM or Ctrl-C."""
    from xllamacpp import CommonParams, Server  # pyright: ignore[reportAttributeAccessIssue]

    params = CommonParams()
    params.model.path = model
    params.model_alias = {name}
    params.hostnames = [host]
    params.port = int(port)
    params.sampling.temp = 0.0  # where a request gives no temperature
    params.use_jinja = True
    # Its own count is of the whole machine, of which a container may have a part.
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = hardware.detect().cores
    # As it comes, any page that a browser has open may ask, and read the answers.
    params.cors_origins = f"http://{host}:{port}"
    params.ui = params.endpoint_slots = False  # the slots tell what others asked
    server = Server(params)
    print(f"llama.cpp serves {name} at {server.listening_address}", flush=True)
    signal.sigwait({signal.SIGTERM, signal.SIGINT})


if __name__ == "__main__":
    # Before the server starts its threads, which would else take the signal and leave this one waiting.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    main(*sys.argv[1:])
