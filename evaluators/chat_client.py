"""A chat model behind an OpenAI-compatible address, through langchain-core, and one question to it with a time limit.

`http://127.0.0.1:8000/v1#name` names a model of `transformers serve`, Ollama, vLLM and the like. Whoever takes a model
takes any langchain-core chat model; without one, nothing of langchain is imported here.
"""

from __future__ import annotations

import json
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel
    from langchain_core.runnables import Runnable

TIMEOUT_SECONDS = 20.0
_LOCAL = {"localhost", "127.0.0.1", "::1"}


def remote_host(address: str) -> str:
    """The host that texts would go to; empty where it is this machine."""
    host = urlsplit(address).hostname or ""
    return "" if host in _LOCAL else host


@cache
def connect(address: str, timeout: float = TIMEOUT_SECONDS) -> BaseChatModel:
    """A langchain-core chat model for an OpenAI-compatible address, with the model's name after a #.

    It answers greedily with at most 200 tokens, and raises `OSError` where nothing answers within `timeout` seconds.
    """
    from langchain_core.language_models import BaseChatModel
    from langchain_core.messages import AIMessage, BaseMessage, convert_to_openai_messages
    from langchain_core.outputs import ChatGeneration, ChatResult

    url, _, name = address.partition("#")

    class OpenAICompatible(BaseChatModel):
        @property
        def _llm_type(self) -> str:
            return "openai-compatible"

        def _generate(
            self, messages: list[BaseMessage], stop: list[str] | None = None, run_manager: Any = None, **kwargs: Any
        ) -> ChatResult:
            body = {"model": name, "messages": convert_to_openai_messages(messages), "temperature": 0, "stream": False}
            request = urllib.request.Request(
                f"{url.rstrip('/')}/chat/completions",
                json.dumps(body | {"max_tokens": 200}).encode(),
                {"Content-Type": "application/json"},
            )
            with urllib.request.urlopen(request, timeout=timeout) as answer:
                text = json.load(answer)["choices"][0]["message"]["content"]
            return ChatResult(generations=[ChatGeneration(message=AIMessage(content=text))])

    return OpenAICompatible()


def ask(model: Runnable[Any, Any], messages: list[tuple[str, str]], timeout: float) -> Any:
    """What a model, or a model piped into a parser, makes of (role, text) messages.

    Raises `TimeoutError` after `timeout` seconds, and whatever the model, its server or the parser raises.
    """
    # Not the context manager: it would wait for a model that hangs.
    pool = ThreadPoolExecutor(max_workers=1)
    try:
        return pool.submit(model.invoke, messages).result(timeout)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
