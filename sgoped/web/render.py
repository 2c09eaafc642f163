"""How the program's values look on the wire, where more than one handler shows them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from sgoped.llm import ModelInfo, Registry, ServiceInfo
from sgoped.memory import Memory, Passage, shown
from sgoped.suggestions import Suggestion
from sgoped.web.replies import (
    HitReply,
    ModelReply,
    PublicConfig,
    ServiceReply,
    Services,
    Span,
)
from sgoped.web.status_replies import IndexStatusReply, MemoryCounts, WatcherReply


def suggestion_json(suggestion: Suggestion) -> dict[str, Any]:
    """A suggestion as HTTP clients see it; kept bare, it is made at every key stroke."""
    return {
        "id": suggestion.id,
        "label": suggestion.label,
        "description": suggestion.description,
        "type": suggestion.kind,
        "metadata": suggestion.metadata,
    }


def service_json(service: ServiceInfo) -> ServiceReply:
    """A service without its key."""
    return {
        "id": service.id,
        "type": service.kind,
        "name": service.name,
        "enabled": service.enabled,
        "available": service.available,
        "models": list(service.models),
        "status": service.status,
        "config": cast("PublicConfig", dict(service.config)),
        "stale": service.stale,
        "checked_at": service.checked_at,
        "circuit": service.circuit,
        "failing_since": service.failing_since,
        "retry_at": service.retry_at,
    }


def services_json(registry: Registry) -> Services:
    """All services by id."""
    return {service.id: service_json(service) for service in registry.services()}


def model_json(model: ModelInfo) -> ModelReply:
    """A model and the service that has it."""
    return {
        "id": model.id,
        "name": model.name,
        "provider": model.service_name,
        "service": model.service_id,
        "service_type": model.kind,
        "available": model.available,
        "is_default": model.is_default,
        "stale": model.stale,
        "checked_at": model.checked_at,
        "capabilities": {
            "window": model.capabilities.window,
            "thinking": model.capabilities.thinking,
            "vision": model.capabilities.vision,
            "embeddings": model.capabilities.embeddings,
        },
    }


def hit_json(passage: Passage) -> HitReply:
    """A passage with its file and lines."""
    return {
        "id": passage.document.id,
        "path": passage.document.shown_path,
        "line_start": passage.line_start,
        "line_end": passage.line_end,
        "snippet": shown(passage.snippet),
        "matches": spans(passage.matches),
        "score": passage.score,
    }


def spans(matches: Sequence[tuple[int, int]]) -> list[Span]:
    """Offsets as JSON has them."""
    return [[start, end] for start, end in matches]


def counts_json(memory: Memory) -> MemoryCounts:
    """How much the memory folder holds."""
    counts = memory.counts()
    return {
        "total_items": counts.total_items,
        "files": counts.files,
        "folders": counts.folders,
        "images": counts.images,
    }


def watcher_json(memory: Memory) -> WatcherReply:
    """How changes are noticed at present."""
    status = memory.watcher_status()
    trouble = status.last_trouble
    return {
        "state": status.state,
        "reason": status.reason,
        "since": status.since,
        "last_trouble": {"reason": trouble.reason, "at": trouble.at} if trouble else None,
    }


def index_json(memory: Memory) -> IndexStatusReply:
    """How far the index is."""
    status, embedding = memory.index_status(), memory.embedding_status()
    repair = status.last_repair
    return {
        "generation": status.generation,
        "documents": status.documents,
        "pending": status.pending,
        "verified": status.verified,
        "progress": status.progress,
        "problem": status.problem,
        "problem_since": status.problem_since,
        "checked": status.checked,
        "last_repair": {"reason": repair.reason, "at": repair.at} if repair else None,
        "embedding": {
            "model": embedding.model,
            "state": embedding.state,
            "embedded": embedding.embedded,
            "total": embedding.total,
        },
    }
