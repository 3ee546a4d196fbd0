"""A Space on ZeroGPU, with a stand-in for Hugging Face's `spaces`: it calls in a process of its own, as that does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from trainer import runs, starting
from trainer.jobs import RunError
from trainer.runs import Run
from trainer.sections import RunConfig

ROOT = Path(__file__).resolve().parent.parent
SPACES = """
import multiprocessing

borrowed = []

def GPU(duration):
    def wrap(work):
        borrowed.append((work.__name__, duration))
        def call(*given):
            there = multiprocessing.get_context("spawn")
            told = there.Queue()
            there.Process(target=_call, args=(work.__module__, work.__name__, given, told)).start()
            while (one := told.get()) is not None:
                yield one
        call.work = work
        return call
    return wrap

def _call(module, name, given, told):
    import importlib

    from assistant import zero_gpu

    zero_gpu.DEVICE = "cpu"
    for one in getattr(importlib.import_module(module), name).work(*given):
        told.put(one)
    told.put(None)
"""
ASK = """
import json, sys
import app, spaces
from assistant.pages import playground, playground_talk
from assistant.pages.loaded import loaded
from evaluators.generation import Sampling
from trainer.model_refs import ModelRef
from trainer.review.prompts import Prompt

if __name__ == "__main__":
    app.build()
    base, tuned = (ModelRef(run=sys.argv[1], part=part) for part in ("base", "tuned"))
    asked = Prompt(messages=[{"role": "user", "content": "Is 7 even?"}])
    talk = playground_talk.begin(base, tuned, asked, Sampling(max_new_tokens=5), {})
    steps = list(playground.answers(talk, False, 1))
    print(json.dumps({
        "borrowed": spaces.borrowed, "here": loaded.has(base, tuned), "steps": len(steps),
        "last": {side: answer.text for side, answer in steps[-1][0].last.items()},
    }))
"""


@pytest.mark.soak  # two processes load everything
def test_only_answers_borrow_a_gpu_and_they_name_their_models_to_its_process(finished_run: Run, tmp_path: Path):
    from evaluators.generation import Sampling
    from trainer import pairing
    from trainer.model_refs import ModelRef

    (tmp_path / "spaces.py").write_text(SPACES)
    (tmp_path / "ask.py").write_text(textwrap.dedent(ASK))
    here = pairing.load(ModelRef(run=finished_run.id, part="base"), ModelRef(run=finished_run.id))
    *_, expected = here.ask([{"role": "user", "content": "Is 7 even?"}], Sampling(max_new_tokens=5))
    here.close()

    environment = {**os.environ, "SPACES_ZERO_GPU": "true", "PYTHONPATH": f"{tmp_path}:{ROOT}"}
    ended = subprocess.run(
        [sys.executable, str(tmp_path / "ask.py"), finished_run.id],
        env=environment, capture_output=True, text=True, timeout=240,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    found = json.loads(ended.stdout.splitlines()[-1])
    assert found["borrowed"] == [["answers", 120]]
    assert not found["here"], "the app itself has loaded nothing"
    assert found["steps"] == 5
    assert found["last"] == {"left": expected["first"].text, "right": expected["second"].text}


def test_training_is_refused_there_with_the_reason(tiny_run: RunConfig, monkeypatch: pytest.MonkeyPatch):
    run = runs.create(tiny_run)
    monkeypatch.setenv("SPACES_ZERO_GPU", "true")
    with pytest.raises(RunError) as refused:
        runs.start(run)
    assert str(refused.value) == starting.NOT_ON_ZERO_GPU
    assert runs.get(run.id).status.pid is None, "nothing was begun"
