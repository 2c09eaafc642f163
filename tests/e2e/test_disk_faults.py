"""A disk that is full, read-only or broken: the right error, the old content, and then service again.

Nothing is restarted: every test goes on with the daemon that met the fault.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests import disks, processes
from tests.disks import full, read_only, small_disk
from tests.processes import DaemonProcess
from tests.tracing import straced

OLD = "the old content\n" * 100
NEW = "the new content\n" * 2000


@pytest.fixture(scope="module")
def confined(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaemonProcess]:
    """A daemon whose folder, data and versions are on small disks of their own."""
    home = tmp_path_factory.mktemp("confined") / "home"
    with contextlib.ExitStack() as stack:
        for place in ("data", "data/versions", "memory"):
            stack.enter_context(small_disk(home / place))
        daemon = processes.start(home, arguments=["--memory-dir", str(home / "memory")])
        stack.callback(daemon.kill)
        yield daemon
        assert daemon.stop() == 0
        assert "Traceback" not in daemon.log(), daemon.log()


@pytest.fixture
def folder(confined: DaemonProcess) -> Iterator[Path]:
    """Its memory folder with one file, ``a.md``, that has a version; emptied afterwards."""
    root = confined.home / "memory"
    for content in ("older\n", OLD):
        assert save(confined, "a.md", content)[0] == 200
    yield root
    for path in sorted(root.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    assert confined.request("POST", "/api/refresh", {})[0] == 200


def save(daemon: DaemonProcess, path: str, content: str) -> tuple[int, Any]:
    return daemon.request("POST", "/api/files/content", {"path": path, "content": content})


def rename(daemon: DaemonProcess, path: str, to: str) -> tuple[int, Any]:
    return daemon.request("POST", "/api/files/rename", {"path": path, "to": to})


def delete(daemon: DaemonProcess, path: str) -> tuple[int, Any]:
    return daemon.request("DELETE", f"/api/files/content?path={path}")


def restore(daemon: DaemonProcess, path: str) -> tuple[int, Any]:
    versions = daemon.request("GET", f"/api/files/versions?path={path}")[1]
    body = {"path": path, "version": versions[0]["version"]}
    return daemon.request("POST", "/api/files/restore", body)


def add_knowledge(daemon: DaemonProcess, text: str, **more: object) -> tuple[int, Any]:
    body = {"action_id": "add_knowledge", "user_input": text, **more}
    return daemon.request("POST", "/api/actions/execute", body)


def names(root: Path) -> list[str]:
    found = [str(path.relative_to(root)) for path in root.rglob("*")]
    return sorted(name for name in found if name != ".filler")


def refused(answer: tuple[int, Any], status: int, code: str) -> None:
    assert (answer[0], answer[1]["code"]) == (status, code), answer
    assert answer[1]["detail"]


def test_a_full_folder_refuses_what_needs_space_and_keeps_what_it_has(
    confined: DaemonProcess, folder: Path
) -> None:
    with full(folder):
        refused(save(confined, "a.md", NEW), 507, "storage_full")
        refused(save(confined, "new/folder/b.md", NEW), 507, "storage_full")
        refused(restore(confined, "a.md"), 507, "storage_full")
        refused(add_knowledge(confined, NEW), 507, "storage_full")
        upload = {"type": "file", "name": "upload.txt", "content": NEW, "size": len(NEW)}
        refused(add_knowledge(confined, "", attachments=[upload]), 507, "storage_full")
        assert names(folder) == ["a.md"]
        assert (folder / "a.md").read_text() == OLD
        assert confined.request("GET", "/api/files?q=a.md")[1][0]["metadata"]["path"] == "a.md"
        assert rename(confined, "a.md", "b.md")[0] == 200, "this needs no space"
        assert delete(confined, "b.md")[0] == 200, "and this makes some"
        assert names(folder) == []
    assert restore(confined, "b.md")[0] == 200
    assert (folder / "b.md").read_text() == OLD
    assert save(confined, "b.md", NEW)[0] == 200
    status, answer = add_knowledge(confined, NEW, attachments=[upload])
    assert status == 200
    assert NEW.strip() in (folder / answer["path"]).read_text()


def test_an_upload_that_finds_no_space_is_told_in_the_stream(
    confined: DaemonProcess, folder: Path
) -> None:
    body = {
        "message": "keep this",
        "selected_action": "add_knowledge",
        "model": "",
        "stream_id": "s",
        "attachments": [{"type": "file", "name": "up.txt", "content": NEW, "size": len(NEW)}],
    }
    with full(folder):
        last = stream(confined, body)[-1]
        assert last["type"] == "error"
        assert "full" in last["message"]
        assert names(folder) == ["a.md"]
    assert stream(confined, body)[-1]["type"] == "complete"
    assert any(NEW.strip() in path.read_text() for path in folder.glob("*.md"))


def stream(daemon: DaemonProcess, body: Mapping[str, object]) -> list[dict[str, Any]]:
    from sgoped.cli.client import Client  # noqa: PLC0415 - needed here only

    return list(Client(daemon.url).stream("/api/chat/stream", body))


def test_where_no_version_can_be_kept_nothing_is_overwritten_or_deleted(
    confined: DaemonProcess, folder: Path
) -> None:
    with full(confined.home / "data/versions"):
        refused(save(confined, "a.md", NEW), 507, "storage_full")
        refused(delete(confined, "a.md"), 507, "storage_full")
        refused(restore(confined, "a.md"), 507, "storage_full")
        assert names(folder) == ["a.md"]
        assert (folder / "a.md").read_text() == OLD
        assert save(confined, "new.md", "nothing is lost by this\n")[0] == 200
        assert rename(confined, "new.md", "sub/new.md")[0] == 200
    assert save(confined, "a.md", NEW)[0] == 200
    assert restore(confined, "a.md")[0] == 200
    assert (folder / "a.md").read_text() == OLD
    assert not list((confined.home / "data/versions").rglob("*.tmp"))


def test_a_full_data_directory_refuses_a_service_and_takes_it_later(
    confined: DaemonProcess, folder: Path
) -> None:
    def add(number: int) -> tuple[int, Any]:
        config = {"name": "x" * 150, "host": "http://127.0.0.1:9", "models": ["m" * 150] * 200}
        body = {"service_id": f"s{number}", "service_type": "ollama", "config": config}
        return confined.request("POST", "/api/services/add", body)

    with full(confined.home / "data"):
        answers = [add(number) for number in range(8)]
        refused(answers[-1], 507, "storage_full")
        kept = {f"s{number}" for number, answer in enumerate(answers) if answer[0] == 200}
        assert set(confined.request("GET", "/api/services")[1]) == kept
        assert save(confined, "a.md", NEW)[0] == 200, "files are elsewhere"
        body = {"message": "what is in @a.md?", "model": "", "stream_id": "", "attachments": []}
        assert stream(confined, body)[-1]["type"] in ("complete", "error")
    assert add(9)[0] == 200
    for service_id in confined.request("GET", "/api/services")[1]:
        assert confined.request("DELETE", f"/api/services/{service_id}")[0] == 200


def test_a_read_only_folder_is_told_and_forgotten(confined: DaemonProcess, folder: Path) -> None:
    with read_only(folder):
        for answer in (
            save(confined, "a.md", NEW),
            save(confined, "new/b.md", NEW),
            rename(confined, "a.md", "b.md"),
            delete(confined, "a.md"),
            restore(confined, "a.md"),
            add_knowledge(confined, NEW),
        ):
            refused(answer, 403, "read_only")
        assert confined.request("GET", "/api/files/content?path=a.md")[1]["content"] == OLD
    assert (names(folder), (folder / "a.md").read_text()) == (["a.md"], OLD)
    assert save(confined, "a.md", NEW)[0] == 200
    assert delete(confined, "a.md")[0] == 200


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaemonProcess]:
    """A daemon for which permissions count, whose system calls are made to fail."""
    home = tmp_path_factory.mktemp("plain") / "home"
    daemon = processes.start(home, wrapper=disks.unprivileged())
    try:
        yield daemon
        assert daemon.stop() == 0
        assert "Traceback" not in daemon.log(), daemon.log()
    finally:
        daemon.kill()


CODES = {
    "EIO": (500, "storage_failed"),
    "EACCES": (403, "read_only"),
    "ENOSPC": (507, "storage_full"),
}
# What fails in the memory folder itself; all that goes through its descriptor.
FAULTS = [
    ("openat", "EIO"),
    ("openat", "EACCES"),
    ("newfstatat", "EIO"),
    ("fsync", "EIO"),
    ("fsync", "ENOSPC"),
    ("renameat,renameat2", "EIO"),
    ("renameat,renameat2", "EACCES"),
    ("mkdirat,link,linkat,openat", "ENOSPC"),
]


@pytest.mark.parametrize(("calls", "error"), FAULTS)
def test_what_the_folder_refuses_is_told_and_undone(
    plain: DaemonProcess, calls: str, error: str
) -> None:
    root = plain.memory_dir
    for name in names(root):
        (root / name).unlink()
    assert save(plain, "a.md", OLD)[0] == 200
    before = plain.request("GET", "/api/files/versions?path=a.md")[1]
    with straced(plain.process.pid, "-P", str(root), "-e", f"inject={calls}:error={error}"):
        for answer in (
            save(plain, "a.md", NEW),
            delete(plain, "a.md"),
            rename(plain, "a.md", "b.md"),
        ):
            refused(answer, *CODES[error])
        assert plain.request("GET", "/health")[0] == 200
    assert (names(root), (root / "a.md").read_text()) == (["a.md"], OLD)
    assert plain.request("GET", "/api/files/versions?path=a.md")[1] == before
    assert save(plain, "a.md", NEW)[0] == 200
    assert rename(plain, "a.md", "b.md")[0] == 200
    assert delete(plain, "b.md")[0] == 200


@pytest.mark.parametrize(("call", "error"), [("write", "EIO"), ("fsync", "EIO"), ("close", "EIO")])
def test_what_any_file_refuses_the_first_time_tears_nothing(
    plain: DaemonProcess, call: str, error: str
) -> None:
    """Of every thread, so that the new content, its version and state.db are met."""
    root = plain.memory_dir
    for name in names(root):
        (root / name).unlink()
    assert save(plain, "a.md", OLD)[0] == 200
    only = ["-P", str(root), "-P", str(plain.home / "data/versions")] if call == "close" else []
    with straced(plain.process.pid, *only, "-e", f"inject={call}:error={error}:when=1"):
        status, answer = save(plain, "a.md", NEW)
    assert (root / "a.md").read_text() == (NEW if status == 200 else OLD)
    assert status == 200 or answer["code"] == "storage_failed"
    assert names(root) == ["a.md"]
    assert save(plain, "a.md", NEW)[0] == 200
    assert restore(plain, "a.md")[0] == 200
    assert (root / "a.md").read_text() == OLD


def test_a_folder_without_permission_is_told(plain: DaemonProcess) -> None:
    root = plain.memory_dir
    for name in names(root):
        (root / name).unlink()
    (root / "closed").mkdir()
    (root / "closed/a.md").write_text(OLD)
    (root / "closed").chmod(0o555)
    try:
        for answer in (
            save(plain, "closed/a.md", NEW),
            save(plain, "closed/b.md", NEW),
            save(plain, "closed/sub/b.md", NEW),
            delete(plain, "closed/a.md"),
            rename(plain, "closed/a.md", "b.md"),
        ):
            refused(answer, 403, "read_only")
        assert names(root) == ["closed", "closed/a.md"]
        (root / "closed/a.md").chmod(0)
        refused(plain.request("GET", "/api/files/content?path=closed/a.md"), 403, "read_only")
        refused(save(plain, "closed/a.md", NEW), 403, "read_only")
    finally:
        (root / "closed").chmod(0o755)
        (root / "closed/a.md").chmod(0o644)
    assert (root / "closed/a.md").read_text() == OLD
    assert save(plain, "closed/a.md", NEW)[0] == 200
    assert rename(plain, "closed", "open")[0] == 200
    assert delete(plain, "open/a.md")[0] == 200
