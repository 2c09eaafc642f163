"""What a model can do, as far as its service tells; pure readers of what services say.

Sources: Ollama's ``/api/show`` (``capabilities``, ``model_info``) and the model lists of
OpenRouter (``architecture``, ``supported_parameters``), Mistral and llama.cpp (``capabilities``),
Together and LM Studio (``type``). None means that nothing was said of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sgoped.llm.decode import JsonObject, whole_number

MAX_DIGEST_CHARS = 100

_THINKING = frozenset({"reasoning", "include_reasoning", "thinking", "reasoning_effort"})
_VISION = frozenset({"vision", "image", "multimodal"})
_EMBEDDING = frozenset({"embedding", "embeddings"})
_CHATTING = frozenset({"chat", "llm", "vlm", "language"})


@dataclass(frozen=True, slots=True)
class Capabilities:
    """Facts about one model.

    Attributes:
        window: Its context window in tokens.
        thinking: Whether it can think before it answers.
        vision: Whether it takes images.
        embeddings: Whether it embeds.
        digest: What its service tells this version of it from another one by; empty when nothing.
    """

    window: int | None = None
    thinking: bool | None = None
    vision: bool | None = None
    embeddings: bool | None = None
    digest: str = ""


UNKNOWN = Capabilities()


def from_show(shown: JsonObject, window: int | None, digest: str) -> Capabilities:
    """What ``/api/show`` says; older servers list no capabilities, but name what sees images."""
    listed = _words(shown.get("capabilities"))
    if listed is None:
        has_eyes = bool(shown.get("projector_info")) or _holds(shown.get("model_info"), ".vision.")
        return Capabilities(window, vision=has_eyes or None, digest=digest)
    return Capabilities(
        window,
        thinking="thinking" in listed,
        vision="vision" in listed,
        embeddings="embedding" in listed,
        digest=digest,
    )


def from_listing(model: JsonObject, window: int | None) -> Capabilities:
    """What an entry of ``/models`` says."""
    able = model.get("capabilities")
    architecture = model.get("architecture")
    inputs = architecture.get("input_modalities") if isinstance(architecture, dict) else None
    outputs = architecture.get("output_modalities") if isinstance(architecture, dict) else None
    kind = model.get("type")
    return Capabilities(
        window,
        thinking=_first(
            _named(able, _THINKING), _listed(model.get("supported_parameters"), _THINKING)
        ),
        vision=_first(
            _named(able, _VISION), _listed(inputs, _VISION), True if kind == "vlm" else None
        ),
        embeddings=_first(_named(able, _EMBEDDING), _listed(outputs, _EMBEDDING), _embeds(kind)),
    )


def as_json(capabilities: Mapping[str, Capabilities]) -> dict[str, Any]:
    """All of them, as stored."""
    return {name: asdict(each) for name, each in capabilities.items()}


def from_json(stored: Any) -> dict[str, Capabilities]:
    """What was stored; entries that cannot be read are left out, since they can be asked for."""
    if not isinstance(stored, dict):
        return {}
    return {
        name: Capabilities(
            whole_number(fields.get("window")) or None,
            _truth(fields.get("thinking")),
            _truth(fields.get("vision")),
            _truth(fields.get("embeddings")),
            digest_of(fields),
        )
        for name, fields in stored.items()
        if isinstance(fields, dict)
    }


def digest_of(model: JsonObject) -> str:
    """The digest in a model's data, empty where there is none that could be one."""
    digest = model.get("digest")
    is_digest = isinstance(digest, str) and digest.isprintable() and len(digest) <= MAX_DIGEST_CHARS
    return str(digest) if is_digest else ""


def _words(value: Any) -> Sequence[str] | None:
    return [word for word in value if isinstance(word, str)] if isinstance(value, list) else None


def _listed(value: Any, words: frozenset[str]) -> bool | None:
    """Whether a list has one of ``words``; a list that is there says no by leaving it out."""
    listed = _words(value)
    return None if listed is None else any(word in words for word in listed)


def _named(able: Any, words: frozenset[str]) -> bool | None:
    """The same for what may also be an object of switches, which says nothing by leaving it out."""
    if isinstance(able, dict):
        return _first(*(_truth(able.get(word)) for word in sorted(words)))
    return True if _listed(able, words) else None


def _first(*answers: bool | None) -> bool | None:
    known = [answer for answer in answers if answer is not None]
    return any(known) if known else None


def _truth(value: Any) -> bool | None:
    return value if isinstance(value, bool) else None


def _embeds(kind: Any) -> bool | None:
    if not isinstance(kind, str) or kind not in _EMBEDDING | _CHATTING:
        return None
    return kind in _EMBEDDING


def _holds(facts: Any, part: str) -> bool:
    keys: Iterable[Any] = facts if isinstance(facts, dict) else ()
    return any(isinstance(key, str) and part in key for key in keys)
