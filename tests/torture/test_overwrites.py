"""While a file is overwritten over and over, whoever reads it sees one of its contents, whole."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from tests.conftest import NoteFigure
from tests.processes import DaemonProcess
from tests.scale import Scale


def content(number: int) -> str:
    return f"{number:06d}\n" * 2000


class Reader:
    """Reads until told to stop, and notes which contents it saw."""

    def __init__(self, read: Callable[[], str], over: threading.Event) -> None:
        self._read = read
        self._over = over
        self.seen: list[int] = []

    def run(self) -> None:
        while not self._over.is_set():
            text = self._read()
            number = int(text[:6])
            assert text == content(number)
            self.seen.append(number)


def test_readers_never_see_half_a_file(
    daemon: DaemonProcess, scale: Scale, note_figure: NoteFigure
) -> None:
    def save(number: int) -> None:
        body = {"path": "read.md", "content": content(number)}
        assert daemon.request("POST", "/api/files/content", body)[0] == 200

    def read_api() -> str:
        return str(daemon.request("GET", "/api/files/content?path=read.md")[1]["content"])

    save(0)
    over = threading.Event()
    by_disk = Reader((daemon.memory_dir / "read.md").read_text, over)
    by_api = Reader(read_api, over)
    with ThreadPoolExecutor(2) as pool:
        running = [pool.submit(reader.run) for reader in (by_disk, by_api)]
        try:
            for number in range(1, scale.overwrites):
                save(number)
        finally:
            over.set()
        for reader in running:
            reader.result()
    contents = len({*by_disk.seen, *by_api.seen})
    assert contents > 10
    reads = len(by_disk.seen) + len(by_api.seen)
    note_figure(
        f"{reads} reads during {scale.overwrites} overwrites saw {contents} contents, whole"
    )
