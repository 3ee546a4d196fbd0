"""Exports as folders: what is in them, that they are whole or not there, and what leaves the machine."""

from __future__ import annotations

import fcntl
import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from exports_made import made_run
from huggingface_hub import ModelCard
from transformers import AutoModelForCausalLM, AutoTokenizer
from typer.testing import CliRunner
from versions_made import evaluated

from assistant import cli
from evaluators.gates import Gate
from trainer import pairing, room, runs
from trainer.errors import UserError
from trainer.export import ExportError, exports, hub
from trainer.export.default_system import with_default_system
from trainer.export.ollama import go_template, wrapping
from trainer.imported import import_adapter
from trainer.jobs import CODE_ROOT, RunError
from trainer.model_refs import ModelRef
from trainer.runs import Run
from trainer.sections import RunConfig

IDS = torch.tensor([[1, 40, 90, 120, 70, 33, 2, 77]])


def ref(run: Run) -> ModelRef:
    return ModelRef(run=run.id)


def test_a_merged_export_is_a_folder_that_anybody_can_load(finished_run: Run):
    told: list[str] = []
    made = exports.make(ref(finished_run), "merged", progress=lambda stage, done, total: told.append(stage))
    assert made.folder == exports.folder() / f"{finished_run.id}-merged"
    assert {"model.safetensors", "config.json", "tokenizer.json", "chat_template.jinja", "README.md"} <= {
        file.name for file in made.files
    }
    assert made.folder.stat().st_mode & 0o077 == 0
    assert made.parity is not None and made.parity.equal_answers == 20
    AutoModelForCausalLM.from_pretrained(made.folder)
    assert exports.list_exports() == [made] == exports.list_exports(finished_run.id)
    assert exports.get(finished_run.id) == made
    assert {"merging layers", "the run answers", "the export answers"} <= set(told)
    card = (made.folder / "README.md").read_text()
    metadata = ModelCard(card).data.to_dict()
    assert (metadata["library_name"], metadata["base_model_relation"]) == ("transformers", "finetune")
    assert "20 of 20 greedy answers equal the run's" in card
    assert "Release gates: not enough evidence, as nothing was evaluated." in card
    assert str(exports.folder()) not in "".join(path.read_text() for path in made.folder.glob("*.json"))
    exports.delete(made)
    assert exports.list_exports() == []
    with pytest.raises(RunError, match="bedside exports list"):
        exports.get(made.id)


def test_an_adapter_alone_is_loaded_by_plain_peft_and_imported_again(finished_run: Run, tiny_model: Path):
    from peft import PeftModel

    made = exports.make(ref(finished_run), "adapter")
    assert made.parity is not None and made.parity.largest_difference == 0.0
    base = AutoModelForCausalLM.from_pretrained(tiny_model)
    with torch.inference_mode():
        expected = pairing.load(
            ModelRef(run=finished_run.id, part="base"), ref(finished_run)
        ).halves["second"].model(input_ids=IDS).logits  # fmt: skip
        found = PeftModel.from_pretrained(base, str(made.folder)).eval()(input_ids=IDS).logits
    assert torch.equal(found, expected)
    again = import_adapter(made.folder, str(tiny_model), "back again")
    weights = "adapter_model.safetensors"
    assert (again.adapter / weights).read_bytes() == (finished_run.adapter / weights).read_bytes()


def test_of_several_adapters_all_go_out_or_the_one_that_is_named(tiny_run: RunConfig):
    run = made_run(tiny_run, {"kind": "layer_norm", "per": "task"}, ["diagnosis", "treatment"])
    both = exports.make(ref(run), "adapter")
    assert sorted(path.parent.name for path in both.folder.glob("*/adapter_config.json")) == [
        "task_diagnosis", "task_treatment",
    ]  # fmt: skip
    one = exports.make(ref(run), "adapter", adapter="task_treatment")
    assert one.folder.name == f"{run.id}-task_treatment-adapter"
    assert (one.folder / "adapter_config.json").exists() and not list(one.folder.glob("*/adapter_config.json"))


@pytest.mark.parametrize(
    "method", [{"kind": "prefix", "length": 4}, {"kind": "p_tuning", "length": 4}, {"kind": "adapter", "width": 8}]
)
def test_what_cannot_be_merged_goes_out_as_an_adapter(tiny_run: RunConfig, method: dict[str, Any]):
    run = made_run(tiny_run, method)
    made = exports.make(ref(run), "adapter")
    assert made.parity is not None and made.parity.equal_answers == 20
    assert any("trainer.methods" in note for note in made.notes) == (method["kind"] == "adapter")


def test_a_check_that_fails_leaves_nothing_and_keeps_what_was_there(finished_run: Run, monkeypatch: pytest.MonkeyPatch):
    before = exports.make(ref(finished_run), "merged")
    monkeypatch.setattr("trainer.export.merge.with_default_system", lambda template, prompt: template + "?")
    with pytest.raises(ExportError, match="renders a prompt otherwise"):
        exports.make(ref(finished_run), "merged")
    assert exports.list_exports() == [before]
    assert [path for path in exports.folder().iterdir() if path.is_dir()] == [before.folder]


def test_an_export_that_was_killed_is_not_taken_for_one(finished_run: Run, home: Path):
    code = (
        "import os, sys\n"
        "from trainer.export import exports\n"
        "from trainer.model_refs import ModelRef\n"
        "def tell(stage, done, total):\n"
        "    if stage == 'the run answers': os.kill(os.getpid(), 9)\n"
        f"exports.make(ModelRef(run={finished_run.id!r}), 'merged', progress=tell)\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], cwd=CODE_ROOT, capture_output=True)
    assert ended.returncode == -9
    parts = [path.name for path in exports.folder().iterdir() if path.is_dir()]
    assert parts == [f".{finished_run.id}-merged.part"]
    assert exports.list_exports() == [] and exports.under_way(finished_run.id) == []
    made = exports.make(ref(finished_run), "adapter")
    assert exports.list_exports() == [made]


def test_one_at_a_time(finished_run: Run):
    def again(stage: str, done: int, total: int) -> None:
        assert exports.under_way(finished_run.id) == [f"{finished_run.id}-adapter"]
        with pytest.raises(ExportError, match="is being made already"):
            exports.make(ref(finished_run), "adapter")

    exports.make(ref(finished_run), "adapter", progress=again)


def test_a_folder_that_holds_something_else_is_not_touched(finished_run: Run, tmp_path: Path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    with pytest.raises(ExportError, match="holds something else"):
        exports.make(ref(finished_run), "adapter", to=tmp_path / "mine")
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "years of work"
    made = exports.make(ref(finished_run), "adapter", to=tmp_path / "out")
    assert made.folder == tmp_path / "out" and exports.list_exports() == []


def test_a_full_disk_is_told_before_anything_is_made(finished_run: Run, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=10))
    with pytest.raises(ExportError, match=r"takes up to 0\.0 GiB .* Free some space, or name another folder with --to"):
        exports.make(ref(finished_run), "merged")


def test_nothing_is_made_where_a_job_needs_the_memory(finished_run: Run, monkeypatch: pytest.MonkeyPatch):
    asked: list[Any] = []
    with monkeypatch.context() as patch:
        patch.setattr(room, "_no_room", lambda device, needed: asked.append((device, needed)) or "A run needs it.")
        with pytest.raises(room.NoRoomError, match="A run needs it"):
            exports.make(ref(finished_run), "merged")
    assert [device for device, _ in asked] == ["cpu"] and exports.list_exports() == []
    exports.make(ref(finished_run), "adapter")
    with room._open("cpu", "models") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # what was held is given back


def test_a_failing_gate_is_written_into_the_card_and_forbids_nothing(finished_run: Run):
    gate = Gate(
        name="harmful answers", limit=0.001, unit="share", rule="under 0.1 % (lecture L3.15)", found=0.03, low=0.01,
        high=0.08, n=100, result="fail", sentence="3 of 100 answers are harmful.",
    )  # fmt: skip
    evaluated(finished_run, [], gates=[gate])
    made = exports.make(ref(finished_run), "adapter")
    assert made.gates == "Release gates: beyond a limit."
    assert "- Fails: harmful answers: 3 of 100 answers are harmful." in (made.folder / "README.md").read_text()


def test_ollama_gets_the_chat_template_in_its_own_language(finished_run: Run):
    made = exports.make(ref(finished_run), "ollama", items=0)
    said = (made.folder / "Modelfile").read_text()
    assert said == (
        "FROM ./tiny-q8_0.gguf\n"
        'TEMPLATE """{{ range .Messages }}{{ if eq .Role "system" }}<|im_start|>system\n{{ .Content }}<|im_end|>\n'
        '{{ else if eq .Role "user" }}<|im_start|>user\n{{ .Content }}<|im_end|>\n'
        '{{ else if eq .Role "assistant" }}<|im_start|>assistant\n{{ .Content }}<|im_end|>\n'
        '{{ end }}{{ end }}<|im_start|>assistant\n"""\n'
        'SYSTEM "You are a clinical assistant."\n'
        'PARAMETER stop "<|im_end|>"\n'
        "PARAMETER temperature 0\n"
        f'LICENSE "The base {finished_run.config.model.name} is under unknown; its terms go with this model. '
        'Release gates: not enough evidence, as nothing was evaluated."\n'
    )
    assert {file.name for file in made.files} == {"Modelfile", "README.md", "tiny-q8_0.gguf"}


def test_a_template_that_does_more_than_wrap_is_left_to_ollama(tiny_model: Path):
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    found = wrapping(tokenizer)
    assert found is not None and found.around["user"] == ("<|im_start|>user\n", "<|im_end|>\n")
    assert go_template(found).endswith("{{ end }}{{ end }}<|im_start|>assistant\n")
    tokenizer.chat_template = "{{ messages | length }}" + str(tokenizer.chat_template)
    assert wrapping(tokenizer) is None


def test_a_system_prompt_with_quotes_and_lines_stays_what_it_is(tiny_model: Path):
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    said = 'You are "Ärztin" \\ {{ x }} {% y %}\n\tand brief.'
    tokenizer.chat_template = with_default_system(str(tokenizer.chat_template), said)
    rendered = tokenizer.apply_chat_template([{"role": "user", "content": "?"}], tokenize=False)
    assert str(rendered).startswith(f"<|im_start|>system\n{said}<|im_end|>\n")


class Hub:
    """A Hub that remembers what it was asked."""

    def __init__(self, private: bool = True):
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self._private = private

    def create_repo(self, repo: str, **options: Any) -> None:
        self.asked.append(("create", {"repo": repo, **options}))

    def repo_info(self, repo: str) -> Any:
        return SimpleNamespace(private=self._private)

    def upload_folder(self, **options: Any) -> Any:
        self.asked.append(("upload", options))
        return SimpleNamespace(commit_url=f"https://hub/{options['repo_id']}/commit/1")


def test_a_push_is_private_and_a_dry_run_asks_nobody(finished_run: Run):
    made = exports.make(ref(finished_run), "adapter")
    api = Hub()
    dry = hub.push(made, "clinic/lab-model", dry_run=True, api=api)
    assert api.asked == [] and dry.url is None
    assert {"adapter_config.json", "README.md"} <= {file.name for file in dry.files}
    assert dry.bytes == sum(path.stat().st_size for path in made.folder.iterdir() if path.name != "export.json")
    done = hub.push(made, "clinic/lab-model", api=api)
    (_, created), (_, uploaded) = api.asked
    assert created == {"repo": "clinic/lab-model", "private": True, "exist_ok": True}
    assert uploaded["folder_path"] == str(made.folder)
    assert sorted(uploaded["allow_patterns"]) == sorted(file.name for file in made.files)
    assert done.url == "https://hub/clinic/lab-model/commit/1"


def test_what_must_not_be_pushed(finished_run: Run):
    made = exports.make(ref(finished_run), "adapter")
    with pytest.raises(ExportError, match="names no owner"):
        hub.push(made, "lab-model", dry_run=True)
    with pytest.raises(ExportError, match="cannot name a repository"):
        hub.push(made, "clinic/lab model", dry_run=True)
    public = Hub(private=False)
    with pytest.raises(ExportError, match="is there already and public"):
        hub.push(made, "clinic/lab-model", api=public)
    assert [what for what, _ in public.asked] == ["create"]
    path = runs.get(finished_run.id).folder / "run.yaml"
    path.write_text(path.read_text().replace("contains_phi: false", "contains_phi: true"))
    with pytest.raises(ExportError, match=r"holds patients' text .* push it as private"):
        hub.push(made, "clinic/lab-model", private=False, api=Hub())


def test_the_hubs_refusal_is_a_sentence(finished_run: Run, monkeypatch: pytest.MonkeyPatch):
    import httpx2
    from huggingface_hub.errors import HfHubHTTPError

    class Refusing(Hub):
        def create_repo(self, repo: str, **options: Any) -> None:
            answer = httpx2.Response(401, request=httpx2.Request("POST", "https://hub/api"))
            raise HfHubHTTPError("Invalid username or password.", response=answer)

    made = exports.make(ref(finished_run), "adapter")
    with pytest.raises(ExportError, match=r"refused clinic/lab-model \(401\).*hf auth login"):
        hub.push(made, "clinic/lab-model", api=Refusing())


def test_the_commands(finished_run: Run):
    def bedside(*words: str) -> Any:
        return CliRunner().invoke(cli.app, list(words))

    made = bedside("export", "latest", "--as", "adapter", "--json")
    said = json.loads(made.stdout)
    assert made.exit_code == 0
    assert said["id"] == f"{finished_run.id}-adapter" and said["parity"]["equal_answers"] == 20
    assert "the run answers" in made.stderr
    listed = json.loads(bedside("exports", "list", "--json").stdout)
    assert [one["place"] for one in listed["exports"]] == [str(exports.folder() / said["id"])]
    assert json.loads(bedside("exports", "show", said["id"], "--json").stdout) == said
    dry = bedside("exports", "push", said["id"], "clinic/lab-model", "--dry-run")
    assert dry.stdout.startswith("Would push to clinic/lab-model (private)")
    wrong = bedside("export", "latest", "--as", "gguf", "--type", "q9").exception
    assert str(wrong) == "--type q9: there is no such type; there are f16, q8_0, q5_0, q4_0."
    path = bedside("export", str(exports.folder() / said["id"])).exception
    assert isinstance(path, UserError) and "is a path; name a run or a version" in str(path)
    refused = bedside("exports", "delete", said["id"]).exception
    assert isinstance(refused, UserError) and "add --yes" in str(refused)
    assert json.loads(bedside("exports", "delete", said["id"], "--yes", "--json").stdout) == {"deleted": said["id"]}
    assert exports.list_exports() == []
