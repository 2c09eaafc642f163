"""The wire's answers about the daemon as a whole, as types: health, counts, refresh.

See ``replies``, which has all others.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field
from typing_extensions import TypedDict  # typing's own cannot be inspected before Python 3.12

from sgoped.web.replies import ModelReply, Services, UnixSeconds


class MemoryCounts(TypedDict):
    """What the memory folder holds."""

    total_items: int
    files: int
    folders: int
    images: int


class LongTermCounts(TypedDict):
    """What can be done with it."""

    total_actions: int


class LlmStats(TypedDict):
    """The models; `default_model` is empty when there is none."""

    default_model: str
    all_models: list[ModelReply]
    services: Services


class StatsReply(TypedDict):
    """The dashboard."""

    short_term_memory: MemoryCounts
    long_term_memory: LongTermCounts
    llm_services: LlmStats


class TroubleReply(TypedDict):
    """Why changes of files may have gone unnoticed for a while."""

    reason: str
    at: UnixSeconds


class WatcherReply(TypedDict):
    """How changes of files are noticed."""

    state: Literal["native", "polling", "degraded"]
    reason: str
    since: UnixSeconds
    last_trouble: Annotated[TroubleReply | None, Field(description="It may be mended by now.")]


class RepairReply(TypedDict):
    """A part of the cache that was found damaged and made again from the disk."""

    reason: str
    at: UnixSeconds


class EmbeddingReply(TypedDict):
    """How far finding by meaning is; files are counted."""

    model: str
    state: Annotated[str, Field(description="`off`, `working`, `ready`, or `waiting: ` and why.")]
    embedded: int
    total: int


class IndexStatusReply(TypedDict):
    """How far the index is."""

    generation: int
    documents: int
    pending: int
    verified: bool
    progress: Annotated[float, Field(ge=0, le=1)]
    problem: Annotated[str, Field(description="What cannot be indexed now, and why; or empty.")]
    problem_since: UnixSeconds | None
    checked: Annotated[
        bool, Field(description="Whether every file of the index was read and found whole.")
    ]
    last_repair: Annotated[
        RepairReply | None, Field(description="When an index was made again since the start.")
    ]
    embedding: EmbeddingReply


class StateReply(TypedDict):
    """How `state.db` is; both are empty when all is well."""

    recovery: Annotated[str, Field(description="What the last start repaired.")]
    problem: Annotated[str, Field(description="Why it cannot be used now, and what to do.")]


class ProcessReply(TypedDict):
    """What the process holds; null where the system does not tell."""

    resident_bytes: int | None
    open_files: int | None
    threads: int | None
    tasks: Annotated[int, Field(description="Of the event loop.")]


class HealthReply(TypedDict):
    """The daemon and its parts."""

    status: Literal["healthy", "degraded"]
    version: str
    pid: int
    uptime_seconds: float
    watcher: WatcherReply
    index: IndexStatusReply
    services: Annotated[dict[str, str], Field(description="Status by service id.")]
    state: StateReply
    process: ProcessReply
    sqlite: str
    tantivy: str


class RefreshReply(TypedDict):
    """The index equals the disk."""

    success: Literal[True]
    message: str
    index: IndexStatusReply
