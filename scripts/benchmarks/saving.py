"""P8: from a file being saved to its being suggested by name and found by a word."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from random import Random

import aiohttp
import tantivy

from scripts.benchmarks.bench import Bench
from scripts.benchmarks.samples import median
from scripts.benchmarks.suggesting import Socket, files_message
from scripts.benchmarks.table import Goal, Row
from sgoped.config import Settings

FOUND_SECONDS = 20.0
LOOK_SECONDS = 0.002
MS = 1e3
_LETTERS = "abcdefghijklmnopqrstuvwxyz"


class BareIndex:
    """The least that tantivy needs for a document to be found."""

    def __init__(self, directory: Path) -> None:
        builder = tantivy.SchemaBuilder()
        builder.add_text_field("name", tokenizer_name="default")
        builder.add_text_field("body", tokenizer_name="default")
        self._schema = builder.build()
        directory.mkdir()
        self._index = tantivy.Index(self._schema, path=str(directory))
        self._index.config_reader("manual")
        self._writer = self._index.writer(15_000_000, 1)

    def add(self, name: str, body: str) -> float:
        """Seconds for one document, its commit and the reload."""
        started_at = time.perf_counter()
        document = tantivy.Document.from_dict({"name": name, "body": body}, self._schema)
        self._writer.add_document(document)
        self._writer.commit()
        self._index.reload()
        return time.perf_counter() - started_at


def measure_saving(bench: Bench) -> Iterator[Row]:
    """P8: medians over a quiet delay, a bare commit and a reload."""
    rounds = bench.samples(40, 8)
    quiet_seconds = float(Settings.model_fields["quiet_seconds"].default)
    bare = BareIndex(bench.new_home() / "bare")
    with bench.daemon() as served, asyncio.Runner() as runner:
        bench.say("P8: saving files")
        bench.tree.scratch.mkdir()
        saver = _Saver(bench.tree.scratch, bare, Random(bench.options.seed))
        runner.run(saver.save_all(served.url, rounds))
    baseline = (quiet_seconds + median(saver.bare)) * MS
    note = f"{rounds} saves; quiet {quiet_seconds * MS:g} ms + commit {median(saver.bare) * MS:.1f}"
    for what, seconds in (("suggested by name", saver.named), ("found by a word", saver.found)):
        yield Row(
            "P8",
            f"saved -> {what}, p50",
            median(seconds) * MS,
            baseline,
            "ms",
            Goal("ratio", 1.5),
            note,
        )


class _Saver:
    """Saves files one after the other and asks until they are found."""

    def __init__(self, folder: Path, bare: BareIndex, random: Random) -> None:
        self._folder = folder
        self._bare_index = bare
        self._random = random
        self.named: list[float] = []
        self.found: list[float] = []
        self.bare: list[float] = []

    async def save_all(self, url: str, rounds: int) -> None:
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(f"{url}/ws/suggestions") as opened,
        ):
            socket = Socket(opened)
            for _ in range(rounds):
                await self._save(socket)

    def _word(self) -> str:
        return "".join(self._random.choices(_LETTERS, k=14))

    async def _save(self, socket: Socket) -> None:
        name, word = self._word(), self._word()
        body = f"A note of the benchmark.\nIt speaks of {word}.\n"
        self.bare.append(self._bare_index.add(name, body))
        path = self._folder / f"{name}.txt"
        path.write_text(body)
        saved_at = time.perf_counter()
        search = json.dumps({"type": "search", "query": word})
        wanted = {files_message(name): self.named, search: self.found}
        async with asyncio.timeout(FOUND_SECONDS):
            while wanted:
                for message, seconds in list(wanted.items()):
                    await socket.ask(message)
                    if path.name in socket.answer:
                        seconds.append(time.perf_counter() - saved_at)
                        del wanted[message]
                await asyncio.sleep(LOOK_SECONDS)
        with suppress(FileNotFoundError):
            path.unlink()
