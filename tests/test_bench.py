"""The benchmark's own arithmetic, and one figure measured end to end."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts.benchmarks.__main__ import choose
from scripts.benchmarks.figures import FIGURES
from scripts.benchmarks.queries import CLASSES, generate, key_strokes, mistype, reciprocal_rank
from scripts.benchmarks.resident import memory_mib
from scripts.benchmarks.restarting import walk
from scripts.benchmarks.retrieval import judgements, ndcg, records
from scripts.benchmarks.samples import median, percentile
from scripts.benchmarks.table import Goal, Row, render, to_json
from scripts.benchmarks.tree import beginning, collect
from tests.processes import clean_environment

REPOSITORY = Path(__file__).resolve().parents[1]
PATHS = [
    f"share/{folder}/{first}{second}_{number}.txt"
    for number, folder in enumerate(("documents", "pictures", "settings"))
    for first in ("Network", "keyboard", "window")
    for second in ("Manager", "Layout", "-colours")
]


def test_the_same_paths_and_seed_give_the_same_queries_of_every_class() -> None:
    queries = generate(PATHS, 5, seed=3)
    assert queries == generate(list(reversed(PATHS)), 5, seed=3)
    assert queries != generate(PATHS, 5, seed=4)
    assert {query.kind for query in queries} == set(CLASSES)
    assert all(query.typed and query.target in PATHS for query in queries)


def test_a_prefix_is_how_the_wanted_name_begins() -> None:
    for query in generate(PATHS, 20, seed=1, classes=("base_prefix",)):
        assert query.target.rpartition("/")[2].lower().startswith(query.typed)


def test_without_distinct_names_there_are_no_queries() -> None:
    assert generate([], 5, seed=1) == []
    assert generate([f"{folder}/__init__.py" for folder in "abc"], 5, seed=1) == []


@given(st.randoms(use_true_random=False), st.text("abc", min_size=3, max_size=9))
def test_a_typo_is_one_edit(random: Random, word: str) -> None:
    typed = mistype(random, word)
    assert abs(len(typed) - len(word)) <= 1
    assert typed[0] == word[0]


def test_key_strokes_are_the_beginnings_of_what_is_typed() -> None:
    queries = generate(PATHS, 1, seed=1, classes=("two_words",))
    typed = queries[0].typed
    strokes = key_strokes(queries)
    assert strokes[0] == typed[0]
    assert strokes[-1] == typed
    assert len(strokes) == len(typed) - 1
    assert all(typed.startswith(stroke) for stroke in strokes)


def test_a_namesake_in_a_folder_of_the_same_name_counts_as_found() -> None:
    assert reciprocal_rank(["x/y.py", "b/src/foo.py"], "a/src/foo.py") == 1 / 2
    assert reciprocal_rank(["b/lib/foo.py"], "a/src/foo.py") == 0


@given(st.lists(st.floats(-1e6, 1e6), min_size=1))
def test_half_of_the_samples_lie_on_either_side_of_the_median(samples: list[float]) -> None:
    middle = median(samples)
    assert sum(sample < middle for sample in samples) <= len(samples) / 2
    assert sum(sample > middle for sample in samples) <= len(samples) / 2


def test_a_percentile_is_the_nearest_rank() -> None:
    samples = [float(number) for number in range(1, 101)]
    assert percentile(samples, 0.99) == 99
    assert percentile(samples, 1.0) == 100
    assert percentile([5.0], 0.5) == 5
    with pytest.raises(ValueError, match="no samples"):
        percentile([], 0.5)


def test_the_table_tells_ratio_goal_and_verdict() -> None:
    rows = [
        Row("P1", "a thing", 3.0, 2.0, "ms", Goal("ratio", 1.5)),
        Row("P4", "another", 6.0, 2.0, "ms", Goal("difference", 3.0), "by far"),
        Row("P10", "a third", 0.5, 0.4, "s", Goal("value", 0.7)),
        Row("Q1", "more is better", 0.5, 1.0, "", Goal("ratio", 1.0, at_most=False)),
    ]
    assert [row.met for row in rows] == [True, False, True, False]
    header, *lines = render(rows).split("\n")
    assert header.split() == ["id", "what", "ours", "baseline", "ratio", "goal"]
    assert lines[0].split()[-4:] == ["1.50x", "<=", "1.5x", "met"]
    assert lines[1].endswith("3.00x  <= +3 ms  MISSED  (by far)")
    assert json.loads(to_json(rows, files=3))["rows"][2]["goal"] == "<= 0.7 s"


def test_a_ratio_to_nothing_is_infinite() -> None:
    assert math.isinf(Row("P1", "a thing", 3.0, 0.0, "ms", Goal("ratio", 1.5)).ratio)


def test_figures_are_chosen_by_id_and_by_name() -> None:
    assert [figure.id for figure in choose(["p8", "P1", ""])] == ["P1", "P8"]
    assert [figure.id for figure in choose([""])] == [each.id for each in FIGURES if each.usual]
    with pytest.raises(ValueError, match="no figure P99"):
        choose(["P99"])


def test_paths_are_sampled_alike_each_time_without_hidden_ones(tmp_path: Path) -> None:
    root = tmp_path / "root"
    for name in ("a.txt", "b/c.txt", "b/d.txt", ".git/config", "b/.hidden", "umläut.txt"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("text")
    everything = collect([root], 10, seed=1)
    assert set(everything) == {"root/a.txt", "root/b/c.txt", "root/b/d.txt"}
    assert len(collect([root], 2, seed=1)) == 2
    assert collect([root], 2, seed=1) == collect([root], 2, seed=1)
    assert walk(root) == 8


def test_contents_are_the_beginning_of_a_text_and_a_line_for_anything_else(tmp_path: Path) -> None:
    text, binary = tmp_path / "text", tmp_path / "binary"
    text.write_text("ä line\n" * 1000)
    binary.write_bytes(b"\0\1\2")
    begun = beginning(text)
    assert 0 < len(begun) <= 2048
    assert begun.decode().startswith("ä line\n")
    assert beginning(binary) == b"about binary\n"


def test_memory_is_read_from_the_status_of_a_process() -> None:
    assert memory_mib("Name:\tx\nVmRSS:\t  2048 kB\n") == 2
    with pytest.raises(ValueError, match="no VmHWM"):
        memory_mib("Name:\tx\n", "VmHWM")


def test_a_collection_in_the_smart_format_is_read() -> None:
    text = ".I 1\n.T\nA title\n.A\nSomebody\n.W\nSome\n words\n.X\n1 5 1\n.I 2\n.W\nOthers\n"
    assert records(text, "TW") == {1: "A title\nSome\n words\n", 2: "Others\n"}
    assert judgements("  1   28\t0\t0.0\n  1   35\t0\t0.0\n 2 7 0 0") == {1: {28, 35}, 2: {7}}


def test_gain_is_full_for_the_best_order_and_falls_with_the_place() -> None:
    assert ndcg([1, 2, 9], {1, 2}) == 1
    assert 0 < ndcg([9, 1], {1}) < ndcg([1, 9], {1}) == 1
    assert ndcg([9], set()) == 0


def test_a_figure_is_measured_end_to_end(home: Path, tmp_path: Path) -> None:
    words = tmp_path / "words"
    words.mkdir()
    for number in range(40):
        (words / f"word_{number}.txt").write_text(f"about number {number}\n")
    made, results = tmp_path / "temporary", tmp_path / "rows.json"
    made.mkdir()
    command = [sys.executable, "-P", "-m", "scripts.benchmarks", "--quick", "--only", "P8"]
    command += ["--files", "30", "--root", str(words), "--json", str(results)]
    environment = clean_environment(home)
    environment |= {"TMPDIR": str(made), "PYTHONPATH": str(REPOSITORY)}
    told = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert told.returncode == 0, told.stderr
    rows = json.loads(results.read_text())["rows"]
    assert [row["id"] for row in rows] == ["P8", "P8"]
    assert all(math.isfinite(row["ratio"]) and row["ratio"] > 0 for row in rows)
    assert "saved -> suggested by name" in told.stdout
    assert len(list(made.iterdir())) == 1  # the folder of real paths, kept for the next run
