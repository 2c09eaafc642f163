"""Ollama's native wire protocol: ``/api/chat`` (NDJSON), ``/api/tags``, ``/api/show``, ``/api/embed``.

Source: Ollama's API reference (docs/api.md of its repository). The native door is used because
the OpenAI-compatible one cannot set ``num_ctx``: prompts longer than the server's default window
would be cut without a word.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import aclosing, contextmanager
from typing import Annotated, Any, ClassVar

import aiohttp
from pydantic import BeforeValidator

from sgoped.errors import ServiceError
from sgoped.llm import faults
from sgoped.llm.address import Address, parse_ollama_address
from sgoped.llm.answer import Answer, thought, written
from sgoped.llm.capabilities import UNKNOWN, Capabilities, digest_of, from_show
from sgoped.llm.decode import JsonObject, NDJSONDecoder, whole_number
from sgoped.llm.service import MAX_MODELS, MAX_NAME_CHARS, ServiceConfig, Timeouts
from sgoped.llm.transport import Transport
from sgoped.llm.types import Message, StreamEvent
from sgoped.llm.vectors import read_vectors

DEFAULT_HOST = "http://localhost:11434"
MAX_SHOWN = 20

_NUM_CTX = re.compile(r"^num_ctx\s+(\d{1,9})\s*$", re.MULTILINE)


def _host(value: Any) -> Any:
    if value is None or value == "":
        return DEFAULT_HOST
    return str(parse_ollama_address(value)) if isinstance(value, str) else value


class OllamaConfig(ServiceConfig):
    """Where an Ollama server is; ``api_key`` is for servers behind a proxy that wants one.

    Attributes:
        host: Such as ``localhost:11434``; kept as a whole address.
    """

    host: Annotated[str, BeforeValidator(_host)] = DEFAULT_HOST

    @property
    def address(self) -> Address:
        """Where the service is."""
        return parse_ollama_address(self.host)


class OllamaService:
    """One Ollama server."""

    title: ClassVar[str] = "Ollama"
    config_type: ClassVar[type[ServiceConfig]] = OllamaConfig

    def __init__(
        self, config: OllamaConfig, session: aiohttp.ClientSession, timeouts: Timeouts
    ) -> None:
        key = config.api_key.get_secret_value()
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._address = config.address
        self._transport = Transport(session, timeouts, headers)
        self._windows: dict[str, int | None] = {}
        self._told: dict[str, Capabilities] = {}
        self._digests: dict[str, str] = {}
        self.embedding_models: tuple[str, ...] = ()

    async def models(self) -> list[str]:
        """The models that are installed, without those that only embed.

        Raises:
            ServiceError: It did not tell.
        """
        tags = await self._transport.ask("GET", self._address.join("/api/tags"))
        found = tags.get("models")
        if not isinstance(found, list):
            raise faults.fault(faults.NOT_A_SERVICE)
        models = {name: model for model in found if (name := _name(model))}
        self._forget_replaced({name: digest_of(model) for name, model in models.items()})
        chatting = [name for name, model in models.items() if _chats(model)]
        self.embedding_models = tuple(name for name in models if name not in chatting)[:MAX_MODELS]
        return chatting[:MAX_MODELS]

    async def stream(
        self, model: str, messages: Sequence[Message], *, context_tokens: int | None = None
    ) -> AsyncGenerator[Sequence[StreamEvent], None]:
        """Ask ``model`` for the next turn; see ``Service.stream``.

        Args:
            model: One of ``models()``.
            messages: The conversation so far.
            context_tokens: The window to reserve (``num_ctx``); None leaves it to the server.

        Raises:
            ServiceError: After everything that had arrived was yielded.
        """
        body: JsonObject = {
            "model": model,
            "messages": [
                {"role": message.role, "content": message.content} for message in messages
            ],
            "stream": True,
            # Servers that know it refuse a prompt that does not fit, with both numbers, instead of
            # dropping earlier messages or its middle; older ones pass over what they do not know.
            "truncate": False,
        }
        if context_tokens is not None:
            body["options"] = {"num_ctx": context_tokens}
        answer = Answer(NDJSONDecoder(), read_chunk)
        url = self._address.join("/api/chat")
        async with aclosing(self._transport.stream(url, body, answer)) as batches:
            async for batch in batches:
                yield batch

    async def context_tokens(self, model: str) -> int | None:
        """The window that the model's file sets, or else the longest it was trained for.

        Raises:
            ServiceError: It did not tell.
        """
        if model not in self._windows:
            await self._show(model)
        return self._windows[model]

    async def capabilities(
        self, models: Sequence[str], known: Mapping[str, Capabilities]
    ) -> dict[str, Capabilities]:
        """What ``models`` can do; a few are asked for that changed since they were known.

        Raises:
            ServiceError: It answers nothing any more.
        """
        told: dict[str, Capabilities] = {}
        asked = 0
        for model in models:
            digest = self._digests.get(model, "")
            if model not in self._told and digest and digest == known.get(model, UNKNOWN).digest:
                told[model] = known[model]
                continue
            if model not in self._told and asked < MAX_SHOWN:
                asked += 1
                with _passing_over_missing():
                    await self._show(model)
            if model in self._told:
                told[model] = self._told[model]
        return told

    async def _show(self, model: str) -> Capabilities:
        url = self._address.join("/api/show")
        shown = await self._transport.ask("POST", url, {"model": model})
        self._windows[model] = window(shown)
        told = from_show(shown, self._windows[model], self._digests.get(model, ""))
        self._told[model] = told
        return told

    async def embed(self, model: str, texts: Sequence[str]) -> list[list[float]]:
        """One vector for each text; see ``EmbeddingService.embed``.

        Raises:
            ServiceError: It did not tell.
        """
        body: JsonObject = {"model": model, "input": list(texts)}
        url = self._address.join("/api/embed")
        return await self._transport.ask_in_thread(
            url, body, lambda answer: read_vectors(answer.get("embeddings"), len(texts))
        )

    def _forget_replaced(self, digests: dict[str, str]) -> None:
        """A model pulled again under its name may have another window."""
        for name in list(self._windows):
            if digests.get(name) != self._digests.get(name):
                del self._windows[name]
                del self._told[name]
        self._digests = digests


@contextmanager
def _passing_over_missing() -> Iterator[None]:
    """Pass over one model that cannot be shown; another one may be."""
    try:
        yield
    except ServiceError as failure:
        if failure.code not in ("service_not_found", "service_refused"):
            raise


def read_chunk(chunk: JsonObject, answer: Answer) -> None:
    """Read one line of an answer from ``/api/chat``."""
    if chunk.get("error"):
        answer.fail(faults.from_report(chunk["error"]))
        return
    message = chunk.get("message")
    if isinstance(message, dict):
        answer.reasoning(thought(message))
        answer.text(written(message.get("content")))
    if chunk.get("done") is True:
        answer.usage(chunk.get("prompt_eval_count"), chunk.get("eval_count"))
        reason = chunk.get("done_reason")
        answer.finish(reason if isinstance(reason, str) and reason else "stop")


def window(shown: JsonObject) -> int | None:
    """The context window in an answer of ``/api/show``."""
    parameters = shown.get("parameters")
    chosen = _NUM_CTX.search(parameters) if isinstance(parameters, str) else None
    if chosen:
        return int(chosen[1]) or None
    facts = shown.get("model_info")
    if not isinstance(facts, dict):
        return None
    lengths = (whole_number(facts[key]) for key in facts if key.endswith(".context_length"))
    return next((length for length in lengths if length), None)


def _name(model: Any) -> str:
    name = (model.get("name") or model.get("model")) if isinstance(model, dict) else None
    is_name = isinstance(name, str) and name.isprintable() and len(name) <= MAX_NAME_CHARS
    return str(name) if is_name else ""


def _chats(model: JsonObject) -> bool:
    """Whether a model can write; BERT and its kin only embed."""
    details = model.get("details")
    family = details.get("family") if isinstance(details, dict) else None
    return not (isinstance(family, str) and "bert" in family)
