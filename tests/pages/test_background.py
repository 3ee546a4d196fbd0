"""Work beside a page, in an app that has loaded nothing yet."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
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


def test_libraries_are_loaded_by_one_thread_where_several_begin_at_once():
    ended = subprocess.run([sys.executable, "-c", SEVERAL_AT_ONCE], capture_output=True, text=True, cwd=ROOT)
    assert ended.stdout.strip() == "[True, True, True] 1", ended.stderr
