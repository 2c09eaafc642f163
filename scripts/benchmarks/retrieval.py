"""Q2: whether a search finds what is relevant: nDCG on the CISI collection, over plain BM25.

The collection (1,460 abstracts, 112 questions, judgements) comes in the SMART format: ``.I``
begins a record, ``.T``, ``.A``, ``.W``, ``.X`` its parts. Relevance is yes or no; nDCG is that of
Järvelin and Kekäläinen (2002) with a logarithm of base 2. Both sides are asked the whole question.

The baseline counts a word as often as the question holds it, as BM25 does; counting each word once
would be weaker on these long questions (0.29 for 0.35).
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

import tantivy

from scripts.benchmarks.bench import Bench
from scripts.benchmarks.processes import Served, daemon
from scripts.benchmarks.samples import ratio_interval
from scripts.benchmarks.table import Goal, Row

DEPTH = 10
MAX_CHARS = 2000
MAX_TOKEN_BYTES = 80
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
    """Q2: without any model.

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
    ours = _ask_daemon(bench, documents, questions, relevant)
    yield Row(
        "Q2",
        "nDCG@10 of content search over plain BM25",
        sum(ours) / len(ours),
        sum(baseline) / len(baseline),
        "",
        Goal("ratio", 1.1, at_most=False),
        f"{len(questions)} questions",
        interval=ratio_interval([list(zip(ours, baseline, strict=True))], bench.options.seed),
    )


def _read(path: Path) -> str:
    return path.read_text("latin-1")


def _ask_daemon(
    bench: Bench,
    documents: Mapping[int, str],
    questions: Mapping[int, str],
    relevant: Mapping[int, set[int]],
) -> list[float]:
    home = bench.new_home()
    notes = home / "notes"
    notes.mkdir()
    for number, text in documents.items():
        (notes / f"{number}.txt").write_text(text, "utf-8")
    with daemon(home, notes) as served:
        served.await_contents()
        return [ndcg(_search(served, text), relevant[number]) for number, text in questions.items()]


def _search(served: Served, question: str) -> list[int]:
    address = served.query("/api/search", q=question[:MAX_CHARS], limit=DEPTH)
    hits = served.request("GET", address)["hits"]
    return [int(hit["path"].partition(".")[0]) for hit in hits]
