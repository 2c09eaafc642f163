"""The OpenAI wire protocol, as its own service and the many compatible ones speak it.

Source: OpenAI's API reference, "Chat Completions" (``/chat/completions`` as server-sent events),
"Models" (``/models``) and "Embeddings" (``/embeddings``); the further fields are those of vLLM,
llama.cpp, OpenRouter, Mistral and DeepSeek.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from typing import Annotated, Any, ClassVar

import aiohttp
from pydantic import BeforeValidator

from sgoped.errors import ServiceError
from sgoped.llm import faults
from sgoped.llm.address import Address, parse_openai_address
from sgoped.llm.answer import Answer, thought, written
from sgoped.llm.capabilities import Capabilities, from_listing
from sgoped.llm.decode import JsonObject, SSEDecoder, whole_number
from sgoped.llm.service import MAX_MODELS, MAX_NAME_CHARS, ServiceConfig, Timeouts
from sgoped.llm.transport import Transport
from sgoped.llm.types import Message, StreamEvent
from sgoped.llm.vectors import read_indexed_vectors

OFFICIAL_URL = "https://api.openai.com/v1"

_WINDOW_FIELDS = (
    "context_length",
    "max_model_len",
    "context_window",
    "max_context_length",
    "n_ctx",
)
_WINDOW_HOLDERS = ("meta", "top_provider")
_EMBEDDING = "text-embedding"
_NO_CHAT = (
    _EMBEDDING,
    "whisper",
    "tts-",
    "dall-e",
    "gpt-image",
    "omni-moderation",
    "text-moderation",
    "babbage",
    "davinci",
    "sora",
)


def _base_url(value: Any) -> Any:
    if value is None or (isinstance(value, str) and not value.strip()):
        return ""
    return str(parse_openai_address(value)) if isinstance(value, str) else value


class OpenAIConfig(ServiceConfig):
    """Where an OpenAI-compatible endpoint is.

    Attributes:
        base_url: Such as ``http://localhost:8080/v1``; empty means OpenAI's own.
    """

    base_url: Annotated[str, BeforeValidator(_base_url)] = ""

    @property
    def address(self) -> Address:
        """Where the service is."""
        return parse_openai_address(self.base_url or OFFICIAL_URL)


class OpenAIService:
    """One OpenAI-compatible endpoint."""

    title: ClassVar[str] = "OpenAI"
    config_type: ClassVar[type[ServiceConfig]] = OpenAIConfig

    def __init__(
        self, config: OpenAIConfig, session: aiohttp.ClientSession, timeouts: Timeouts
    ) -> None:
        key = config.api_key.get_secret_value()
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._address = config.address
        self._is_official = config.base_url in ("", OFFICIAL_URL)
        self._chosen = config.models
        self._transport = Transport(session, timeouts, headers)
        self._windows: dict[str, int | None] | None = None
        self._told: dict[str, Capabilities] = {}
        self._counts_tokens = True
        self.embedding_models: tuple[str, ...] = ()

    async def models(self) -> list[str]:
        """The models it lists; the chosen ones where it has no list but can chat.

        Raises:
            ServiceError: It did not tell.
        """
        try:
            listed = await self._transport.ask("GET", self._address.join("/models"))
        except ServiceError as failure:
            if self._chosen and failure.code == "service_not_found" and await self._can_chat():
                return list(self._chosen)
            raise
        found = listed.get("data", listed.get("models"))
        if not isinstance(found, list):
            raise faults.fault(faults.NOT_A_SERVICE)
        models = {name: model for model in found if (name := _name(model))}
        self._windows = {name: window(model) for name, model in models.items()}
        self._told = {name: from_listing(models[name], self._windows[name]) for name in models}
        embedding = (name for name in models if name.startswith(_EMBEDDING))
        self.embedding_models = tuple(embedding)[:MAX_MODELS]
        names = [name for name in models if not (self._is_official and name.startswith(_NO_CHAT))]
        return names[:MAX_MODELS]

    async def stream(
        self, model: str, messages: Sequence[Message], *, context_tokens: int | None = None
    ) -> AsyncGenerator[Sequence[StreamEvent], None]:
        """Ask ``model`` for the next turn; see ``Service.stream``.

        Args:
            model: One of ``models()``, or another that the endpoint knows.
            messages: The conversation so far.
            context_tokens: Not used: the endpoint decides.

        Raises:
            ServiceError: After everything that had arrived was yielded.
        """
        begun = False
        try:
            async with aclosing(self._stream(model, messages)) as batches:
                async for batch in batches:
                    begun = True
                    yield batch
        except ServiceError as failure:
            unknown_option = failure.code == "stream_options_refused"
            if begun or not unknown_option or not self._counts_tokens:
                raise
        else:
            return
        self._counts_tokens = False
        async with aclosing(self._stream(model, messages)) as batches:
            async for batch in batches:
                yield batch

    def _stream(
        self, model: str, messages: Sequence[Message]
    ) -> AsyncGenerator[Sequence[StreamEvent], None]:
        body: JsonObject = {
            "model": model,
            "messages": [
                {"role": message.role, "content": message.content} for message in messages
            ],
            "stream": True,
        }
        if self._counts_tokens:
            body["stream_options"] = {"include_usage": True}
        url = self._address.join("/chat/completions")
        return self._transport.stream(url, body, Answer(SSEDecoder(), read_chunk))

    async def context_tokens(self, model: str) -> int | None:
        """The model's window, where the endpoint lists it.

        Raises:
            ServiceError: It did not tell.
        """
        if self._windows is None and not self._is_official:
            await self.models()
        return (self._windows or {}).get(model)

    async def capabilities(
        self, models: Sequence[str], known: Mapping[str, Capabilities]
    ) -> dict[str, Capabilities]:
        """What its list said of ``models``; nothing is asked."""
        return {name: self._told[name] for name in models if name in self._told}

    async def embed(self, model: str, texts: Sequence[str]) -> list[list[float]]:
        """One vector for each text; see ``EmbeddingService.embed``.

        Raises:
            ServiceError: It did not tell.
        """
        body: JsonObject = {"model": model, "input": list(texts)}
        url = self._address.join("/embeddings")
        return await self._transport.ask_in_thread(
            url, body, lambda answer: read_indexed_vectors(answer.get("data"), len(texts))
        )

    async def _can_chat(self) -> bool:
        """Whether there is a chat end point, asked with a request that it must refuse."""
        try:
            await self._transport.ask("POST", self._address.join("/chat/completions"), {})
        except ServiceError as failure:
            return failure.code == "service_refused"
        return False


def read_chunk(chunk: JsonObject, answer: Answer) -> None:
    """Read one event of an answer, or a whole answer in one document."""
    if chunk.get("error") or chunk.get("object") == "error":
        answer.fail(faults.from_report(chunk.get("error") or chunk))
        return
    choices = chunk.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    if isinstance(choice, dict):
        _read_choice(choice, answer)
    usage = chunk.get("usage")
    if isinstance(usage, dict):
        answer.usage(usage.get("prompt_tokens"), usage.get("completion_tokens"))


def _read_choice(choice: JsonObject, answer: Answer) -> None:
    if choice.get("error"):
        answer.fail(faults.from_report(choice["error"]))
        return
    is_whole = isinstance(choice.get("message"), dict) and not choice.get("delta")
    part = choice.get("message") if is_whole else choice.get("delta")
    if isinstance(part, dict):
        answer.reasoning(thought(part))
        answer.text(written(part.get("content")) or written(part.get("refusal")))
    reason = choice.get("finish_reason")
    if reason == "error":
        answer.fail(faults.fault(faults.REPORTED))
    elif isinstance(reason, str) and reason:
        answer.stop(reason)
    elif is_whole:
        answer.stop("stop")


def window(model: JsonObject) -> int | None:
    """The context window in an entry of ``/models``, under the names that are in use for it."""
    holders = [model, *(model.get(holder) for holder in _WINDOW_HOLDERS)]
    for holder in holders:
        if isinstance(holder, dict):
            lengths = (whole_number(holder.get(field)) for field in _WINDOW_FIELDS)
            found = next((length for length in lengths if length), None)
            if found is not None:
                return found
    return None


def _name(model: Any) -> str:
    name = (model.get("id") or model.get("name")) if isinstance(model, dict) else None
    is_name = isinstance(name, str) and name.isprintable() and len(name) <= MAX_NAME_CHARS
    return str(name) if is_name else ""
