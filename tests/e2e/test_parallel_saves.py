"""Many who save at once, large files, and clients that leave, over HTTP, from a real daemon."""

from __future__ import annotations

import json
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tests.processes import DaemonProcess

WRITERS = 50
BIG_BYTES = 32 * 2**20


def save(daemon: DaemonProcess, path: str, content: str, etag: str = "") -> tuple[int, Any]:
    headers = {"If-Match": f'"{etag}"'} if etag else None
    body = {"path": path, "content": content}
    return daemon.request("POST", "/api/files/content", body, headers=headers)


def kept(daemon: DaemonProcess, path: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = daemon.request("GET", f"/api/files/versions?path={path}")[1]
    return found


def blobs(daemon: DaemonProcess) -> list[Path]:
    return list((daemon.home / "data" / "versions").rglob("*.blob"))


def test_of_fifty_saves_of_one_state_exactly_one_wins(shared: DaemonProcess, folder: Path) -> None:
    etag = save(shared, "raced.md", "start\n")[1]["etag"]
    contents = [f"writer {number}\n" * 500 for number in range(WRITERS)]
    with ThreadPoolExecutor(WRITERS) as pool:
        answers = list(pool.map(lambda text: save(shared, "raced.md", text, etag), contents))
    assert sorted(status for status, _ in answers) == [200] + [409] * (WRITERS - 1)
    (winner,) = [answer for status, answer in answers if status == 200]
    text = (folder / "raced.md").read_text()
    assert text in contents
    assert len(text) == winner["size"]
    assert [version["size"] for version in kept(shared, "raced.md")] == [len("start\n")]


def test_fifty_saves_without_condition_are_all_kept(shared: DaemonProcess, folder: Path) -> None:
    contents = [f"unconditional {number}\n" * 500 for number in range(WRITERS)]
    with ThreadPoolExecutor(WRITERS) as pool:
        answers = list(pool.map(lambda text: save(shared, "all.md", text), contents))
    assert {status for status, _ in answers} == {200}
    found = {blob.read_text() for blob in blobs(shared)} | {(folder / "all.md").read_text()}
    assert set(contents) <= found
    assert len(kept(shared, "all.md")) == WRITERS - 1


def test_a_file_at_the_limit_is_saved_kept_and_restored(
    shared: DaemonProcess, folder: Path
) -> None:
    line = "a line of a file as large as may be\n"
    content = (line * (BIG_BYTES // len(line) + 1))[:BIG_BYTES]
    assert save(shared, "big.md", content)[0] == 200
    too_big = save(shared, "big.md", content + "x")
    assert (too_big[0], too_big[1]["code"]) == (413, "too_large")
    version = save(shared, "big.md", "small\n")[1]["version"]
    body = {"path": "big.md", "version": version}
    assert shared.request("POST", "/api/files/restore", body)[1]["size"] == BIG_BYTES
    assert (folder / "big.md").read_text() == content


def test_a_client_that_leaves_in_mid_save_leaves_old_or_new_whole(
    shared: DaemonProcess, folder: Path
) -> None:
    old, new = "old\n" * 1000, "new\n" * 200_000
    body = json.dumps({"path": "left.md", "content": new}).encode()
    head = (
        f"POST /api/files/content HTTP/1.1\r\nHost: localhost:{shared.port}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode()
    for sent in (0, 1, len(body) // 2, len(body) - 1, len(body)):
        assert save(shared, "left.md", old)[0] == 200
        with socket.create_connection(("127.0.0.1", shared.port)) as client:
            client.sendall(head + body[:sent])
        # Changes are made one after the other, so this one is over when another one is.
        assert save(shared, "other.md", f"{sent}\n")[0] == 200
        text = (folder / "left.md").read_text()
        assert text == old or (text == new and sent == len(body))
        assert not [path for path in folder.iterdir() if path.name.startswith(".sgoped")]
