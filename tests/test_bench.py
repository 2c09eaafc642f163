"""The benchmark's own arithmetic, and one figure measured end to end."""

from __future__ import annotations

import itertools
import json
import math
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from random import Random
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts.benchmarks.__main__ import choose
from scripts.benchmarks.figures import FIGURES
from scripts.benchmarks.finding import Fzf, Substring
from scripts.benchmarks.latent import Latent, noise
from scripts.benchmarks.plot import RESULTS
from scripts.benchmarks.plot import main as plot
from scripts.benchmarks.queries import (
    CLASSES,
    LITERAL_CLASSES,
    beginnings,
    generate,
    key_strokes,
    mistype,
    reciprocal_rank,
    split_words,
)
from scripts.benchmarks.ranking import compare
from scripts.benchmarks.resident import memory_mib
from scripts.benchmarks.restarting import walk
from scripts.benchmarks.retrieval import PlainBM25, judgements, ndcg, records
from scripts.benchmarks.samples import median, percentile, ratio_interval
from scripts.benchmarks.scaling import (
    Resources,
    Timed,
    memory_row,
    processor_seconds,
    rows_of,
    typed_by_class,
)
from scripts.benchmarks.suggesting import without_repeats
from scripts.benchmarks.svg import Scale, decades, spread
from scripts.benchmarks.table import Goal, Row, render, summarise, to_json
from scripts.benchmarks.tree import HALVES, beginning, collect, half_of, open_extended_tree
from scripts.benchmarks.varying import exchanged, extend, rank_words, vary
from tests.processes import clean_environment

REPOSITORY = Path(__file__).resolve().parents[1]
PATHS = [
    f"share/{folder}/{first}{second}_{number}.txt"
    for number, folder in enumerate(("documents", "pictures", "settings"))
    for first in ("Network", "keyboard", "window")
    for second in ("Manager", "Layout", "-colours")
]


def test_the_baseline_counts_a_word_as_often_as_it_is_asked() -> None:
    plain = PlainBM25({1: "one here", 2: "two here", 3: "neither"})
    assert plain.search("one one two") == [1, 2]
    assert plain.search("one two two") == [2, 1]
    assert plain.search("...") == []


def test_the_same_paths_and_seed_give_the_same_queries_of_every_class() -> None:
    queries = generate(PATHS, 5, seed=3)
    assert queries == generate(list(reversed(PATHS)), 5, seed=3)
    assert queries != generate(PATHS, 5, seed=4)
    assert {query.kind for query in queries} == set(CLASSES)
    assert all(query.typed and query.target in PATHS for query in queries)


def test_a_prefix_is_how_the_wanted_name_begins() -> None:
    for query in generate(PATHS, 20, seed=1, classes=("base_prefix",)):
        assert query.target.rpartition("/")[2].lower().startswith(query.typed)


def test_a_literal_query_is_in_the_name_and_a_scattered_one_in_order_in_the_path() -> None:
    for query in generate(PATHS, 20, seed=1, classes=LITERAL_CLASSES):
        assert query.typed in query.target.rpartition("/")[2].lower()
    for query in generate(PATHS, 20, seed=1, classes=("subseq",)):
        letters = iter(query.target.lower())
        assert all(letter in letters for letter in query.typed)


def test_two_words_are_of_the_folder_and_of_the_name_in_either_order() -> None:
    folder_first = set()
    for query in generate(PATHS, 20, seed=1, classes=("two_words",)):
        directory, _, name = query.target.rpartition("/")
        first, second = query.typed.split()
        folder_first.add(first in split_words(directory))
        folder, word = (first, second) if first in split_words(directory) else (second, first)
        assert folder in split_words(directory)
        assert any(each.startswith(word) for each in split_words(name))
    assert folder_first == {True, False}


def test_without_distinct_names_there_are_no_queries() -> None:
    assert generate([], 5, seed=1) == []
    assert generate([f"{folder}/__init__.py" for folder in "abc"], 5, seed=1) == []


@given(st.randoms(use_true_random=False), st.text("abc", min_size=3, max_size=9))
def test_a_typo_is_one_edit(random: Random, word: str) -> None:
    typed = mistype(random, word)
    assert abs(len(typed) - len(word)) <= 1
    assert typed[0] == word[0]


def test_a_typo_of_swapped_letters_changes_the_word_wherever_two_neighbours_differ() -> None:
    typed = {mistype(Random(seed), "aabb") for seed in range(200)}
    assert "abab" in typed
    assert "aabb" not in typed


def test_key_strokes_are_the_beginnings_of_what_is_typed() -> None:
    queries = generate(PATHS, 1, seed=1, classes=("two_words",))
    typed = queries[0].typed
    strokes = key_strokes(queries)
    assert strokes[0] == typed[0]
    assert strokes[-1] == typed
    assert len(strokes) == len(typed) - 1
    assert all(typed.startswith(stroke) for stroke in strokes)


def test_first_letters_are_asked_once() -> None:
    queries = generate(PATHS, 20, seed=1)
    letters = beginnings(queries, 2, 100)
    assert len(letters) == len(set(letters)) > 3
    assert {len(each) for each in letters} == {2}
    assert beginnings(queries, 1, 2) == beginnings(queries, 1, 100)[:2]
    everything = typed_by_class(PATHS, 5, seed=1)
    assert set(everything) == {"one_letter", "two_letters", *CLASSES}
    typed = [each for queries in everything.values() for each in queries]
    assert len(typed) == len(set(typed))
    assert without_repeats({"a": ["x", "x"], "b": ["y", "x"]}) == {"a": ["x"], "b": ["y"]}


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


@given(st.lists(st.floats(0.1, 1), min_size=1, max_size=50), st.floats(0.5, 2))
def test_the_interval_of_a_constant_ratio_is_that_ratio(samples: list[float], by: float) -> None:
    low, high = ratio_interval([[(by * sample, sample) for sample in samples]], 1, resamples=50)
    assert low == pytest.approx(by)
    assert high == pytest.approx(by)


def test_an_interval_holds_the_ratio_and_shrinks_with_more_samples() -> None:
    random = Random(1)

    def pairs(count: int) -> list[tuple[float, float]]:
        return [(random.random() * 2, random.random()) for _ in range(count)]

    widths = []
    for count in (20, 2000):
        low, high = ratio_interval([pairs(count), pairs(count)], seed=1, resamples=300)
        assert low < 2 < high
        widths.append(high - low)
    assert widths[1] < widths[0] / 3
    with pytest.raises(ValueError, match="no samples"):
        ratio_interval([[]], seed=1)


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
    summary = summarise(rows).split("\n")
    assert summary[0] == "2 of 4 goals are missed:"
    assert summary[1:] == [
        "  P4  another: 4.000 ms more, goal <= +3 ms",
        "  Q1  more is better: 0.50x, goal >= 1x",
    ]
    assert summarise(rows[:1]) == "all 1 goals are met"


def test_a_figure_without_a_goal_is_only_told() -> None:
    row = Row("S1", "memory", 3.0, 2.0, "MiB", None, interval=(1.25, 1.75), facts={"files": 9})
    assert row.met
    assert render([row]).split("\n")[1].endswith("1.50x [1.25, 1.75]")
    told = json.loads(to_json([row]))["rows"][0]
    assert told["interval"] == [1.25, 1.75]
    assert told["facts"] == {"files": 9}
    assert summarise([row]) == "all 0 goals are met"


def test_a_ratio_to_nothing_is_infinite_and_null_to_other_programs() -> None:
    row = Row("P1", "a thing", 3.0, 0.0, "ms", Goal("ratio", 1.5))
    assert math.isinf(row.ratio)
    assert json.loads(to_json([row]))["rows"][0]["ratio"] is None


def test_figures_are_chosen_by_id_and_by_name() -> None:
    assert [figure.id for figure in choose(["p8", "P1", ""])] == ["P1", "P8"]
    assert [figure.id for figure in choose([""])] == [each.id for each in FIGURES if each.usual]
    assert choose(["all"]) == list(FIGURES)
    assert [figure.id for figure in choose(["ranking", "scaling"])] == ["S1", "Q1"]
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


def test_the_two_halves_share_no_directory(tmp_path: Path) -> None:
    root = tmp_path / "root"
    for number in range(20):
        (root / f"folder_{number}").mkdir(parents=True)
        for name in ("a", "b"):
            (root / f"folder_{number}" / name).write_text("text")
    halves = [set(collect([root], 100, 1, half)) for half in HALVES]
    assert all(halves)
    assert halves[0] | halves[1] == set(collect([root], 100, seed=1))
    assert not halves[0] & halves[1]
    assert all(
        half_of(path) == name for name, half in zip(HALVES, halves, strict=True) for path in half
    )


names = st.lists(
    st.text("abcABC12_-./", min_size=1, max_size=20), min_size=1, max_size=20, unique=True
)


@given(names, st.integers(1, 5))
def test_a_variation_keeps_paths_apart_and_the_shape_of_each(paths: list[str], shift: int) -> None:
    exchange = exchanged(rank_words(paths), shift)
    varied = [vary(path, exchange) for path in paths]
    assert len(set(varied)) == len(paths)
    for path, other in zip(paths, varied, strict=True):
        assert [shape(char) for char in path] == [shape(char) for char in other]


def shape(char: str) -> str:
    return ("A" if char.isupper() else "a") if char.isalpha() else char


def test_there_are_as_many_paths_as_wanted_the_real_ones_first() -> None:
    extended = extend(PATHS, 100)
    assert extended[: len(PATHS)] == PATHS
    assert len(set(extended)) == 100
    assert extended[len(PATHS)].startswith("v2/")
    assert extended[-1].startswith("v4/")
    assert extend(PATHS, 3) == PATHS[:3]
    assert extend([], 3) == []


def test_a_folder_of_more_files_than_there_are_holds_the_words_of_their_paths(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    root = tmp_path / "root"
    for path in PATHS:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text("text")
    with open_extended_tree([root], 50, seed=1) as tree:
        assert len(tree.paths) == 50
        assert all((tree.root / path).read_text().startswith("about ") for path in tree.paths)
        first = (tree.root / tree.paths[0]).read_text()
        assert first.split()[1:] == list(split_words(tree.paths[0]))
    with open_extended_tree([root], 50, seed=1) as again:
        assert again == tree


def test_contents_are_the_beginning_of_a_text_and_a_line_for_anything_else(tmp_path: Path) -> None:
    text, binary = tmp_path / "text", tmp_path / "binary"
    text.write_text("ä line\n" * 1000)
    binary.write_bytes(b"\0\1\2")
    begun = beginning(text)
    assert 0 < len(begun) <= 2048
    assert begun.decode().startswith("ä line\n")
    assert beginning(binary) == b"about binary\n"


def test_substring_search_is_tried_in_three_orders() -> None:
    paths = ["b/water/x", "a/long/name/Waterfall", "a/underwater/readme.txt", "none"]
    found = Substring(paths).find("WATER")
    assert found == {
        "as grep": ["a/long/name/Waterfall", "a/underwater/readme.txt", "b/water/x"],
        "shortest first": ["b/water/x", "a/long/name/Waterfall", "a/underwater/readme.txt"],
        "names first": ["a/long/name/Waterfall", "b/water/x", "a/underwater/readme.txt"],
    }
    assert len(Substring([f"a/{number}" for number in range(30)]).find("a/")["names first"]) == 10


def test_fzf_is_asked_each_query_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that finds what grep does, and notes that it was asked, stands in for fzf."""
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "fzf").write_text(
        "#!/bin/sh\n"
        'case "$1" in --version) echo 1.2 "(test)"; exit;; esac\n'
        f'echo "$2" >> {tmp_path}/asked\n'
        'exec grep -F -- "${2#--filter=}"\n'
    )
    (tools / "fzf").chmod(0o700)
    environment = {"PATH": f"{tools}:/usr/bin:/bin"}
    monkeypatch.setenv("PATH", environment["PATH"])
    fzf = Fzf(["a/b.txt", "a/c.txt"], tmp_path, environment)
    assert fzf.version == "1.2"
    assert fzf.find(["b.t", "zzz", "b.t"]) == {"b.t": ["a/b.txt"], "zzz": []}
    assert Fzf(["a/b.txt", "a/c.txt"], tmp_path, environment).find(["b.t"])["b.t"] == ["a/b.txt"]
    assert sorted((tmp_path / "asked").read_text().split()) == ["--filter=b.t", "--filter=zzz"]
    assert Fzf(["b.txt"], tmp_path, environment).find(["b.t"]) == {"b.t": ["b.txt"]}
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RuntimeError, match="not installed"):
        Fzf([], tmp_path, environment)


def test_ranks_are_compared_overall_and_by_class() -> None:
    ours = {"typo": [1.0, 1.0], "substr": [0.5, 0.5]}
    rows = list(compare(ours, {"typo": [0.5, 0.5], "substr": [1.0, 0.0]}, seed=1))
    assert [row.facts["kind"] for row in rows] == ["all classes", "substr", "typo"]
    assert [row.ratio for row in rows] == [1.5, 1.0, 2.0]
    assert rows[2].interval == (2.0, 2.0)
    assert [row.goal_text for row in rows] == [">= 1.35x", ">= 1x", ">= 1x"]


def test_a_round_trip_is_judged_whole_and_http_by_what_it_adds() -> None:
    ours, nothing, cpu = [0.0012] * 99 + [0.015], [0.0004] * 100, [0.0003] * 100
    whole = list(rows_of(1000, Timed("substr", "WebSocket", ours, nothing, cpu)))
    added = list(rows_of(1000, Timed("substr", "HTTP", ours, nothing, cpu)))
    assert [row.goal_text for row in whole] == ["<= 1 ms", "<= 15 ms"]
    assert [row.met for row in whole] == [False, True]
    assert [row.met for row in added] == [True, True]
    assert [row.facts["cpu_ms"] for row in whole] == [pytest.approx(0.3)] * 2
    typo = list(rows_of(1000, Timed("typo", "WebSocket", ours, nothing, cpu)))
    assert [row.goal_text for row in typo] == ["", "<= 15 ms"]


def test_a_scale_reaches_from_edge_to_edge() -> None:
    scale = Scale(1, 100, 200, 0, logarithmic=True)
    assert [scale.place(value) for value in (0.1, 1, 10, 100, 1e9)] == [200, 200, 100, 0, 0]
    assert Scale(0, 4, 10, 30).place(1) == 15
    assert decades(0.2, 30) == pytest.approx([0.1, 1, 10, 100])
    assert decades(10, 10) == pytest.approx([10, 100])


@given(st.lists(st.floats(0, 100), min_size=1, max_size=8))
def test_labels_are_moved_apart_in_their_order(places: list[float]) -> None:
    moved = spread(places, 13)
    order = sorted(range(len(places)), key=places.__getitem__)
    assert all(moved[b] - moved[a] > 12.9 for a, b in itertools.pairwise(order))


def test_graphs_are_drawn_of_the_results_that_there_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert plot(["--results", str(tmp_path)]) == 1
    assert "no results" in capsys.readouterr().err
    rows = [
        row
        for files in (1000, 10_000)
        for kind in ("one_letter", "typo")
        for row in rows_of(files, Timed(kind, "WebSocket", [files / 1e7], [0.0002], [0.0001]))
    ]
    rows += [memory_row(files, Resources(80.0, 40.0, 3.0, 1.0), 70.0) for files in (1000, 10_000)]
    (tmp_path / "scaling.json").write_text(to_json(rows))
    assert plot(["--results", str(tmp_path)]) == 0
    assert [path.name for path in tmp_path.glob("*.svg")] == ["scaling.svg"]
    ranks = {kind: [1.0, 0.5] for kind in CLASSES}
    ranked = list(compare(ranks, {kind: [0.5, 0.0] for kind in CLASSES}, seed=1))
    (tmp_path / "ranking-b.json").write_text(to_json(ranked, tree="<B>", files=2000))
    assert plot(["--results", str(tmp_path)]) == 0
    drawn = {path.name: path.read_text() for path in tmp_path.glob("*.svg")}
    for text in drawn.values():
        assert ET.fromstring(text).tag == "{http://www.w3.org/2000/svg}svg"
        assert "NaN" not in text
    assert "p50 1" in drawn["scaling.svg"]
    assert "10k" in drawn["scaling.svg"]
    assert "&lt;B&gt;, 2,000 paths" in drawn["ranking.svg"]
    (tmp_path / "scaling.json").write_text("[]")
    with pytest.raises(ValueError, match="not written by"):
        plot(["--results", str(tmp_path)])


def test_the_saved_graphs_are_those_of_the_saved_results(tmp_path: Path) -> None:
    for path in RESULTS.glob("*.json"):
        shutil.copy(path, tmp_path)
    assert plot(["--results", str(tmp_path)]) == 0
    for path in RESULTS.glob("*.svg"):
        assert path.read_text() == (tmp_path / path.name).read_text(), "run scripts/plot"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="as is the figure")
def test_the_processor_time_of_a_process_is_that_of_its_own_clock() -> None:
    before = time.process_time()
    assert before <= processor_seconds(os.getpid()) <= time.process_time()


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


def test_figures_are_measured_end_to_end(home: Path, tmp_path: Path) -> None:
    words = tmp_path / "words"
    words.mkdir()
    for number, word in enumerate(("keyboard", "network", "window", "colour") * 10):
        (words / f"{word}_layout_{number}.txt").write_text(f"about number {number}\n")
    made, results = tmp_path / "temporary", tmp_path / "results"
    made.mkdir()
    results.mkdir()
    environment = clean_environment(home)
    environment |= {"TMPDIR": str(made), "PYTHONPATH": str(REPOSITORY)}

    def run(*arguments: str) -> str:
        command = [sys.executable, "-P", "-m", *arguments]
        told = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert told.returncode == 0, told.stderr
        return told.stdout

    saved = results / "scaling.json"
    told = run(
        *("scripts.benchmarks", "--quick", "--only", "P8,scaling", "--files", "30"),
        *("--sizes", "20,60", "--root", str(words), "--json", str(saved)),
    )
    rows = json.loads(saved.read_text())["rows"]
    assert {row["id"] for row in rows} == {"P8", "S1"}
    assert all(math.isfinite(row["ratio"]) and row["ratio"] > 0 for row in rows)
    assert "saved -> suggested by name" in told
    assert {row["facts"]["files"] for row in rows if row["facts"]} == {20, 60}
    assert "30 files of words, seed 1" in told
    run("scripts.benchmarks.plot", "--results", str(results))
    assert (results / "scaling.svg").exists()
    assert len(list(made.iterdir())) == 1  # the folders of paths, kept for the next run
    run("scripts.benchmarks", "--clean")
    assert not list(made.iterdir())


def test_words_of_the_same_company_are_near_in_the_latent_space() -> None:
    texts = [
        *("the engine of the automobile needs oil", "an automobile has wheels and an engine"),
        *("the engine of the car needs wheels", "a car with oil in its engine"),
        *("roses and tulips bloom in the garden", "water the garden of tulips in spring"),
        *("roses like water in spring", "prune roses in the garden"),
    ]
    one, other = Latent(texts, 2), Latent(texts, 2)

    def near(first: str, second: str) -> float:
        pair = one.vector(first), one.vector(second)
        product = sum(x * y for x, y in zip(*pair, strict=True))
        return product / math.hypot(*pair[0]) / math.hypot(*pair[1])

    assert near("car", "automobile") > 0.9
    assert abs(near("car", "tulips")) < 0.3
    assert one.vector("an automobile") == other.vector("an automobile")
    assert one.vector("xyzzy") == noise("xyzzy", one.dimensions)
