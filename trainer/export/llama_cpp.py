"""A GGUF file asked through a real llama.cpp, over its server's own routes.

It runs in a process of its own: a file that it cannot stand ends that process and not this one.
"""

from __future__ import annotations

import json
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from evaluators.generation import Messages
from trainer import server_process
from trainer.export import ExportError

NOT_HERE = (
    "llama.cpp is not installed here (pip install xllamacpp), so that the GGUF file was neither opened nor measured. "
    "Ask it something before you use it."
)
_LOCAL = "127.0.0.1"
_FORCED = 1e6  # added to the logit of the token that is to be said; the chances that are told are without it
_SECONDS = 600


def is_installed() -> bool:
    """Whether there is a llama.cpp to ask."""
    return find_spec("xllamacpp") is not None


class LlamaCpp:
    """One GGUF file, opened."""

    def __init__(self, port: int):
        self._address = f"http://{_LOCAL}:{port}"

    def render(self, messages: Messages) -> str:
        """The prompt that llama.cpp makes of a conversation by the file's own chat template."""
        return self._ask("apply-template", {"messages": messages})["prompt"]

    def tokens(self, prompt: str) -> list[int]:
        """How it reads a prompt, special tokens as such."""
        asked = {"content": prompt, "add_special": True, "parse_special": True}
        return self._ask("tokenize", asked)["tokens"]

    def chat(self, messages: Messages, max_new_tokens: int) -> str:
        """Its greedy answer, asked as clients of its OpenAI-compatible API ask."""
        asked = {"messages": messages, "max_tokens": max_new_tokens, "temperature": 0}
        return self._ask("v1/chat/completions", asked)["choices"][0]["message"]["content"]

    def log_likelihood(self, prompt: Sequence[int], answer: Sequence[int]) -> float:
        """Sum of the log-probabilities (nats) of the answer's tokens after the prompt's, by llama.cpp's own logits."""
        total = 0.0
        for at, token in enumerate(answer):
            asked = {
                "prompt": [*prompt, *answer[:at]],
                "n_predict": 1,
                "n_probs": 1,
                "temperature": 0,
                "logit_bias": [[token, _FORCED]],
                "cache_prompt": True,
            }
            said = self._ask("completion", asked)["completion_probabilities"][0]
            if said["id"] != token:
                raise ExportError(
                    f"llama.cpp was to say token {token} and said {said['id']}; its chances are not known."
                )
            total += said["logprob"]
        return total

    def _ask(self, route: str, asked: dict[str, Any]) -> Any:
        request = urllib.request.Request(
            f"{self._address}/{route}", json.dumps(asked).encode(), {"Content-Type": "application/json"}
        )
        try:
            with urllib.request.urlopen(request, timeout=_SECONDS) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            told = error.read().decode(errors="replace")[:200]
            raise ExportError(f"llama.cpp answers {route} with {error.code}: {told}") from None
        except OSError as error:
            raise ExportError(f"llama.cpp ended while it was asked ({error}); the file may be damaged.") from None


@contextmanager
def opened(file: Path) -> Iterator[LlamaCpp]:
    """A GGUF file in a llama.cpp of its own, ended with the block; raises `ExportError` where it cannot be opened."""
    with socket.socket() as probe:
        probe.bind((_LOCAL, 0))
        port = probe.getsockname()[1]
    try:
        with server_process.running(file, "llama.cpp", _LOCAL, port, "export"):
            yield LlamaCpp(port)
    except server_process.ServingError as error:
        raise ExportError(f"llama.cpp cannot open {file.name}: {error}") from None
