"""What an action is: the Protocol that plug-ins fulfil, and the values that go in and out.

A package offers an action through the entry-point group ``sgoped.actions``: the entry point names
a class (or any callable without arguments) that makes an ``Action``. The built-in ones come
through the same door.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

from sgoped.config import Settings
from sgoped.llm import Message


@dataclass(frozen=True, slots=True)
class Source:
    """A text that a person sent along with an action.

    Attributes:
        name: The upload's name, or the memory file's label.
        content: All of its text.
        origin: Whether it was uploaded or lies in memory already.
    """

    name: str
    content: str
    origin: Literal["upload", "memory"]


@dataclass(frozen=True, slots=True)
class ActionRequest:
    """What a person asks of an action.

    Attributes:
        text: What they typed, verbatim, without the leading ``/command``.
        sources: Uploads and memory files, in the order given, each once.
        filename: The name they gave for what is made, unchecked.
        missing: What they referred to and could not be had, one line each, with the reason.
    """

    text: str
    sources: tuple[Source, ...] = ()
    filename: str | None = None
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ActionResult:
    """What an action did.

    Attributes:
        data: For programs; anything that JSON can hold.
        text: For the person, in plain words; never empty.
        prompt: When set and a model is usable, its answer to this is shown instead of ``text``.
    """

    data: dict[str, Any]
    text: str
    prompt: str | None = None


class Saved(Protocol):
    """A file that an action saved."""

    @property
    def path(self) -> str:
        """Where it lies, relative to the memory folder."""

    @property
    def etag(self) -> str:
        """What its content is told from another one by."""


class Asks(Protocol):
    """What can be asked of a model."""

    async def complete(self, messages: Sequence[Message]) -> str | None:
        """A model's whole answer; ``None`` when no model is usable, or it failed."""

    async def context_tokens(self) -> int:
        """The window of the model that ``complete`` asks, in tokens."""


class Tools(Asks, Protocol):
    """What an action may use. Every path is checked below; nothing existing is overwritten."""

    @property
    def settings(self) -> Settings:
        """What the person configured."""

    async def add_text(self, name: str, content: str) -> Saved:
        """Save a new file in the memory folder, as ``name_2`` and so on where ``name`` is taken.

        On return its bytes are on the disk.

        Raises:
            PathRefused: The name is not a file name.
            TooLarge: The content is over the limit.
            StorageError: The disk refused.
        """

    async def replace_text(self, saved: Saved, content: str) -> Saved:
        """Give a file that this action saved a new content, unless somebody changed it meanwhile.

        Raises:
            Conflict: It was changed, or is not a file that this action saved.
            TooLarge: The content is over the limit.
            StorageError: The disk refused.
        """

    async def rename(self, saved: Saved, name: str) -> Saved:
        """Give a file that this action saved another name, ``name_2`` and so on where it is taken.

        Raises:
            Conflict: It is not a file that this action saved.
            NotFound: It is gone.
            PathRefused: The name is not a file name.
            StorageError: The disk refused.
        """

    async def enrich_later(self, saved: Saved, recipe: dict[str, Any]) -> str:
        """Have a file that this action saved completed once a model answers; see ``later``.

        Returns:
            The id under which it waits; empty when it will not be done.

        Raises:
            Conflict: It is not a file that this action saved.
        """


@runtime_checkable
class Action(Protocol):
    """Something that a ``/command`` does.

    Attributes:
        name: Unique, lower-case letters, digits, ``_`` and ``-``: id, label and command.
        description: One line for the menu.
        category: A group for menus, such as ``memory``.
        tags: More words it is found by.
    """

    name: str
    description: str
    category: str
    tags: tuple[str, ...]

    async def run(self, request: ActionRequest, tools: Tools) -> ActionResult:
        """Do it.

        May be cancelled at any await; what must not be lost has to be saved first.

        Raises:
            SgopedError: With a message for the person.
        """
