"""Work beside a page, in an app that has loaded nothing yet."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SEVERAL_AT_ONCE = """
import threading
from assistant.pages.background import with_progress

def data(report):
    from datasets import Dataset
def tokens(report):
    from transformers import AutoTokenizer
def device(report):
    import torch

together = threading.Barrier(3)
ended = []
def work(one):
    together.wait()
    ended.append([told.done for told in with_progress(one)][-1])
threads = [threading.Thread(target=work, args=[one]) for one in (data, tokens, device)]
for one in threads:
    one.start()
for one in threads:
    one.join()
print(ended)
"""


def test_several_threads_that_begin_at_once_find_the_libraries_whole():
    ended = subprocess.run([sys.executable, "-c", SEVERAL_AT_ONCE], capture_output=True, text=True, cwd=ROOT)
    assert ended.stdout.strip() == "[True, True, True]", ended.stderr
