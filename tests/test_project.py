"""The project keeps its own rules."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import grimp
import networkx

ROOT = Path(__file__).resolve().parent.parent


def pins(name: str) -> dict[str, str]:
    lines = [
        line.strip() for line in (ROOT / name).read_text().splitlines() if line.strip() and not line.startswith("#")
    ]
    return dict(line.split("==") for line in lines)


def test_requirements_are_pyproject_at_the_pinned_versions():
    with (ROOT / "pyproject.toml").open("rb") as file:
        declared = set(tomllib.load(file)["project"]["dependencies"])
    constraints = {re.sub("[-_.]+", "-", name).lower(): version for name, version in pins("constraints.txt").items()}
    assert pins("requirements.txt") == {name: constraints[name] for name in declared}


def test_the_image_holds_what_the_make_file_installs_and_copies_what_there_is():
    made, image = ((ROOT / name).read_text() for name in ("Makefile", "Dockerfile"))
    apart = re.compile(r"--no-deps ((?:[\w-]+==[\d.]+ ?)+)")
    assert apart.findall(made)[0].split() == apart.findall(image)[0].split()
    copied = [name for line in re.findall(r"^COPY (.+) \S+$", image, re.MULTILINE) for name in line.split()]
    assert copied and all((ROOT / name).exists() for name in copied)
    sent = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert sent == set(copied)


SEVERAL_AT_ONCE = """
import sys
import threading
from assistant.pages.background import with_progress

class Watched:
    loading = set()

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("datasets", "torch", "transformers"):
            self.loading.add(threading.get_ident())

def data(report):
    from datasets import Dataset
def tokens(report):
    from transformers import AutoTokenizer
def device(report):
    import torch

sys.meta_path.insert(0, Watched())
ended = []
threads = [
    threading.Thread(target=lambda one=one: ended.append([told.done for told in with_progress(one)][-1]))
    for one in (data, tokens, device)
]
for one in threads:
    one.start()
for one in threads:
    one.join()
print(ended, len(Watched.loading))
"""


def printed(code: str) -> str:
    """What a process of its own prints, in which nothing is loaded yet."""
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True
    ).stdout.strip()


def test_help_the_app_and_the_list_of_exports_import_nothing_heavy():
    code = (
        "import assistant.cli, app, trainer.export.exports, sys; "
        "heavy = ('torch', 'transformers', 'gradio', 'trl', 'pandas', 'langchain_core'); "
        "print([name for name in heavy if name in sys.modules])"
    )
    assert printed(code) == "[]"


def test_the_pages_are_drawn_without_the_database():
    # It takes a third of their time.
    code = "import app, sys; app.build(); print([name for name in ('sqlalchemy', 'torch') if name in sys.modules])"
    assert printed(code).endswith("[]")


def test_help_loads_nothing_of_what_the_verbs_use():
    # Run files alone take 0.1 s to define.
    code = "import assistant.cli, sys; print([name for name in ('trainer.sections', 'yaml') if name in sys.modules])"
    assert printed(code) == "[]"


def test_the_first_plan_waits_for_no_library():
    # langchain-core takes longer to import than all of a plan to make.
    code = (
        "from assistant.planner import dialogue; import sys; "
        "_, turn = dialogue.reply(dialogue.new_draft(), 'question answering, 2,000 rows, no patient data, RTX 4090'); "
        "print([name for name in ('langchain_core', 'torch') if name in sys.modules], turn.config is None)"
    )
    assert printed(code) == "[] False"


def test_libraries_are_loaded_by_one_thread_where_several_begin_at_once():
    assert printed(SEVERAL_AT_ONCE) == "[True, True, True] 1"


def test_no_file_names_a_package_registry():
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], capture_output=True, text=True, cwd=ROOT, check=True
    )
    hosts = re.compile(
        "|".join(["py" + r"pi\.org", "python" + r"hosted\.org", "npm" + r"js\.(org|com)", r"deb\.debian" + r"\.org"])
    )
    found = []
    for name in listed.stdout.splitlines():
        path = ROOT / name
        if path.is_file() and path.suffix not in {".png"} and hosts.search(path.read_text(errors="ignore")):
            found.append(name)
    assert found == []


def test_no_file_imports_itself_by_way_of_others():
    packages = ("assistant", "trainer", "evaluators")
    graph = grimp.build_graph(*packages, exclude_type_checking_imports=True, cache_dir=None)
    arrows = ((one, other) for one in graph.modules for other in graph.find_modules_directly_imported_by(one))
    parts = networkx.strongly_connected_components(networkx.DiGraph(arrows))
    assert [sorted(part) for part in parts if len(part) > 1] == []
