"""What a message brings along: uploads and memory files, from attachments and ``@name``."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from sgoped.errors import InvalidInput, NotFound, SgopedError
from sgoped.memory import Document, Kind, Memory
from sgoped.prompts import ContextSource, Why, find_references, one_line

MAX_ATTACHMENTS = 200
MAX_MEMORY_BYTES = 128 * 1024 * 1024
MAX_FOLDER_ENTRIES = 500
MAX_EARLIER = 20

_REASON_CHARS = 300
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Attachment:
    """Something sent along with a message.

    Attributes:
        name: An upload's name; without content a memory file's label, path or id.
        content: An upload's text.
        size: Bytes, as the client counts them; not relied on.
    """

    name: str
    content: str | None = None
    size: int | None = None


@dataclass(frozen=True, slots=True)
class Gathered:
    """What a message brings along, read.

    Attributes:
        sources: Every upload and memory file, each once, in the order given.
        missing: Attachments that could not be had, one line each, with the reason.
        unknown: ``@name`` in the text that names nothing, likewise; perhaps not meant as a file.
        notes: How a reference was understood where it could mean several files.
    """

    sources: tuple[ContextSource, ...]
    missing: tuple[str, ...]
    unknown: tuple[str, ...]
    notes: tuple[str, ...]


async def gather_context(
    memory: Memory, text: str, attachments: Sequence[Attachment], *, earlier: Sequence[str] = ()
) -> Gathered:
    """Read everything that a message refers to. What cannot be had is told, not raised.

    Args:
        memory: Where files are read.
        text: The message.
        attachments: What was sent along with it.
        earlier: Paths of files that earlier messages referred to, the newest first.

    Raises:
        InvalidInput: There are more attachments than any message can mean.
    """
    if len(attachments) > MAX_ATTACHMENTS:
        raise InvalidInput(
            f"a message has {len(attachments)} attachments; {MAX_ATTACHMENTS} is the most"
        )
    reader = _Reader(memory)
    for attachment in attachments:
        if attachment.content is not None:
            reader.add_upload(attachment.name, attachment.content)
        else:
            await reader.add_file(attachment.name, reader.missing, "attached")
    names = [attachment.name for attachment in attachments]
    references = await asyncio.to_thread(find_references, text, names) if "@" in text else []
    for reference in references:
        if reference.name not in names:
            await reader.add_file(reference.name, reader.unknown, "referenced")
    for path in list(dict.fromkeys(earlier))[:MAX_EARLIER]:
        await reader.add_earlier(path)
    return reader.gathered()


async def run_in_thread(work: Callable[[Callable[[], bool]], _T]) -> _T:
    """Do ``work(should_stop)`` in a thread; when the caller is cancelled, ``should_stop`` is true.

    Work that takes seconds of Python would otherwise go on unwanted and hold up the shutdown.
    """
    stopped = threading.Event()
    try:
        return await asyncio.to_thread(work, stopped.is_set)
    except asyncio.CancelledError:
        stopped.set()
        raise


class _Reader:
    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self._sources: dict[tuple[str, str, str], ContextSource] = {}
        self._bytes = 0
        self.missing: list[str] = []
        self.unknown: list[str] = []
        self._notes: list[str] = []

    def gathered(self) -> Gathered:
        return Gathered(
            tuple(self._sources.values()),
            _distinct(self.missing),
            _distinct(self.unknown),
            _distinct(self._notes),
        )

    def add_upload(self, name: str, content: str) -> None:
        source = ContextSource(name or "upload", content, "upload")
        self._sources.setdefault(("upload", name, content), source)

    async def add_file(self, reference: str, missing: list[str], why: Why) -> None:
        try:
            document = await self._memory.resolve(reference)
            if await self._add(document, why):
                self._note_choice(reference, document)
                self._memory.note_use(document.path)
        except SgopedError as error:
            missing.append(f"{one_line(reference)}: {error.message[:_REASON_CHARS]}")

    async def add_earlier(self, path: str) -> None:
        try:
            document = await self._memory.resolve(path.rstrip("/"))
            if document.shown_path != path.rstrip("/"):  # another file's name ends likewise
                raise NotFound("it is not there any more")
            await self._add(document, "history")
        except SgopedError as error:
            reason = error.message[:_REASON_CHARS]
            self._notes.append(f"{one_line(path)}, referred to earlier, is left out: {reason}")

    async def _add(self, document: Document, why: Why) -> bool:
        key = ("memory", document.path, "")
        if key in self._sources:
            return False
        self._sources[key] = await self._read(document, why)
        return True

    async def _read(self, document: Document, why: Why) -> ContextSource:
        label = self._memory.label(document)
        path = document.shown_path
        if document.kind is Kind.FOLDER:
            listing = await self._listing(document)
            return ContextSource(label, listing, "memory", f"{path}/", why)
        if document.kind is Kind.IMAGE:
            raise InvalidInput("it is an image; only text can be sent along")
        if self._bytes + document.size > MAX_MEMORY_BYTES:
            raise InvalidInput(f"more than {MAX_MEMORY_BYTES >> 20} MiB of files in one message")
        file = await self._memory.read_text(document.id)
        self._bytes += file.size
        return ContextSource(label, file.content, "memory", path, why)

    async def _listing(self, folder: Document) -> str:
        start = f"{folder.shown_path}/"
        _, states = await asyncio.to_thread(
            self._memory.file_states, "", start, MAX_FOLDER_ENTRIES + 1, start, hidden=False
        )
        paths = [state.path for state in states if state.path.startswith(start)]
        more = "\nand more" if len(paths) > MAX_FOLDER_ENTRIES else ""
        listed = "\n".join(one_line(path) for path in paths[:MAX_FOLDER_ENTRIES])
        return f"A folder; the files in it, names only:\n{listed or '(none)'}{more}\n"

    def _note_choice(self, reference: str, document: Document) -> None:
        exact = {document.id, document.path, document.shown_path, self._memory.label(document)}
        if reference.removeprefix("./").strip("/") not in exact:
            self._notes.append(
                f"{one_line(reference)} was taken to mean {one_line(document.shown_path)}, "
                "the one used or changed last of those called so"
            )


def _distinct(lines: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(lines))
