"""The list of what can be measured."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from scripts.benchmarks.bench import Bench
from scripts.benchmarks.indexing import measure_first_indexing
from scripts.benchmarks.loop_gaps import measure_gaps
from scripts.benchmarks.ranking import measure_ranking
from scripts.benchmarks.relaying import measure_burst, measure_paced
from scripts.benchmarks.resident import measure_resident
from scripts.benchmarks.restarting import measure_restart, measure_start
from scripts.benchmarks.retrieval import measure_retrieval
from scripts.benchmarks.saving import measure_saving
from scripts.benchmarks.scaling import measure_scaling
from scripts.benchmarks.suggesting import (
    measure_prefixes,
    measure_strokes_http,
    measure_strokes_socket,
)
from scripts.benchmarks.table import Row


class Figure(NamedTuple):
    """Something to measure.

    Attributes:
        id: What ``--only`` takes.
        title: What ``--help`` says.
        measure: Takes the samples.
        usual: Whether it is measured when nothing is asked for.
    """

    id: str
    title: str
    measure: Callable[[Bench], Iterator[Row]]
    usual: bool = True


FIGURES = (
    # First, since its baseline is taken before and after the one first indexing of a run.
    Figure("P7", "first indexing over a minimal loop on the same bodies", measure_first_indexing),
    Figure("P1", "WebSocket suggestion over an echo on the same server", measure_prefixes),
    Figure("P2", "key strokes of six classes over the WebSocket", measure_strokes_socket),
    Figure("P3", "the same over HTTP GET", measure_strokes_http),
    Figure(
        "P4", "2,000 tokens at once through the daemon over reading them directly", measure_burst
    ),
    Figure("P5", "ten paced streams, likewise", measure_paced),
    Figure("P6", "restart over a folder that did not change, over a bare walk", measure_restart),
    Figure("P8", "a saved file is suggested and found", measure_saving),
    Figure("P9", "resident memory over the imports alone", measure_resident),
    Figure("P10", "start until healthy, and a client verb", measure_start),
    Figure("P11", "how long the event loop is held up", measure_gaps, usual=False),
    Figure("S1", "suggestions among 1,000 to a million files", measure_scaling, usual=False),
    Figure("Q1", "ranking of suggestions over fzf and substring", measure_ranking, usual=False),
    Figure("Q2", "content search over plain BM25", measure_retrieval, usual=False),
)
