from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from sgoped.memory.document import Kind
from sgoped.memory.labels import label, resolve
from sgoped.memory.scanner import Entry
from sgoped.memory.table import PathTable


def table_of(paths: Sequence[str]) -> PathTable:
    table = PathTable()
    for path in paths:
        directory, _, name = path.rpartition("/")
        table.add(directory, Entry(name, "file", 0, 0, 0, 0), Kind.TEXT)
    return table


def shortest(paths: Sequence[str]) -> str:
    return min(paths, key=len)


def test_a_unique_name_is_its_own_label() -> None:
    table = table_of(["src/foo.py", "src/bar.py"])
    assert label(table, "src/foo.py") == "foo.py"


def test_namesakes_are_told_apart_by_as_much_of_the_path_as_needed() -> None:
    table = table_of(["a/x/f.py", "b/x/f.py", "b/y/f.py", "f.py"])
    assert label(table, "b/y/f.py") == "y/f.py"
    assert label(table, "a/x/f.py") == "a/x/f.py"
    assert label(table, "f.py") == "f.py"


def test_a_binary_namesake_does_not_count() -> None:
    table = table_of(["a/f"])
    table.add("b", Entry("f", "file", 0, 0, 0, 0), Kind.BINARY)
    assert label(table, "a/f") == "f"


def test_a_binary_file_s_whole_path_is_no_label_of_another() -> None:
    table = table_of(["a/f"])
    table.add("", Entry("f", "file", 0, 0, 0, 0), Kind.BINARY)
    assert label(table, "a/f") == "a/f"


def test_a_name_that_reads_as_an_id_is_labelled_by_its_own() -> None:
    table = table_of(["f:a.py", "a.py"])
    assert label(table, "f:a.py") == "f:a.py"
    assert label(table, "a.py") == "a.py"


def test_many_namesakes_are_labelled_by_their_whole_path() -> None:
    table = table_of([f"p{i}/__init__.py" for i in range(100)])
    assert label(table, "p7/__init__.py") == "p7/__init__.py"


def test_names_that_look_alike_because_they_are_not_utf_8_have_labels_of_their_own() -> None:
    table = table_of(["\udcfe.txt", "\udcff.txt"])
    labels = {label(table, path) for path in ("\udcfe.txt", "\udcff.txt")}
    assert len(labels) == 2
    assert all(text.isascii() for text in labels)


part = st.sampled_from(["a", "b", "c.py", "f:a", "\udcff"])


trees = st.sets(st.lists(part, min_size=1, max_size=4).map("/".join), min_size=1, max_size=12)


@given(trees, trees)
def test_every_label_leads_back_to_its_own_path(paths: set[str], binaries: set[str]) -> None:
    table = table_of(sorted(paths))
    for path in sorted(binaries - paths):
        directory, _, name = path.rpartition("/")
        table.add(directory, Entry(name, "file", 0, 0, 0, 0), Kind.BINARY)
    for path in paths:
        text = label(table, path)
        assert resolve(table, text, shortest) == (table.find(path), False)


def test_an_ambiguous_name_is_resolved_by_preference_and_told() -> None:
    table = table_of(["a/f.py", "bb/f.py"])
    assert resolve(table, "f.py", shortest) == (table.find("a/f.py"), True)
    assert resolve(table, "./bb/f.py", shortest) == (table.find("bb/f.py"), False)
    assert resolve(table, "nothing.py", shortest) is None
    assert resolve(table, "", shortest) is None
    assert resolve(table, "b/f.py", shortest) is None
