"""The wire's request bodies: what bytes from outside must look like before anything acts on them.

Unknown fields are ignored, so that an older daemon understands a newer front end.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from sgoped.chat import MAX_TITLE_CHARS
from sgoped.web.parameters import MAX_QUERY_CHARS

MAX_ID_CHARS = 512
MAX_NAME_CHARS = 200
MAX_SERVICE_ID_CHARS = 100
MAX_PATH_CHARS = 4000
MAX_ATTACHMENTS = 1000
MAX_MODELS = 1000

Id = Annotated[str, Field(min_length=1, max_length=MAX_ID_CHARS)]
Path = Annotated[
    str,
    Field(
        min_length=1,
        max_length=MAX_PATH_CHARS,
        description="Relative to the memory folder, /-separated; or a suggestion's id.",
    ),
]
ModelName = Annotated[str, Field(max_length=MAX_NAME_CHARS)]
ServiceKind = Annotated[str, Field(min_length=1, max_length=64, examples=["ollama", "openai"])]


class Body(BaseModel):
    """What every request body has in common."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)


class ServiceConfig(BaseModel):
    """An endpoint: `host` for Ollama; `base_url`, `api_key` and `models` for OpenAI-compatible ones.

    A kind that a plug-in adds may have fields of its own.
    """

    model_config = ConfigDict(frozen=True, extra="allow", strict=True)
    __pydantic_extra__: dict[str, JsonValue]

    name: Annotated[str | None, Field(max_length=MAX_NAME_CHARS)] = None
    host: Annotated[str | None, Field(max_length=2048)] = None
    base_url: Annotated[
        str | None, Field(max_length=2048, description="Empty: the official endpoint.")
    ] = None
    api_key: Annotated[
        str | None,
        Field(
            max_length=4096,
            description="Write-only. `stored:<id>` means the stored key, for the same endpoint.",
        ),
    ] = None
    models: Annotated[
        list[ModelName] | None, Field(max_length=MAX_MODELS, description="Empty: discover them.")
    ] = None

    def given(self) -> dict[str, Any]:
        """Only what was sent and is not null, as the registry takes it."""
        return self.model_dump(exclude_unset=True, exclude_none=True)


class TryService(Body):
    """An endpoint to try, without saving anything."""

    service_type: ServiceKind
    config: ServiceConfig


class AddService(Body):
    """A service to save; the same id replaces."""

    service_id: Annotated[str, Field(min_length=1, max_length=MAX_SERVICE_ID_CHARS)]
    service_type: ServiceKind
    config: ServiceConfig


class ChangeService(Body):
    """What a service becomes."""

    service_type: ServiceKind
    config: ServiceConfig


class DefaultModel(Body):
    """The model that is used where none is named."""

    model: Id


class SaveFile(Body):
    """A file's whole new text."""

    path: Path
    content: str


class RenameFile(Body):
    """A file's present and future path; nothing is ever overwritten."""

    path: Path
    to: Path


class RestoreFile(Body):
    """A kept version to bring back; what is there now becomes a version itself."""

    path: Path
    version: Id


class AttachmentBody(Body):
    """A memory file named by its label (no content), or an upload (with content)."""

    type: Annotated[str, Field(max_length=64)] = "file"
    name: Annotated[str, Field(max_length=MAX_PATH_CHARS)]
    content: str | None = None
    size: Annotated[float | None, Field(ge=0, le=10**15, description="Bytes; not relied on.")] = (
        None
    )


class ChatBody(Body):
    """A message to answer."""

    message: str
    attachments: Annotated[list[AttachmentBody], Field(max_length=MAX_ATTACHMENTS)] = []
    model: Annotated[
        str | None, Field(max_length=MAX_ID_CHARS, description="Empty: the default model.")
    ] = None
    stream_id: Annotated[
        str | None, Field(max_length=MAX_ID_CHARS, description="What `/api/chat/stop` names.")
    ] = None
    selected_action: Annotated[
        str | None, Field(max_length=MAX_ID_CHARS, description="An action's label.")
    ] = None
    knowledge_filename: Annotated[str | None, Field(max_length=MAX_PATH_CHARS)] = None
    conversation_id: Annotated[
        str | None,
        Field(max_length=MAX_ID_CHARS, description="Empty: the message stands alone."),
    ] = None
    durable: Annotated[
        bool, Field(description="Go on when the client leaves; it comes back to the run.")
    ] = False
    keep: Annotated[
        bool, Field(description="Whether the run may be written to the disk and found later.")
    ] = True
    events: Annotated[
        Literal["typed"] | None,
        Field(description="`typed`: also thinking, context, usage, citations, service."),
    ] = None
    context: Annotated[
        Literal["auto", "given"] | None,
        Field(description="`auto`: look through memory for what bears on the message."),
    ] = None


class RenameConversation(Body):
    """What a conversation is called from now on."""

    title: Annotated[str, Field(min_length=1, max_length=MAX_TITLE_CHARS)]


class ForkConversation(Body):
    """The last message to take over into the new conversation."""

    at: Annotated[int, Field(ge=1, le=10**9, description="A message's number.")]


class ExportConversation(Body):
    """Where a conversation is written to in memory."""

    path: Annotated[
        str | None,
        Field(
            max_length=MAX_PATH_CHARS,
            description="Empty: made from the title. A number is put behind a name that is taken.",
        ),
    ] = None


class StopChat(Body):
    """The stream to end."""

    stream_id: Annotated[str, Field(max_length=MAX_ID_CHARS)]


class ExecuteAction(Body):
    """An action to run outside a chat."""

    action_id: Id
    user_input: str = ""
    attachments: Annotated[list[AttachmentBody], Field(max_length=MAX_ATTACHMENTS)] = []
    knowledge_filename: Annotated[str | None, Field(max_length=MAX_PATH_CHARS)] = None


class Previews(Body):
    """What the file to be named will hold."""

    previews: JsonValue


class SocketRequest(Body):
    """One message on `/ws/suggestions`."""

    type: Literal["files", "actions", "search"]
    query: Annotated[str, Field(max_length=MAX_QUERY_CHARS)]
    id: Annotated[str, Field(max_length=MAX_ID_CHARS)] | int | None = None
