"""`bedside serve` asked by a real client: its answers are those of `bedside ask`, and nothing of it is left behind."""

import json
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from local_server import free_port
from versions_made import evaluated

from evaluators import gates
from evaluators.generation import Sampling
from trainer import config, pairing, server_process, serving
from trainer.errors import ModelError
from trainer.model_refs import ModelRef
from trainer.runs import Run
from trainer.server_process import ServingError
from trainer.versions import VersionError, registry

QUESTION = "Is 4 even?"
TOKENS = 12


@contextmanager
def serve(*arguments: str) -> Iterator[tuple[dict[str, Any], subprocess.Popen[str]]]:
    """`bedside serve ... --json` from when it answers: what it printed, and its process."""
    command = [sys.executable, "-m", "assistant.cli", "serve", *arguments, "--port", str(free_port()), "--json"]
    # A shell's job in the background has Ctrl-C switched off, and so have all that it starts.
    heard = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=heard)
    assert process.stdout and process.stderr
    try:
        told = ""
        while line := process.stdout.readline():
            told += line
            if line == "}\n":
                break
        assert told, process.stderr.read()
        yield json.loads(told), process
    finally:
        process.kill()
        process.wait()


def greedy(ref: ModelRef, messages: list[Any]) -> str:
    """What `bedside ask` prints for this model."""
    base = ModelRef(run=ref.run, part="base")
    pair = pairing.load(base if not ref.is_base else ModelRef(run=ref.run), ref)
    *_, sides = pair.ask(messages, Sampling(max_new_tokens=TOKENS))
    return sides["second"].text


@pytest.fixture
def telling_run(finished_run: Run) -> Run:
    """That run with an adapter whose answers differ from question to question, which four steps do not give."""
    import torch
    from safetensors.torch import load_file, save_file

    file = finished_run.adapter / "adapter_model.safetensors"
    torch.manual_seed(1)
    save_file({name: 0.4 * torch.randn_like(one) for name, one in load_file(file).items()}, file)
    return finished_run


def test_a_version_answers_a_real_client_as_it_answers_here(telling_run: Run):
    import openai

    registry.register("clinic", telling_run, "data")
    registry.put_in_use("clinic", "1.0.0", "the first")
    asked: list[Any] = [{"role": "user", "content": QUESTION}]
    own: list[Any] = [{"role": "system", "content": "Answer in French."}, *asked]
    ref = ModelRef(run=telling_run.id)
    expected, with_own = greedy(ref, asked), greedy(ref, own)
    assert len({expected, with_own, greedy(ModelRef(run=ref.run, part="base"), asked)}) == 3, "nothing would be shown"
    with serve("clinic") as (told, process):
        assert told["model"] == "clinic@1.0.0" and told["engine"] == "transformers" and told["warnings"] == []
        assert told["gates"] == "Release gates: not enough evidence, as nothing was evaluated."
        client = openai.OpenAI(base_url=told["address"], api_key="none", max_retries=0)
        assert [model.id for model in client.models.list()] == ["clinic@1.0.0"]

        def answer(messages: list[Any], **more: Any) -> str:
            said = client.chat.completions.create(model=told["model"], messages=messages, max_tokens=TOKENS, **more)
            return said.choices[0].message.content or ""

        # The client knows nothing of the run's system prompt, and asks for no temperature.
        assert answer(asked) == expected and answer(asked, temperature=0) == expected
        parts = client.chat.completions.create(model=told["model"], messages=asked, max_tokens=TOKENS, stream=True)
        assert "".join(part.choices[0].delta.content or "" for part in parts) == expected
        # One of its own takes the place of the run's; a temperature is taken as it is given.
        assert answer(own) == with_own
        assert answer(asked, temperature=1.5, seed=3) != expected
        with pytest.raises(openai.BadRequestError):
            client.chat.completions.create(model="other/model", messages=asked)
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
        with pytest.raises(OSError):
            urllib.request.urlopen(told["address"].replace("/v1", "/health"), timeout=2)
    assert not list(config.home().glob("serving-*"))


@pytest.mark.soak
def test_gguf_is_served_by_llama_cpp(telling_run: Run):
    import openai

    from trainer.export import exports

    ref = ModelRef(run=telling_run.id)
    made = exports.make(ref, "gguf", types=("f16",), items=0)
    asked: list[Any] = [{"role": "user", "content": QUESTION}]
    for named, options in ((str(made.folder), ()), (telling_run.id, ("--engine", "llama.cpp"))):
        with serve(named, *options) as (told, process):
            assert told["engine"] == "llama.cpp" and told["gates"] == made.gates
            client = openai.OpenAI(base_url=told["address"], api_key="none", max_retries=0)
            assert [model.id for model in client.models.list()] == [told["model"]]
            said = client.chat.completions.create(model=told["model"], messages=asked, max_tokens=TOKENS)
            # llama.cpp leaves out the white space at an answer's ends.
            assert (said.choices[0].message.content or "").strip() == greedy(ref, asked).strip()
            parts = client.chat.completions.create(model=told["model"], messages=asked, max_tokens=TOKENS, stream=True)
            streamed = "".join(part.choices[0].delta.content or "" for part in parts if part.choices)
            assert streamed == said.choices[0].message.content
            # What others asked is nobody's to read, and no page elsewhere may ask.
            with pytest.raises(urllib.error.HTTPError):
                urllib.request.urlopen(told["address"].replace("/v1", "/slots"), timeout=5)
            elsewhere = urllib.request.Request(
                f"{told['address']}/models", headers={"Origin": "http://elsewhere.example"}
            )
            with urllib.request.urlopen(elsewhere, timeout=5) as answered:
                assert answered.headers.get("Access-Control-Allow-Origin") == told["address"].removesuffix("/v1")
            process.terminate()
            assert process.wait(20) == 0


STAND_IN = (
    "import http.server; http.server.HTTPServer(('{}', {}), http.server.SimpleHTTPRequestHandler).serve_forever()"
)
HELD = """
import sys
from pathlib import Path
from trainer import server_process
server_process.command = lambda model, engine, host, port, name: [sys.executable, "-c", {stand_in!r}]
with server_process.running(Path({model!r}), "vllm", "127.0.0.1", {port}, "m") as server:
    print(server.pid, flush=True)
    server.wait()
"""


def test_a_server_does_not_outlive_a_killed_parent(tmp_path: Path):
    port = free_port()
    (tmp_path / "health").write_text("")
    stand_in = STAND_IN.format("127.0.0.1", port)
    holding = HELD.format(stand_in=stand_in, model=str(tmp_path / "model.gguf"), port=port)
    parent = subprocess.Popen([sys.executable, "-c", holding], stdout=subprocess.PIPE, text=True)
    assert parent.stdout
    server = int(parent.stdout.readline())
    urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5).close()
    parent.kill()
    parent.wait()
    deadline = time.monotonic() + 10
    while Path(f"/proc/{server}/cmdline").exists() and Path(f"/proc/{server}/cmdline").read_bytes():
        assert time.monotonic() < deadline, "the server outlived its parent"
        time.sleep(0.05)


def test_a_server_that_does_not_start_is_quoted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    failing = [sys.executable, "-c", "import sys; print('loading'); sys.exit('no such architecture')"]
    monkeypatch.setattr(server_process, "command", lambda *arguments: failing)
    said = r"The server \(vllm\) did not start. It said last:\nloading\nno such architecture$"
    with (
        pytest.raises(ServingError, match=said),
        server_process.running(tmp_path / "model", "vllm", "127.0.0.1", free_port(), "m"),
    ):
        pass


def test_what_is_served_and_what_is_said_of_it(finished_run: Run, tiny_model: Path):
    with pytest.raises(VersionError, match="There is no line 'ward'"):
        serving.find("ward@1.0.0")
    with pytest.raises(ModelError, match="There is no 'checkpoint-99'"):
        serving.find(f"{finished_run.id}:checkpoint-99")
    assert serving.find("latest").ref == ModelRef(run=finished_run.id)
    base = serving.find(f"{finished_run.id}:base")
    assert base.name == f"{finished_run.id}@base" and "release gates are not for" in base.said
    folder = serving.find(str(tiny_model))
    assert folder.ref is None and folder.name == tiny_model.name and "gates are not known" in folder.said
    failing = gates.harmful(50, 3000, by="the screen")
    assert failing.result == "fail"
    evaluated(finished_run, [], gates=[failing])
    registry.register("clinic", finished_run, "data", despite="to be looked at")
    with pytest.raises(ServingError, match=r"No version of clinic is in use; name one \(clinic@NUMBER\)"):
        serving.find("clinic")
    chosen = serving.find("clinic@1.0.0")
    assert chosen.said == "Release gates: beyond a limit." == serving.find(finished_run.id).said
    assert serving.warnings(chosen, "127.0.0.1") == [
        f"Warning: a release gate fails. {failing.name}: {failing.sentence}"
    ]
    assert "there is no sign-in" in serving.warnings(chosen, "0.0.0.0")[1]


def test_what_cannot_be_served_is_said(finished_run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    chosen = serving.find("latest")
    with pytest.raises(ServingError, match="vllm is not installed here"):
        serving.engine_for(chosen, "vllm")
    with (
        pytest.raises(
            ServingError, match=rf"There is no GGUF file of .*`bedside export {finished_run.id} --as gguf` makes one"
        ),
        serving.laid_out(chosen, "llama.cpp", lambda stage, done, total: None),
    ):
        pass
    file = tmp_path / "model.gguf"
    with pytest.raises(ServingError, match=r"There is no .*model\.gguf; `bedside export` makes such models"):
        serving.find(str(file))
    file.write_bytes(b"GGUF")
    assert serving.engine_for(serving.find(str(file)), None) == "llama.cpp"
    with pytest.raises(ServingError, match="is GGUF, which transformers does not serve here"):
        serving.engine_for(serving.find(str(tmp_path)), "transformers")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        said = rf"Nothing can be served at 127.0.0.1:{port} \(Address already in use\)"
        with (
            pytest.raises(ServingError, match=said),
            server_process.running(file, "llama.cpp", "127.0.0.1", port, "model"),
        ):
            pass


def test_no_code_and_no_pickle_reaches_a_server(tiny_model: Path, tmp_path: Path):
    folder = shutil.copytree(tiny_model, tmp_path / "exported")
    (folder / "pytorch_model.bin").write_bytes(b"")
    (folder / "json.py").write_text("raise SystemExit")
    left = config.home() / "serving-999999999-of-a-killed-one"
    left.mkdir()
    with serving.laid_out(serving.find(str(folder)), "vllm", lambda stage, done, total: None) as (model, notes):
        assert notes == []
        assert {"config.json", "tokenizer.json", "model.safetensors"} <= {file.name for file in model.iterdir()}
        assert not [file for file in model.iterdir() if file.suffix in (".bin", ".py")]
        settings = json.loads((model / "generation_config.json").read_text())
        command = server_process.command(model, "vllm", "127.0.0.1", 8000, "exported")
    assert settings["eos_token_id"] == [2] and settings["temperature"] == serving.NEARLY_GREEDY
    assert command[-6:] == ["--served-model-name", "exported", "--host", "127.0.0.1", "--port", "8000"]
    assert not model.exists() and not left.exists()
    (folder / "model.safetensors").unlink()
    with (
        pytest.raises(ServingError, match=r"holds no whole model \(config\.json and \.safetensors\)"),
        serving.laid_out(serving.find(str(folder)), "transformers", lambda stage, done, total: None),
    ):
        pass


def test_a_name_that_the_hub_would_not_take_is_made_one():
    assert serving._plain("clinic@1.0.0") == "clinic@1.0.0"
    assert serving._plain("ward--7..b-@2.1.0") == "ward-7-b@2.1.0"
    assert serving._plain("my model (f16)") == "my-model-f16"
