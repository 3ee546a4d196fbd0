"""Files that were made to do harm: nothing of them runs or fills the memory, and each ends in one sentence."""

from __future__ import annotations

import base64
import json
import pickle
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from trainer import actor, config, models, reach, runs
from trainer.actor import Actor, NotAllowed
from trainer.config import ConfigError
from trainer.data import recipes
from trainer.data.reading import parquet
from trainer.data.reading.files import read_records
from trainer.data.records import DataError, Fault, Record
from trainer.errors import ModelError
from trainer.evaluation import request as requests
from trainer.evaluation.request import RequestError
from trainer.imported import import_adapter
from trainer.sections import RunConfig

LAUGHS = "a0: &a0 [lol, lol]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 40))
ALIAS = "not valid YAML (an alias (*name) is not read; write the value itself); mend this line."
DEEP = "not valid YAML (more than 20 levels are not read); mend this line."
RUN_FILES = [
    ("an alias bomb", LAUGHS, f"line 2: {ALIAS}"),
    (
        "an alias bomb in a field",
        f"format_version: 1\noutput: {{name: &n [x, x]}}\ntask: *n\n{LAUGHS}",
        f"line 3: {ALIAS}",
    ),
    ("deep lists", "task: " + "[" * 49_000, f"line 1: {DEEP}"),
    ("deep sections", "".join(f"{' ' * n}a:\n" for n in range(100)), f"line 20: {DEEP}"),
    (
        "a large file",
        "# \n" * 20_000,
        "run file: not valid YAML (it has more than 50,000 characters, which are not read); mend this line.",
    ),
    (
        "code",
        "task: !!python/object/apply:os.system ['touch owned']",
        "line 1: not valid YAML (could not determine a constructor for the tag "
        "'tag:yaml.org,2002:python/object/apply:os.system'); mend this line.",
    ),
    (
        "no date",
        "output: 2024-13-45",
        "run file: not valid YAML (a value cannot be read: month must be in 1..12); mend this line.",
    ),
    (
        "a long number",
        "output: " + "9" * 20_000,
        "line 1: not valid YAML (a number of 20,000 characters is not read); mend this line.",
    ),
]


@pytest.mark.parametrize(("text", "said"), [one[1:] for one in RUN_FILES], ids=[one[0] for one in RUN_FILES])
def test_yaml_made_to_do_harm_is_one_fault_at_once(
    text: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "run.yaml"
    path.write_text(text)
    began = time.process_time()
    with pytest.raises(ConfigError) as caught:
        config.load(path)
    assert str(caught.value) == said
    # The same reader stands before recipes, requests and values that are set by hand.
    recipe = recipes.folder() / "evil.data.yaml"
    recipe.write_text(text)
    with pytest.raises(ConfigError, match="cannot be read"):
        recipes.load(recipe)
    with pytest.raises(RequestError, match="cannot be read"):
        requests.load(path)
    with pytest.raises(ConfigError):
        config.with_values(
            RunConfig(), {"output.name": text.partition(": ")[2] if "\n" not in text else "*a0"} | {"no.x": ""}
        )
    assert time.process_time() - began < 5
    assert not (tmp_path / "owned").exists()


class Evil:
    """What runs code when it is unpickled."""

    def __reduce__(self) -> Any:
        return subprocess.check_call, ([sys.executable, "-c", "open('owned', 'w')"],)


def disguised(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(pickle.dumps(Evil()))


def claiming(folder: Path) -> None:
    """A header that says it is longer than any file."""
    (folder / "model.safetensors").write_bytes((1 << 62).to_bytes(8, "little") + b"{}")


def beside(folder: Path) -> None:
    """Pickles beside nothing else; the index names them."""
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(Evil()))
    (folder / "model.safetensors.index.json").write_text(
        json.dumps({"metadata": {}, "weight_map": {"lm_head.weight": "pytorch_model.bin"}})
    )


def own_code(folder: Path) -> None:
    """Classes of its own, as a model of the Hub may bring them."""
    (folder / "evil.py").write_text("open('owned', 'w')\nclass Evil: pass\nclass EvilConfig: pass\n")
    for name, classes in (
        ("config.json", {"AutoConfig": "evil.EvilConfig", "AutoModelForCausalLM": "evil.Evil"}),
        ("tokenizer_config.json", {"AutoTokenizer": ["evil.Evil", "evil.Evil"]}),
    ):
        found = json.loads((folder / name).read_text())
        found |= {"auto_map": classes, "model_type": "evil", "tokenizer_class": "Evil"}
        (folder / name).write_text(json.dumps(found))


def nested(folder: Path) -> None:
    (folder / "config.json").write_text('{"a":' * 100_000)


def words(folder: Path) -> None:
    (folder / "tokenizer.json").write_text('{"version": "1.0", "model": {"type": "Evil"}}')


@pytest.mark.parametrize("harm", [disguised, claiming, beside, own_code, nested, words])
def test_a_model_s_files_run_nothing_and_are_refused_in_a_sentence(
    harm: Any, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    folder = tmp_path / "evil"
    shutil.copytree(tiny_model, folder)
    harm(folder)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelError, match=r"cannot be loaded: .|holds no \.safetensors file"):
        models.load_base(RunConfig.model_validate({"model": {"name": str(folder)}}))
    assert not (tmp_path / "owned").exists()


ENDLESS = "does not come to an end, or fills the memory, with a few short messages"
TEMPLATES = [
    ("loops", "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}", ENDLESS),
    ("calls itself", "{% macro f(n) %}{% if n %}{{ f(n-1) }}{{ f(n-1) }}{% endif %}{% endmacro %}{{ f(60) }}", ENDLESS),
    ("grows", "{% set n = namespace(x='ab') %}{% for a in range(60) %}{% set n.x = n.x + n.x %}{% endfor %}", ENDLESS),
    ("one value", "{{ 'a' * 9999999999 }}", ENDLESS),
    ("writes much", "{% for a in range(99999) %}{{ messages }}{% endfor %}", ENDLESS),
    ("is long", "{# " + "x" * 100_000 + " #}", "has 100,006 characters, and honest ones less than 100,000"),
]


@pytest.mark.parametrize(
    ("template", "said"),
    # What ends by its time alone takes this time.
    [pytest.param(*one[1:], id=one[0], marks=[pytest.mark.soak] * (one[0] == "calls itself")) for one in TEMPLATES],
)
def test_a_chat_template_that_does_not_end_is_refused_before_it_is_used(
    template: str, said: str, tiny_model: Path, tmp_path: Path
):
    folder = with_template(tiny_model, tmp_path, template)
    with pytest.raises(ModelError) as caught:
        models.load_tokenizer(str(folder))
    assert str(caught.value) == f"The model's chat template {said}; take a model from somebody whom you trust."


@pytest.mark.parametrize(
    "template",
    [
        "{{ cycler.__init__.__globals__.os.system('touch owned') }}",
        "{{ messages.__class__.__mro__[1].__subclasses__() }}",
        "{% set x = messages.append('owned') %}",
    ],
)
def test_a_chat_template_reaches_nothing_but_the_conversation(
    template: str, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    folder = with_template(tiny_model, tmp_path, "{{ messages[0].content }}" + template)
    tokenizer = models.load_tokenizer(str(folder))
    messages = [{"role": "user", "content": "Is it so?"}]
    from jinja2.exceptions import TemplateError

    with pytest.raises(TemplateError, match=r"unsafe|not supported"):
        tokenizer.apply_chat_template(messages, tokenize=False)
    assert not (tmp_path / "owned").exists() and len(messages) == 1


def with_template(tiny_model: Path, tmp_path: Path, template: str) -> Path:
    folder = tmp_path / "templated"
    shutil.copytree(tiny_model, folder)
    (folder / "chat_template.jinja").write_text(template)
    return folder


def note(data: str, kind: str = "text/html") -> str:
    return json.dumps(
        {
            "resourceType": "DocumentReference",
            "subject": {"reference": "Patient/1"},
            "content": [{"attachment": {"contentType": kind, "data": base64.b64encode(data.encode()).decode()}}],
        }
    )


@pytest.mark.parametrize("page", ["<!--" * 200_000, "<" * 400_000, "<a " * 200_000, "<![x[" * 1000, "<div>" * 100_000])
def test_a_page_in_a_note_is_read_at_once_whatever_its_marks(tmp_path: Path, page: str):
    (tmp_path / "notes.ndjson").write_text(f"{note('<p>Knee pain.</p>' + page)}\n{note('<p>Better.</p>')}\n")
    began = time.process_time()
    found = [one for one in read_records(tmp_path / "notes.ndjson") if isinstance(one, Record)]
    assert found[-1].values["text"] == "Better." and "Knee pain." in found[0].values["text"]
    assert time.process_time() - began < 5


@pytest.mark.parametrize("charset", ["idna", "punycode", "zlib", "unicode_escape", "utf-7", "a\0b", "x" * 500])
def test_a_note_in_an_odd_encoding_is_one_fault(tmp_path: Path, charset: str):
    (tmp_path / "notes.ndjson").write_text(
        f"{note('Knee pain.', f'text/plain; charset={charset}')}\n{note('Better.')}\n"
    )
    found = list(read_records(tmp_path / "notes.ndjson"))
    assert [type(one) for one in found] == [Fault, Record]
    wrong = f"is not {charset[:40]} text, as it says; export the note again as UTF-8"
    assert str(found[0]).endswith("write what was meant, or remove it" if "\0" in charset else wrong)


def test_a_small_parquet_file_that_claims_very_much_is_refused(tmp_path: Path):
    import pyarrow
    from pyarrow.parquet import write_table

    rows = pyarrow.table({"question": pyarrow.nulls(5_000_000, pyarrow.string())})
    write_table(rows, tmp_path / "rows.parquet", row_group_size=5_000_000)
    texts = pyarrow.table({"question": ["x" * 300_000] * 10, "answer": ["y"] * 10})
    write_table(texts, tmp_path / "texts.parquet", use_dictionary=False, compression="zstd")
    began = time.process_time()
    with pytest.raises(DataError, match=r"^rows\.parquet says that it holds 5,000,000 rows in [\d,]+ bytes, as files"):
        list(read_records(tmp_path / "rows.parquet"))
    with pytest.raises(
        DataError, match=r"^texts\.parquet unpacks to more than 200 times its size, as files made to do"
    ):
        list(read_records(tmp_path / "texts.parquet"))
    assert time.process_time() - began < 2


@pytest.mark.parametrize("as_written", [True, False])
def test_a_value_that_stands_in_a_parquet_file_once_and_in_every_row_fills_no_memory(
    as_written: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    import pyarrow
    from pyarrow.parquet import write_table

    once = pyarrow.array([random.Random(0).randbytes(200_000).hex()])
    question = pyarrow.DictionaryArray.from_arrays(pyarrow.array([0] * 2000, pyarrow.int32()), once)
    rows = pyarrow.table({"question": question, "answer": ["y"] * 2000})
    write_table(rows, tmp_path / "rows.parquet", dictionary_pagesize_limit=1 << 30, store_schema=as_written)
    assert (tmp_path / "rows.parquet").stat().st_size < 1_000_000, "of 800 MB"
    monkeypatch.setattr(parquet, "_AT_ONCE", 10_000_000)
    read = 0
    with pytest.raises(DataError, match=r"^rows\.parquet unpacks to more than 200 times its size"):
        for _ in read_records(tmp_path / "rows.parquet"):
            read += 1
    assert 0 < read < 500, "a few rows at once, and no more after the size is known"


@pytest.mark.parametrize("pattern", ["(a|aa)+$", "(.*)*q", ".*.*.*.*.*q", "x" * 501])
def test_a_pattern_of_layers_that_could_be_looked_for_without_end_is_refused(pattern: str, tmp_path: Path):
    settings = {"peft_type": "LORA", "target_modules": pattern, "r": 4}
    (tmp_path / "adapter_config.json").write_text(json.dumps(settings))
    (tmp_path / "adapter_model.safetensors").touch()
    with pytest.raises(ModelError, match=r"target_modules is a pattern that may be looked for without end; list the"):
        import_adapter(tmp_path, "smollm2-135m-instruct", "evil")


SIGNED_IN = Actor("Tess", "trainer")
OUTSIDE = (
    "is a file of this machine that is not Bedside's, which an administrator alone may name here: upload it instead."
)


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "secret.jsonl"
    path.write_text('{"question": "The key?", "answer": "hf_0123456789"}\n')
    return path


def test_somebody_who_signed_in_reads_no_file_that_is_not_bedside_s(secret: Path, home: Path):
    own = recipes.folder() / "own.jsonl"
    shutil.copy(secret, own)
    link = recipes.folder() / "link.jsonl"
    link.symlink_to(secret)
    database = config.home() / "bedside.db"
    shutil.copy(secret, database)
    climbing = f"{recipes.folder()}/../../{secret.name}"
    with actor.acting_as(SIGNED_IN):
        assert len(list(read_records(own))) == 1
        for name in (secret, link, climbing, database, "/etc/passwd", config.home()):
            with pytest.raises(DataError) as caught:
                list(read_records(Path(name)))
            assert str(caught.value) == f"{name} {OUTSIDE}"
    for free in (Actor("Ada", "administrator"), Actor("root")):
        with actor.acting_as(free):
            assert len(list(read_records(secret))) == 1


@pytest.mark.parametrize(
    "section",
    [
        {"data": {"sources": [{"name": "SECRET"}]}},
        {"data": {"sources": [{"name": "starter/clinical", "corrections": "SECRET"}]}},
        {"data": {"sources": [{"name": "starter/clinical", "template": "SECRET"}]}},
        {"model": {"name": "SECRET"}},
        {"evaluation": {"held_out": [{"name": "SECRET", "metric": "exact_match", "items": 4}]}},
    ],
)
def test_a_run_of_somebody_who_signed_in_names_none_either(section: dict[str, Any], secret: Path):
    run = RunConfig.model_validate(json.loads(json.dumps(section).replace("SECRET", str(secret))))
    with actor.acting_as(SIGNED_IN), pytest.raises(NotAllowed) as caught:
        runs.create(run)
    assert str(caught.value) == f"{secret} {OUTSIDE}" and runs.list_runs() == ([], [])


@pytest.mark.parametrize("name", ["~nobody-at-all/x", "x" * 5000, "a\0b", "no/such-model", "/no_think"])
def test_what_is_no_path_is_let_pass(name: str):
    with actor.acting_as(SIGNED_IN):
        reach.check(name)


@pytest.mark.parametrize(
    "arguments",
    [
        ["data", "prepare", "~nobody-at-all/x.csv"],
        ["data", "prepare", "x" * 5000],
        ["train", "~nobody-at-all/run.yaml"],
        ["runs", "show", "../../etc"],
        ["runs", "delete", "../../etc", "--yes"],
        ["plans", "delete", "../../etc", "--yes"],
        ["data", "delete", "../bedside.db", "--yes"],
        ["evaluations", "show", "/etc"],
        ["exports", "delete", "../runs", "--yes"],
        ["search", "show", ".."],
        ["preferences", "show", "../runs"],
    ],
)
def test_ids_and_paths_of_the_command_line_end_in_a_sentence(arguments: list[str], command: Callable[..., Any]):
    (config.home() / "runs").mkdir()
    told = command(*arguments)
    assert told.status == 2 and told.out == "" and len(told.err.strip().splitlines()) == 1
    assert (config.home() / "runs").is_dir()
