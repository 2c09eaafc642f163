"""Q2: whether a search finds what is relevant: nDCG on the CISI collection, over plain BM25.

The collection (1,460 abstracts, 112 questions, judgements) comes in the SMART format: ``.I``
begins a record, ``.T``, ``.A``, ``.W``, ``.X`` its parts. Relevance is yes or no; nDCG is that of
Järvelin and Kekäläinen (2002) with a logarithm of base 2. Both sides are asked the whole question.

Asked again with a model that embeds (see ``embedding_server``): one that knows the collection should
find more than words do, and one that knows nothing should not spoil what words find.

The baseline counts a word as often as the question holds it, as BM25 does; counting each word once
would be weaker on these long questions (0.29 for 0.35).
"""

from __future__ import annotations

import math
import re
import time
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import tantivy

from scripts.benchmarks.bench import Bench
from scripts.benchmarks.processes import Served, child, daemon, python
from scripts.benchmarks.samples import ratio_interval
from scripts.benchmarks.table import Goal, Row

DEPTH = 10
MAX_CHARS = 2000
MAX_TOKEN_BYTES = 80
EMBED_SECONDS = 300.0
MAX_SPOILED = 0.03
_RECORD = re.compile(r"^\.I (\d+)\s*$", re.MULTILINE)
_PART = re.compile(r"^\.([TAWXB])\s*$", re.MULTILINE)


def records(text: str, parts: Collection[str]) -> dict[int, str]:
    """The wanted parts of each record of a file in the SMART format, joined by line ends."""
    pieces = _RECORD.split(text)
    found: dict[int, str] = {}
    for number, record in zip(pieces[1::2], pieces[2::2], strict=True):
        fields = _PART.split(record)
        wanted = [
            content.strip()
            for name, content in zip(fields[1::2], fields[2::2], strict=True)
            if name in parts
        ]
        found[int(number)] = "\n".join(wanted) + "\n"
    return found


def judgements(text: str) -> dict[int, set[int]]:
    """Question -> relevant documents."""
    relevant: dict[int, set[int]] = defaultdict(set)
    for line in text.splitlines():
        question, document, *_ = line.split()
        relevant[int(question)].add(int(document))
    return dict(relevant)


def ndcg(ranked: Sequence[int], relevant: Collection[int], depth: int = DEPTH) -> float:
    """Discounted gain of the first ``depth``, over the best that could be reached."""
    gain = sum(
        1 / math.log2(place + 1)
        for place, document in enumerate(ranked[:depth], start=1)
        if document in relevant
    )
    best = sum(1 / math.log2(place + 1) for place in range(1, min(depth, len(relevant)) + 1))
    return gain / best if best else 0.0


class PlainBM25:
    """tantivy's BM25 on whole documents, with the words that sgoped sees."""

    def __init__(self, documents: Mapping[int, str]) -> None:
        builder = tantivy.SchemaBuilder()
        builder.add_unsigned_field("number", indexed=True, fast=True)
        builder.add_text_field("body", tokenizer_name="words", index_option="freq")
        self._schema = builder.build()
        analyzer = tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.simple())
        analyzer = analyzer.filter(tantivy.Filter.lowercase())
        self._analyzer = analyzer.filter(tantivy.Filter.remove_long(MAX_TOKEN_BYTES)).build()
        index = tantivy.Index(self._schema)
        index.register_tokenizer("words", self._analyzer)
        writer = index.writer(15_000_000, 1)
        for number, text in documents.items():
            document = {"number": number, "body": text}
            writer.add_document(tantivy.Document.from_dict(document, self._schema))
        writer.commit()
        index.reload()
        self._searcher = index.searcher()

    def search(self, question: str) -> list[int]:
        """Numbers of the best documents for any of the words."""
        terms = Counter(self._analyzer.analyze(question[:MAX_CHARS]))
        clauses = [
            (
                tantivy.Occur.Should,
                tantivy.Query.boost_query(
                    tantivy.Query.term_query(self._schema, "body", term, "freq"), float(count)
                ),
            )
            for term, count in terms.items()
        ]
        hits = self._searcher.search(tantivy.Query.boolean_query(clauses), DEPTH).hits
        numbers = self._searcher.fast_field_values("number", [address for _, address in hits])
        return [int(number) for number in numbers if number is not None]


def measure_retrieval(bench: Bench) -> Iterator[Row]:
    """Q2: without any model, with a good one, with a bad one.

    Raises:
        RuntimeError: The collection was not given.
    """
    folder = bench.options.cisi
    if folder is None:
        raise RuntimeError("say where CISI.ALL, CISI.QRY and CISI.REL are: --cisi DIR")
    documents = records(_read(folder / "CISI.ALL"), "TAW")
    relevant = judgements(_read(folder / "CISI.REL"))
    questions = {
        number: " ".join(text.split())
        for number, text in records(_read(folder / "CISI.QRY"), "TW").items()
        if number in relevant
    }
    bench.say(f"Q2: {len(questions)} questions on {len(documents)} documents")
    plain = PlainBM25(documents)
    baseline = [ndcg(plain.search(text), relevant[number]) for number, text in questions.items()]
    notes = bench.new_home() / "notes"
    notes.mkdir()
    for number, text in documents.items():
        (notes / f"{number}.txt").write_text(text, "utf-8")

    def row(what: str, model: str, goal: Goal | None) -> Row:
        found = _ask_daemon(bench, notes, questions, model)
        ours = [ndcg(found[number], relevant[number]) for number in questions]
        return Row(
            "Q2",
            what,
            sum(ours) / len(ours),
            sum(baseline) / len(baseline),
            "",
            goal,
            f"{len(questions)} questions",
            interval=ratio_interval([list(zip(ours, baseline, strict=True))], bench.options.seed),
        )

    words = row("nDCG@10 of content search over plain BM25", "", Goal("ratio", 1.1, at_most=False))
    yield words
    yield row(
        "the same with a model that knows the collection (LSA)",
        "latent",
        Goal("ratio", round(words.ratio, 2), at_most=False),
    )
    yield row(
        "the same with a model that knows nothing (noise)",
        "noise",
        Goal("ratio", round((1 - MAX_SPOILED) * words.ratio, 2), at_most=False),
    )


def _read(path: Path) -> str:
    return path.read_text("latin-1")


def _ask_daemon(
    bench: Bench, notes: Path, questions: Mapping[int, str], model: str
) -> dict[int, list[int]]:
    """Question -> documents found by the daemon, with ``model`` unless it is empty."""
    home = bench.new_home()
    with ExitStack() as stack:
        port = ""
        if model:
            config = home / "config"
            config.mkdir()
            (config / "config.toml").write_text(f'embedding_model = "bench/{model}"\n')
            port = stack.enter_context(_embedding_server(home, notes))
        served = stack.enter_context(daemon(home, notes))
        if model:
            body = {
                "service_id": "bench",
                "service_type": "ollama",
                "config": {"name": "Bench", "host": f"http://127.0.0.1:{port}"},
            }
            served.request("POST", "/api/services/add", body)
        served.await_contents()
        if model:
            _await_vectors(served)
        return {number: _search(served, text) for number, text in questions.items()}


@contextmanager
def _embedding_server(home: Path, notes: Path) -> Iterator[str]:
    """Its port."""
    command = python("-m", "scripts.benchmarks.embedding_server", str(notes))
    with child(command, home, "embedding.log"):
        told, deadline = "", time.monotonic() + EMBED_SECONDS
        while time.monotonic() < deadline:
            told = (home / "embedding.log").read_text("utf-8", "replace")
            if told.strip().isdigit():
                yield told.strip()
                return
            time.sleep(0.05)
        raise RuntimeError(f"the embedding server did not start:\n{told[-2000:]}")


def _await_vectors(served: Served) -> None:
    told, deadline = {}, time.monotonic() + EMBED_SECONDS
    while time.monotonic() < deadline:
        told = served.request("GET", "/health")["index"]["embedding"]
        if told["state"] == "ready":
            return
        time.sleep(0.2)
    raise TimeoutError(f"not all was embedded: {told}")


def _search(served: Served, question: str) -> list[int]:
    address = served.query("/api/search", q=question[:MAX_CHARS], limit=DEPTH)
    hits = served.request("GET", address)["hits"]
    return [int(hit["path"].partition(".")[0]) for hit in hits]
