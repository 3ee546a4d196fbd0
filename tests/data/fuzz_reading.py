"""Reading files, fuzzed by what code each input reaches: `make fuzz`, for `FUZZ_SECONDS` (300).

What Hypothesis draws (`test_fuzz_reading.py`) has a shape; here bytes are changed wherever that leads to code that was
not reached before. The first byte says which ending the file has. An input that reading does not end well for is
printed and kept as a file `crash-...`; make it a case of `test_bad_files.py`.
"""

from __future__ import annotations

import os
import sys
import tempfile
from importlib import import_module
from pathlib import Path
from typing import Any

atheris: Any = import_module("atheris")  # not in the environment, see the Makefile

with atheris.instrument_imports(include=["trainer.data"]):
    from test_fuzz_reading import ENDINGS, check_bytes

SEEDS = {
    "csv": b"question,answer\nWhat lowers potassium?,Insulin with glucose.\n",
    "tsv": b"prompt\tcompletion\nGout?\tColchicine.\n",
    "json": b'[{"messages": [{"role": "user", "content": "Gout?"}, {"role": "assistant", "content": "Yes."}]}]',
    "jsonl": b'{"question": "Gout?", "answer": "Colchicine."}\n{"question": "Fever?", "answer": "Look."}\n',
    "txt": b"Question: Gout?\nAnswer: Colchicine.\n\nQuestion: Fever?\nAnswer: Look.\n",
    "conll": "Ménière\tB-Disease\nça\tO\n\ngout\tB-Disease\n".encode(),
}


def read(data: bytes) -> None:
    if data:
        check_bytes(data[1:], ENDINGS[data[0] % len(ENDINGS)])


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="fuzz-") as place:
        os.environ["BEDSIDE_HOME"] = place
        corpus = Path(place) / "corpus"
        corpus.mkdir()
        for ending, content in SEEDS.items():
            (corpus / ending).write_bytes(bytes([ENDINGS.index(ending)]) + content)
        most = f"-max_total_time={os.environ.get('FUZZ_SECONDS', '300')}"
        atheris.Setup([sys.argv[0], str(corpus), most, "-max_len=4000", "-rss_limit_mb=4000"], read)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
