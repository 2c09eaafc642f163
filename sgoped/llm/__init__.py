"""LLM services: configured endpoints, the models they serve, and answers streamed from them."""

from __future__ import annotations

from sgoped.llm.choice import ModelChoice
from sgoped.llm.embedding import ModelEmbedder
from sgoped.llm.registry import Registry, open_registry
from sgoped.llm.service import Service, ServiceConfig, Timeouts
from sgoped.llm.types import (
    Finished,
    Message,
    ModelHealth,
    ModelInfo,
    ReasoningDelta,
    ServiceInfo,
    ServiceTest,
    StreamEvent,
    TextDelta,
    Usage,
)

__all__ = [
    "Finished",
    "Message",
    "ModelChoice",
    "ModelEmbedder",
    "ModelHealth",
    "ModelInfo",
    "ReasoningDelta",
    "Registry",
    "Service",
    "ServiceConfig",
    "ServiceInfo",
    "ServiceTest",
    "StreamEvent",
    "TextDelta",
    "Timeouts",
    "Usage",
    "open_registry",
]
