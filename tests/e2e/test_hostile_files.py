"""What may lie in a memory folder: links out of it, pipes, devices, names that are no names."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import socket
import stat
import threading
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import pytest

from sgoped.memory.document import document_id
from tests.e2e.page import Page, text_of
from tests.processes import DaemonProcess

SECRET = "planted-canary-77e0"
SECONDS = 30
SWAPS = 60
NAMES = (
    b"not utf-8 \xff.md",
    b"lone surrogate \xed\xa0\x80.md",
    b"new\nline.md",
    b"carriage\rreturn.md",
    b"tab\t.md",
    b"escape\x1b[31m.md",
    b"back\\slash.md",
    "bidi \u202egpj.md".encode(),
    "zero\u200bwidth.md".encode(),
    unicodedata.normalize("NFC", "caf\u00e9 composed.md").encode(),
    unicodedata.normalize("NFD", "caf\u00e9 composed.md").encode(),
    b"-rf --no-preserve-root.md",
    b" leading space.md",
    b"trailing space.md ",
    b"quote'\"`$(id).md",
    b"percent%2e%2e%2f.md",
    b"a?b#c&d=e.md",
    b"C:name.md",
    b"nul",
    b"x" * 252 + b".md",
    "\u00e9".encode() * 126 + b".md",
)


class Outside(NamedTuple):
    """A folder beside the memory folder, with a canary in it."""

    folder: Path
    canary: Path

    def state(self) -> dict[str, bytes | str]:
        return {
            str(path.relative_to(self.folder)): path.read_bytes() if path.is_file() else "folder"
            for path in self.folder.rglob("*")
        }


@pytest.fixture
def outside(tmp_path: Path) -> Outside:
    canary = tmp_path / "outside" / "canary.md"
    canary.parent.mkdir()
    canary.write_text(f"{SECRET} content\n")
    return Outside(canary.parent, canary)


@pytest.fixture
def traps(folder: Path, outside: Outside) -> Iterator[list[str]]:
    """Things that are not files, by their paths; each leads to the canary or would block."""
    place = folder / "traps"
    place.mkdir()
    (place / "link.md").symlink_to(outside.canary)
    (place / "relative.md").symlink_to(os.path.relpath(outside.canary, place))
    (place / "folder").symlink_to(outside.folder, target_is_directory=True)
    (place / "first.md").symlink_to("second.md")
    (place / "second.md").symlink_to("third.md")
    (place / "third.md").symlink_to(outside.canary)
    (place / "dangling.md").symlink_to(outside.folder / "not yet there.md")
    (place / "loop.md").symlink_to("loop.md")
    os.mkfifo(place / "pipe.md")
    paths = [
        *("link.md", "relative.md", "folder/canary.md", "folder/new.md", "first.md", "third.md"),
        *("dangling.md", "loop.md", "pipe.md", "socket.md"),
    ]
    with contextlib.suppress(OSError):  # a container may not allow it
        os.mknod(place / "zero.md", stat.S_IFCHR | 0o666, os.makedev(1, 5))
        paths.append("zero.md")
    with socket.socket(socket.AF_UNIX) as listening, contextlib.chdir(place):
        listening.bind("socket.md")
        yield [f"traps/{path}" for path in paths]
    for path in place.iterdir():
        path.unlink()
    place.rmdir()


async def attempts(page: Page, path: str) -> list[str]:
    """Everything that can be asked of a path; the texts of the answers."""
    calls: list[tuple[str, str, Any, dict[str, str]]] = [
        ("GET", "/api/files/content", None, {"path": path}),
        ("GET", "/api/files/versions", None, {"path": path}),
        ("POST", "/api/files/content", {"path": path, "content": "overwritten"}, {}),
        ("POST", "/api/files/restore", {"path": path, "version": "some"}, {}),
        ("POST", "/api/files/rename", {"path": path, "to": "traps/moved.md"}, {}),
        ("POST", "/api/files/rename", {"path": "kept.md", "to": path}, {}),
        ("DELETE", "/api/files/content", None, {"path": path}),
    ]
    texts = []
    for method, address, body, params in calls:
        async with page.session.request(
            method, page.url + address, json=body, params=params, headers=page.headers()
        ) as response:
            texts.append(await response.text())
            listed = address == "/api/files/versions" and response.status == 200
            assert listed or response.status in range(400, 500), (method, address, path, texts[-1])
    attached = [{"type": "file", "name": path}]
    told = [
        text_of(await page.chat("hello", attachments=attached, selected_action=action))
        for action in ("", "add_knowledge")
    ]
    return texts + told


async def test_what_is_no_file_is_neither_read_nor_written_nor_waited_for(
    page: Page, folder: Path, outside: Outside, traps: list[str]
) -> None:
    await page.post("/api/files/content", {"path": "kept.md", "content": "kept"})
    await page.post("/api/refresh", {})
    before = outside.state()
    there = sorted(path.name for path in (folder / "traps").iterdir())
    texts = []
    for path in traps:
        for name in (path, document_id(path)):
            async with asyncio.timeout(SECONDS):
                texts += await attempts(page, name)
    for address in ("/api/files", "/api/files?q=canary", "/api/search?q=planted", "/api/index"):
        texts.append(str(await page.get(address)))
    assert SECRET not in "\n".join([*texts, *page.seen])
    assert outside.state() == before
    assert sorted(path.name for path in (folder / "traps").iterdir()) == there
    assert (folder / "kept.md").read_text() == "kept"


async def test_links_and_pipes_are_in_no_list(page: Page, folder: Path, traps: list[str]) -> None:
    (folder / "traps" / "real.md").write_text("real\n")
    await page.post("/api/refresh", {})
    listed = [item["metadata"]["path"] for item in await page.get("/api/files")]
    assert "traps/real.md" in listed
    assert not set(traps) & set(listed)
    assert not [path for path in listed if path.startswith("traps/folder")]


async def test_a_folder_that_is_swapped_for_a_link_meanwhile_leads_nowhere(
    page: Page, folder: Path, outside: Outside
) -> None:
    real, link = folder / "swapped", folder / "link"
    real.mkdir()
    (real / "canary.md").write_text("harmless\n")
    link.symlink_to(outside.folder, target_is_directory=True)
    before = outside.state()
    done = threading.Event()

    def swap() -> None:
        while not done.wait(0.0005):
            exchange(real, link)

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        async with asyncio.timeout(SECONDS):
            for number in range(SWAPS):
                await poke(page, number)
    finally:
        done.set()
        thread.join()
    assert SECRET not in "\n".join(page.seen)
    assert outside.state() == before
    folders = [path for path in (real, link) if not path.is_symlink()]
    assert [(path / "canary.md").read_text() for path in folders] == ["harmless\n"]
    link.unlink() if link.is_symlink() else real.unlink()


def exchange(one: Path, other: Path) -> None:
    """Swap two names in one step, so that both are always there."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.renameat2(-100, os.fsencode(one), -100, os.fsencode(other), 2) != 0:
        raise OSError(ctypes.get_errno(), "renameat2")


async def poke(page: Page, number: int) -> None:
    """Read and write below the folder that is being swapped; any answer but a 5xx will do."""
    body = {"path": f"swapped/new{number}.md", "content": "written"}
    read = page.session.get(
        f"{page.url}/api/files/content",
        params={"path": "swapped/canary.md"},
        headers=page.headers(),
    )
    write = page.session.post(f"{page.url}/api/files/content", json=body, headers=page.headers())
    for call in (read, write):
        async with call as response:
            text = await response.text()
            page.seen.append(text)
            assert response.status < 500, text


async def test_every_name_that_a_disk_can_hold_is_listed_and_read_by_its_id(
    page: Page, session: aiohttp.ClientSession, shared: DaemonProcess, folder: Path
) -> None:
    place = folder / "names"
    place.mkdir()
    contents = {}
    for number, name in enumerate(NAMES):
        path = os.path.join(os.fsencode(place), name)  # noqa: PTH118 - bytes
        with open(path, "wb") as file:  # noqa: PTH123 - bytes
            file.write(b"content %d\n" % number)
        contents[document_id(os.fsdecode(b"names/" + name))] = f"content {number}\n"
    await page.post("/api/refresh", {})
    listed = await page.get("/api/files")
    found = {item["id"]: item for item in listed if item["id"] in contents}
    assert set(found) == set(contents), "each once, by an id of its own"
    assert len({item["label"] for item in found.values()}) == len(contents)
    for file_id, content in contents.items():
        answer = await page.get("/api/files/content", path=file_id)
        assert answer["content"] == content
        events = await page.chat("hello", attachments=[{"type": "file", "name": file_id}])
        assert events[-1]["type"] == "complete"
    assert "\x1b[31m" not in shared.log()
    async with session.get(f"{shared.url}/") as response:
        assert response.status == 200
