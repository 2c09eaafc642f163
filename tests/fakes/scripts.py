"""How a fake upstream behaves, and the bytes of its answers in both dialects."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

# Instead of an answer: an HTTP status, or something that is no HTTP answer at all.
EARLY_FAULTS = frozenset(
    {"400", "401", "403", "404", "429", "500", "503", "302", "204"}
    | {"reset_early", "stall_early", "html", "json", "json_lines", "text_error", "trailing_html"}
)
# After ``fault_at`` chunks of the answer.
LATE_FAULTS = frozenset({"reset", "stall", "close", "error", "no_end", "bad_line", "huge_line"})
# All along: the answer is whole, but written strangely.
QUIRKS = frozenset(
    {"crlf", "cr", "no_space", "comments", "empty_choices", "null_deltas", "no_done", "silent_end"}
)


@dataclass(frozen=True)
class Script:
    """One upstream's behaviour.

    Attributes:
        chunks: The pieces of the answer, one event each.
        reasoning: Pieces of thinking before them, in the field ``reasoning_field``.
        reasoning_field: Empty for the dialect's usual one.
        pause_seconds: Between two pieces.
        piece_bytes: Cut everything that is sent into pieces of this size; 0 for one per event.
        together: Send everything up to the fault in one write.
        gate_at: Wait there for ``open_gate``: before this chunk; -1 before the headers.
        fault: One of ``EARLY_FAULTS`` or ``LATE_FAULTS``, or empty.
        fault_at: After how many chunks.
        fault_times: For how many requests; 0 for ever.
        fault_on: Which requests: of ``chat``, ``models``, ``show``, ``embed``.
        error_body: The text that comes with an HTTP status or as an error in the stream.
        retry_after: The header that comes with 429 and 503; empty for none.
        quirks: Of ``QUIRKS``.
        finish_reason: Why the model stopped.
        tokens_per_byte: How the prompt's tokens are counted; 0: always ``prompt_tokens``.
        prompt_tokens: What is told of the prompt.
        takes_tokens: Prompts that count more are refused (400) with ``error_body``, in which
            ``{limit}`` and ``{used}`` are filled in; 0: none is.
    """

    chunks: tuple[str, ...] = ("Hello", ", ", "world")
    reasoning: tuple[str, ...] = ()
    reasoning_field: str = ""
    pause_seconds: float = 0.0
    piece_bytes: int = 0
    together: bool = False
    gate_at: int | None = None
    fault: str = ""
    fault_at: int = 0
    fault_times: int = 0
    fault_on: tuple[str, ...] = ("chat",)
    error_body: str = ""
    retry_after: str = ""
    quirks: tuple[str, ...] = ()
    finish_reason: str = "stop"
    tokens_per_byte: float = 0.0
    prompt_tokens: int = 7
    takes_tokens: int = 0

    def __post_init__(self) -> None:
        if self.fault not in EARLY_FAULTS | LATE_FAULTS | {""}:
            raise ValueError(f"unknown fault {self.fault!r}")
        if set(self.quirks) - QUIRKS:
            raise ValueError(f"unknown quirks {self.quirks!r}")


def counting(script: Script, body: dict[str, Any]) -> Script:
    """``script`` for one request: its prompt counted, and refused where it is too long."""
    if script.tokens_per_byte:
        texts = [str(message.get("content")) for message in body.get("messages", [])]
        size = sum(len(text.encode("utf-8", "replace")) for text in texts)
        script = replace(script, prompt_tokens=int(size * script.tokens_per_byte))
    if not script.takes_tokens or script.prompt_tokens <= script.takes_tokens:
        return script
    told = script.error_body.replace("{limit}", str(script.takes_tokens))
    return replace(
        script, fault="400", error_body=told.replace("{used}", str(script.prompt_tokens))
    )


def script_from(fields: dict[str, Any]) -> Script:
    """A script as it comes over the control route."""
    known: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in fields.items()
    }
    return Script(**known)


@dataclass(frozen=True)
class Dialect:
    """How one of the two protocols is written."""

    name: str

    @property
    def content_type(self) -> str:
        return "application/x-ndjson" if self.name == "ollama" else "text/event-stream"

    def chunk(self, script: Script, model: str, text: str) -> bytes:
        if self.name == "ollama":
            message = {"role": "assistant", "content": text}
            return self.frame(script, {"model": model, "message": message, "done": False})
        return self.frame(script, _openai_chunk(model, {"content": text}))

    def thought(self, script: Script, model: str, text: str) -> bytes:
        if self.name == "ollama":
            message = {"content": "", script.reasoning_field or "thinking": text}
            return self.frame(script, {"model": model, "message": message, "done": False})
        field = script.reasoning_field or "reasoning_content"
        return self.frame(script, _openai_chunk(model, {field: text, "content": None}))

    def oddities(self, script: Script, model: str) -> Iterator[bytes]:
        """Events without text, which a reader must bear."""
        if "comments" in script.quirks:
            yield b"\n" if self.name == "ollama" else b": still working" + _end(script)
        if "empty_choices" in script.quirks:
            yield self.frame(script, {"model": model, "choices": []})
        if "null_deltas" in script.quirks:
            yield self.frame(script, {"model": model, "message": None, "choices": [None]})
            nothing = {"index": 0, "delta": None, "finish_reason": None}
            yield self.frame(script, {"message": {"content": None}, "choices": [nothing]})

    def ending(self, script: Script, model: str) -> Iterator[bytes]:
        counts = {"prompt_eval_count": script.prompt_tokens, "eval_count": 3}
        if self.name == "ollama":
            end = {"model": model, "message": {"content": ""}, "done": True, **counts}
            yield self.frame(script, {**end, "done_reason": script.finish_reason})
            return
        yield self.frame(script, _openai_chunk(model, {}, script.finish_reason))
        usage = {"prompt_tokens": script.prompt_tokens, "completion_tokens": 3}
        if "silent_end" not in script.quirks:
            yield self.frame(script, {"model": model, "choices": [], "usage": usage})
        if not {"no_done", "silent_end"} & set(script.quirks):
            yield self.line(script, b"[DONE]")

    def broken(self, script: Script) -> bytes:
        return self.line(script, b'{"choices": [{"delta": {"conte')

    def error(self, script: Script) -> bytes:
        text = script.error_body or "the engine at 10.1.2.3:99 stumbled"
        return self.frame(script, {"error": text if self.name == "ollama" else {"message": text}})

    def whole(self, script: Script, model: str) -> dict[str, Any]:
        """The answer as one JSON document."""
        message = {"role": "assistant", "content": "".join(script.chunks)}
        if self.name == "ollama":
            return {"model": model, "message": message, "done": True, "done_reason": "stop"}
        choice = {"index": 0, "message": message, "finish_reason": script.finish_reason}
        return {"object": "chat.completion", "model": model, "choices": [choice]}

    def frame(self, script: Script, value: dict[str, Any]) -> bytes:
        return self.line(script, json.dumps(value, ensure_ascii=False).encode())

    def line(self, script: Script, data: bytes) -> bytes:
        if self.name == "ollama":
            return data + _end(script)
        prefix = b"data:" if "no_space" in script.quirks else b"data: "
        return prefix + data + _end(script) * 2


def _end(script: Script) -> bytes:
    if "crlf" in script.quirks:
        return b"\r\n"
    return b"\r" if "cr" in script.quirks else b"\n"


def _openai_chunk(model: str, delta: dict[str, Any], reason: str | None = None) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "finish_reason": reason}
    return {"object": "chat.completion.chunk", "model": model, "choices": [choice]}
