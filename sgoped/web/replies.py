"""The wire's answers as types: handlers build them as plain dicts, the document shows them.

They are never validated while serving (a key stroke has no time for it); tests compare what the
daemon really sends with them.
"""

from __future__ import annotations

from typing import Annotated, Literal, NotRequired

from pydantic import Field
from typing_extensions import TypedDict  # typing's own cannot be inspected before Python 3.12

Span = Annotated[list[int], Field(min_length=2, max_length=2, description="[start, end)")]
UnixSeconds = Annotated[float, Field(description="Seconds since 1970.")]


class ErrorReply(TypedDict):
    """What every failure looks like."""

    detail: Annotated[str, Field(description="What happened and what to do, for a person.")]
    code: Annotated[str, Field(description="Stable, for programs.")]


class SuccessReply(TypedDict):
    """It is done."""

    success: Literal[True]
    message: str


# services and models


class PublicConfig(TypedDict):
    """A service's configuration without its key, fit to be sent back."""

    name: str
    host: NotRequired[str]
    base_url: NotRequired[str]
    models: NotRequired[list[str]]
    api_key: NotRequired[Annotated[str, Field(description="A placeholder, `stored:<id>`.")]]


class ServiceReply(TypedDict):
    """A configured service."""

    id: str
    type: str
    name: str
    enabled: bool
    available: bool
    models: list[str]
    status: Annotated[str, Field(description="`online`, `configured` or `error: ...`.")]
    config: PublicConfig
    stale: Annotated[bool, Field(description="Whether `models` is from before the last probes.")]
    checked_at: Annotated[UnixSeconds | None, Field(description="When it was last asked.")]
    circuit: Annotated[
        Literal["closed", "open", "half_open"],
        Field(description="`open`: left alone after failures; `half_open`: one request may try."),
    ]
    failing_since: UnixSeconds | None
    retry_at: Annotated[UnixSeconds | None, Field(description="When a request may try again.")]


class CapabilitiesReply(TypedDict):
    """What a model can do; null where its service does not tell."""

    window: Annotated[int | None, Field(description="Its context window in tokens.")]
    thinking: bool | None
    vision: bool | None
    embeddings: bool | None


class ModelReply(TypedDict):
    """A model that a service offers."""

    id: Annotated[str, Field(description="Unique over all services.")]
    name: str
    provider: str
    service: str
    service_type: str
    available: bool
    is_default: bool
    stale: Annotated[bool, Field(description="Whether its service did not confirm it lately.")]
    checked_at: Annotated[UnixSeconds | None, Field(description="When its service was asked.")]
    capabilities: CapabilitiesReply


Services = dict[str, ServiceReply]


class ModelsReply(TypedDict):
    """All models of all services."""

    all_models: list[ModelReply]
    default_model: str | None
    services: Services


class ServiceTestReply(TypedDict):
    """What trying an endpoint showed: `models` when it is good, `error` when not."""

    success: bool
    available: bool
    models: NotRequired[list[str]]
    error: NotRequired[str]


class SavedServiceReply(TypedDict):
    """The service as saved."""

    success: Literal[True]
    message: str
    service: ServiceReply


class DefaultModelReply(TypedDict):
    """The new default."""

    success: Literal[True]
    message: str
    default_model: str | None


class ModelHealthReply(TypedDict):
    """How a model was when it was last looked at."""

    model: str
    service: str
    status: str
    available: bool
    checked_at: UnixSeconds | None


class ModelUsageReply(TypedDict):
    """What the answers of one model took; medians over the last ones, null when none told."""

    runs: int
    prompt_tokens: Annotated[int, Field(description="As far as its service counted them.")]
    completion_tokens: int
    first_token_seconds: float | None
    tokens_per_second: float | None


class UsageReply(TypedDict):
    """What answers took, by the models' ids."""

    since: UnixSeconds
    models: dict[str, ModelUsageReply]


class EnrichmentReply(TypedDict):
    """A summary that waits for a model, or how it ended."""

    id: str
    path: Annotated[str, Field(description="Of the file that it belongs into.")]
    state: Literal["queued", "working", "done", "skipped", "failed"]
    why: Annotated[str, Field(description="Why it ended so, or why it is tried again.")]
    model: Annotated[str, Field(description="Which is to be asked; empty: the default one.")]
    attempts: int
    created_at: UnixSeconds
    next_try_at: Annotated[
        UnixSeconds | None, Field(description="Not before then, and not before a model answers.")
    ]


# files, search, versions


class SuggestionMetadata(TypedDict):
    """What is known about the suggested thing."""

    type: str
    path: Annotated[str, Field(description="Relative to the memory folder.")]
    size: Annotated[int, Field(description="Bytes.")]
    modified: Annotated[str, Field(description="ISO 8601, UTC.")]
    why: Annotated[str, Field(description="Which rule found it; empty when nothing was asked.")]
    matches: Annotated[list[Span], Field(description="Character ranges of what `target` names.")]
    target: NotRequired[Literal["label", "path"]]
    section: NotRequired[Literal["contents"]]  # its text matches, from this line on
    line: NotRequired[int]


class FileSuggestion(TypedDict):
    """A file, folder or image."""

    id: Annotated[str, Field(description="Stable; accepted where a path is.")]
    label: Annotated[str, Field(description="Identifies it: what is sent back with a chat.")]
    description: str
    type: Literal["file", "folder", "image"]
    metadata: SuggestionMetadata


class ActionMetadata(TypedDict):
    """How an action is called and found."""

    command: str
    category: str
    tags: list[str]


class ActionSuggestion(TypedDict):
    """An action."""

    id: str
    label: Annotated[str, Field(description="Comes back as `selected_action`.")]
    description: str
    type: Literal["action"]
    metadata: ActionMetadata


class ContentReply(TypedDict):
    """A whole file."""

    content: str
    path: str
    size: int
    etag: str
    encoding: str
    truncated: Literal[False]


class SavedReply(TypedDict):
    """A file as it is on the disk now."""

    success: Literal[True]
    path: str
    size: int
    etag: str
    created: bool
    version: Annotated[str | None, Field(description="What was overwritten, kept under this id.")]


class DeletedReply(TypedDict):
    """A file that is gone, and how to bring it back."""

    success: Literal[True]
    path: str
    version: str | None


class VersionReply(TypedDict):
    """What a file once held, or was called."""

    version: str
    path: str
    size: int
    saved_at: UnixSeconds
    reason: Annotated[str, Field(description="`overwritten`, `deleted` or `renamed`.")]
    id: NotRequired[str]  # where all files are listed: fit to be sent instead of the path
    former_path: NotRequired[str]  # of what was renamed


class HitReply(TypedDict):
    """A passage that answers a search: its best lines, counted from 1, the last one included."""

    id: str
    path: str
    line_start: int
    line_end: int
    snippet: str
    matches: Annotated[list[Span], Field(description="In the snippet.")]
    score: float


class SearchReply(TypedDict):
    """Passages, best first."""

    query: str
    took_ms: float
    hits: list[HitReply]


class IndexCounts(TypedDict):
    """Files by state."""

    indexed: int
    pending: int
    skipped: int
    failed: int


class IndexedFile(TypedDict):
    """What the index knows of a file, and why not more."""

    path: str
    state: str
    reason: str


class IndexReply(TypedDict):
    """The index, file by file."""

    counts: IndexCounts
    files: list[IndexedFile]


# actions


class FilenameReply(TypedDict):
    """A short snake_case name without extension."""

    ok: Literal[True]
    filename: str


# what happens


class BusEventReply(TypedDict):
    """Something that happened; further fields depend on `type`."""

    type: str
    path: NotRequired[str]
    done: NotRequired[int]
    total: NotRequired[int]
    state: NotRequired[str]
    reason: NotRequired[str]
    service_id: NotRequired[str]
    status: NotRequired[str]
    run_id: NotRequired[str]
    outcome: NotRequired[str]
    conversation_id: NotRequired[str]
    what: NotRequired[str]
    count: NotRequired[int]
    enrichment_id: NotRequired[str]
