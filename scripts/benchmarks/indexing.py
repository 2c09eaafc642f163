"""P7: first indexing of the folder over a minimal loop of one thread on the same bodies."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import tantivy

from scripts.benchmarks.bench import Bench
from scripts.benchmarks.samples import median
from scripts.benchmarks.table import Goal, Row
from scripts.benchmarks.tree import Tree
from sgoped.config import Settings
from sgoped.memory.bodies import BodyIndex
from sgoped.memory.reading import BodyReader

WRITER_HEAP_BYTES = 50_000_000


def index_barely(tree: Tree, directory: Path) -> float:
    """Seconds to read every file, index its text under its path, and commit."""
    builder = tantivy.SchemaBuilder()
    builder.add_text_field("path", tokenizer_name="raw")
    builder.add_text_field("body", tokenizer_name="default", index_option="freq")
    schema = builder.build()
    directory.mkdir()
    started_at = time.perf_counter()
    index = tantivy.Index(schema, path=str(directory))
    writer = index.writer(WRITER_HEAP_BYTES, 1)
    for path in tree.paths:
        text = (tree.root / path).read_bytes().decode("utf-8", "replace")
        writer.add_document(tantivy.Document.from_dict({"path": path, "body": text}, schema))
    writer.commit()
    index.reload()
    return time.perf_counter() - started_at


def index_contents(tree: Tree, directory: Path) -> float:
    """Seconds to do the same as the daemon does it; it also scans, names and keeps a catalogue."""
    max_bytes = int(Settings.model_fields["max_index_bytes"].default)
    started_at = time.perf_counter()
    index = BodyIndex(directory)
    with BodyReader(tree.root, max_bytes) as reader:
        for pid, path in enumerate(tree.paths):
            text = reader.read(path).text
            if text:
                index.add_text(pid, path, text)
    index.commit()
    seconds = time.perf_counter() - started_at
    index.close()
    return seconds


def measure_first_indexing(bench: Bench) -> Iterator[Row]:
    """P7: the baseline is taken before and after, the daemon's only first indexing between."""
    place = bench.new_home()
    bench.say("P7: a minimal index of the same bodies")
    bare = [index_barely(bench.tree, place / "before")]
    contents = [index_contents(bench.tree, place / "contents_before")]
    seconds = bench.indexed.seconds
    contents.append(index_contents(bench.tree, place / "contents_after"))
    bare.append(index_barely(bench.tree, place / "after"))
    count = len(bench.tree.paths)
    yield Row(
        "P7",
        "first indexing, names and bodies",
        count / seconds,
        count / median(bare),
        "files/s",
        Goal("ratio", 0.8, at_most=False),
        f"{seconds:.1f} s from the start of the process",
    )
    yield Row(
        "P7",
        "the contents alone, in one thread",
        count / median(contents),
        count / median(bare),
        "files/s",
        Goal("ratio", 0.8, at_most=False),
        "read and added as the daemon does it",
    )
