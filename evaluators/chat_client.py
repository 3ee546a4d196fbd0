"""A chat model behind an OpenAI-compatible address, through langchain-core, and one question to it with a time limit.

`http://127.0.0.1:8000/v1#name` names a model of `transformers serve`, Ollama, vLLM and the like. Whoever takes a model
takes any langchain-core chat model; without one, nothing of langchain is imported here.
"""

from __future__ import annotations

import http.client
import ipaddress
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
MOST_BYTES = 1 << 20
"""Of an answer; one of 200 tokens has about a thousand."""
# Where clouds tell a machine's own secrets, beside the link-local addresses (169.254.0.0/16, fe80::/10).
_METADATA = {"fd00:ec2::254", "100.100.100.200", "168.63.129.16", "192.0.0.192"}
_LOCAL = {"localhost", "127.0.0.1", "::1"}


class AddressRefused(ValueError):
    """No chat model is asked at this address; the text says why and what to do."""


def remote_host(address: str) -> str:
    """The host that texts would go to; empty where it is this machine."""
    host = urlsplit(address).hostname or ""
    return "" if host in _LOCAL else host


@cache
def connect(address: str, timeout: float = TIMEOUT_SECONDS) -> BaseChatModel:
    """A langchain-core chat model for an OpenAI-compatible address, with the model's name after a #.

    It answers greedily with at most 200 tokens, and raises `OSError` where nothing answers within `timeout` seconds.
    An address that could make this machine read what is its own is refused (`AddressRefused`): of another kind than
    http and https, or where a cloud tells its machines' secrets, by whatever name; and no redirect is followed.
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
            if urlsplit(url).scheme not in ("http", "https"):
                raise AddressRefused(f"{url} is no address of a chat model; write http:// or https:// and its host.")
            body = {"model": name, "messages": convert_to_openai_messages(messages), "temperature": 0, "stream": False}
            request = urllib.request.Request(
                f"{url.rstrip('/')}/chat/completions",
                json.dumps(body | {"max_tokens": 200}).encode(),
                {"Content-Type": "application/json"},
            )
            with urllib.request.build_opener(_Http, _Https, _NoRedirect).open(request, timeout=timeout) as answer:
                said = answer.read(MOST_BYTES + 1)
            if len(said) > MOST_BYTES:
                raise ValueError("the chat model's answer is larger than 1 MiB")
            text = json.loads(said)["choices"][0]["message"]["content"]
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


class _Connection(http.client.HTTPConnection):
    def connect(self) -> None:
        super().connect()
        _check_peer(self)


class _SecureConnection(http.client.HTTPSConnection):
    def connect(self) -> None:
        super().connect()
        _check_peer(self)


class _Http(urllib.request.HTTPHandler):
    def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_Connection, req)


class _Https(urllib.request.HTTPSHandler):
    def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_SecureConnection, req)


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(
        self, req: urllib.request.Request, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> None:
        raise AddressRefused(f"{req.full_url} sends on to {newurl}, where texts do not follow; name that address.")


def _check_peer(connection: http.client.HTTPConnection) -> None:
    """Who it is that was reached, whatever its name said, before anything is sent to it."""
    address = ipaddress.ip_address(connection.sock.getpeername()[0].partition("%")[0])
    address = getattr(address, "ipv4_mapped", None) or address
    if address.is_link_local or str(address) in _METADATA:
        connection.close()
        raise AddressRefused(
            f"{connection.host} is {address}, where a cloud keeps its machines' secrets and no chat model answers; "
            "name another address."
        )
