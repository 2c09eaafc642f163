from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sgoped.memory.document import Document, Kind
from sgoped.memory.scanner import Entry
from sgoped.memory.table import FileStatus, PathTable


def entry(name: str, *, folder: bool = False, size: int = 1) -> Entry:
    return Entry(name, "folder" if folder else "file", size, 10, 20, 30)


def test_a_path_is_found_by_its_pid_and_the_pid_by_its_path() -> None:
    table = PathTable()
    table.add("", entry("src", folder=True), Kind.FOLDER, FileStatus.INDEXED)
    pid = table.add("src", entry("a.py", size=7), Kind.TEXT)
    assert table.path(pid) == "src/a.py"
    assert table.find("src/a.py") == pid
    assert table.document(pid) == Document(pid, "src/a.py", Kind.TEXT, 7, 10)
    assert table.find("a.py") is None
    assert table.path(99) is None


def test_removing_a_folder_removes_all_below_it_and_pids_are_not_used_again() -> None:
    table = PathTable()
    folder = table.add("", entry("src", folder=True), Kind.FOLDER, FileStatus.INDEXED)
    inner = table.add("src", entry("deep", folder=True), Kind.FOLDER, FileStatus.INDEXED)
    leaf = table.add("src/deep", entry("a.py"), Kind.TEXT)
    assert set(table.remove(folder)) == {folder, inner, leaf}
    assert len(table) == 0
    assert table.find("src/deep/a.py") is None
    assert table.namesakes("a.py") == []
    assert table.add("", entry("b.py"), Kind.TEXT) == leaf + 1


def test_pids_that_were_free_at_the_start_are_used_again_lowest_first() -> None:
    table = PathTable()
    pids = [table.add("", entry(f"{number}"), Kind.TEXT) for number in range(6)]
    for pid in pids[1:4]:
        table.remove(pid)
    table.reclaim()
    table.remove(pids[5])
    assert [table.add("d", entry(f"new {number}"), Kind.TEXT) for number in range(4)] == [
        1,
        2,
        3,
        6,
    ]
    assert table.path(2) == "d/new 1"
    assert table.find("d/new 1") == 2
    assert table.next_pid == 7
    assert len(table) == 6


def test_a_folder_that_comes_and_goes_and_comes_again_is_found_like_any_other() -> None:
    table = PathTable()
    for number in range(3):
        folder = table.add("", entry("d", folder=True), Kind.FOLDER, FileStatus.INDEXED)
        inner = table.add("d", entry(f"{number}"), Kind.TEXT)
        assert table.path(inner) == f"d/{number}"
        assert table.children("d") == {f"{number}": inner}
        table.remove(folder)
        assert table.children("d") == {}
        assert table.find(f"d/{number}") is None


def test_a_very_deep_folder_can_be_removed() -> None:
    table = PathTable()
    directory = ""
    top = None
    for _ in range(3000):
        pid = table.add(directory, entry("d", folder=True), Kind.FOLDER, FileStatus.INDEXED)
        top = pid if top is None else top
        directory = f"{directory}/d" if directory else "d"
    assert top is not None
    assert len(table.remove(top)) == 3000
    assert len(table) == 0


def test_any_change_of_the_stat_counts_as_a_difference_even_backwards() -> None:
    table = PathTable()
    pid = table.add("", entry("a"), Kind.TEXT)
    assert not table.differs(pid, Entry("a", "file", 1, 10, 20, 30))
    for changed in (
        Entry("a", "file", 2, 10, 20, 30),
        Entry("a", "file", 1, 9, 20, 30),
        Entry("a", "file", 1, 10, 19, 30),
        Entry("a", "file", 1, 10, 20, 31),
    ):
        assert table.differs(pid, changed)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("xyz"), st.booleans())))
def test_counts_and_namesakes_always_equal_what_is_there(
    steps: list[tuple[str, str, bool]],
) -> None:
    table = PathTable()
    living: dict[str, int] = {}
    for directory, name, remove in steps:
        path = f"{directory}/{name}"
        if remove and path in living:
            table.remove(living.pop(path))
        elif path not in living:
            living[path] = table.add(directory, entry(name), Kind.TEXT)
    assert sorted(table.pids()) == sorted(living.values())
    assert table.count(Kind.TEXT) == table.visible_count == len(table) == len(living)
    assert table.status_counts[FileStatus.PENDING] == len(living)
    for name in "xyz":
        there = sorted(pid for path, pid in living.items() if path.endswith(name))
        assert sorted(table.namesakes(name)) == there


def test_settling_moves_a_file_from_one_count_to_another() -> None:
    table = PathTable()
    pid = table.add("", entry("a"), Kind.TEXT)
    table.settle(pid, Kind.BINARY, FileStatus.SKIPPED, "binary")
    assert table.kind(pid) is Kind.BINARY
    assert table.visible_count == 0
    assert table.status_counts[FileStatus.PENDING] == 0
    assert table.reasons == {pid: "binary"}
    table.settle(pid, Kind.TEXT, FileStatus.INDEXED)
    assert table.reasons == {}
