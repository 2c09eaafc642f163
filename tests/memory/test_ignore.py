from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sgoped.memory.hidden import is_hidden
from sgoped.memory.ignore import IgnoreReader, IgnoreRules, Patterns
from sgoped.memory.scanner import is_ignored, scan_tree


def rules(*lines: str, at: str = "") -> IgnoreRules:
    return IgnoreRules().for_directory(at, Patterns(lines))


def plant(root: Path, files: dict[str, str]) -> None:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)


def kept(root: Path) -> set[str]:
    return {
        f"{directory}/{entry.name}" if directory else entry.name
        for directory, entries in scan_tree(root)
        for entry in entries
        if entry.mode_kind == "file"
    }


def test_hidden_names_begin_with_a_dot() -> None:
    assert is_hidden(".env")
    assert not is_hidden("a.env")


def test_no_rules_are_false_and_ignore_nothing() -> None:
    assert not IgnoreRules()
    assert not rules("# comment", "", "   ")
    assert not IgnoreRules().ignores("a", "b", is_folder=False)


@pytest.mark.parametrize(
    ("line", "directory", "name", "is_folder", "ignored"),
    [
        ("*.log", "deep/down", "x.log", False, True),
        ("/x.log", "deep", "x.log", False, False),
        ("/x.log", "", "x.log", False, True),
        ("build/", "src", "build", True, True),
        ("build/", "src", "build", False, False),
        ("doc/*.txt", "doc", "a.txt", False, True),
        ("doc/*.txt", "doc/sub", "a.txt", False, False),
        ("doc/**/a.txt", "doc/x/y", "a.txt", False, True),
        ("**/cache", "a/b", "cache", True, True),
        ("logs/**", "", "logs", True, False),
        ("logs/**", "logs/deep", "x", False, True),
        ("**/logs/**", "my-logs", "x", False, False),
        ("**/logs/**", "a/b/logs", "x", False, True),
        ("a/**/b/**/c", "a/x/b/y/b/z", "c", False, True),
        ("a/**/b/**/c", "a/x/bb/z", "c", False, False),
        ("**/a/**/b", "x/ya/b", "b", False, False),
        ("fo?", "", "foo", False, True),
        ("[ab].c", "", "b.c", False, True),
        ("[z-a]", "", "z", False, False),
        ("trailing   ", "", "trailing", False, True),
        ("escaped\\   ", "", "escaped ", False, True),
        ("**\x1d", "", "a.md", False, False),
        ("tab\t", "", "tab", False, False),
        ("windows\r", "", "windows", False, True),
        ("\\#hash", "", "#hash", False, True),
        ("\\!bang", "", "!bang", False, True),
        ("crlf\r", "", "crlf", False, True),
        ("nul\0byte", "", "nul", False, True),
        ("[[a&&b]", "", "[", False, True),
        ("new*line", "", "new\nline", False, True),
    ],
)
def test_patterns_mean_what_git_says(
    line: str, directory: str, name: str, is_folder: bool, ignored: bool
) -> None:
    assert rules(line).ignores(directory, name, is_folder=is_folder) is ignored


def test_the_last_matching_line_wins() -> None:
    some = rules("*.txt", "!keep.txt", "keep.t*")
    assert some.ignores("", "keep.txt", is_folder=False)
    assert not rules("*", "!*/", "!*.txt").ignores("a", "b.txt", is_folder=False)
    assert not rules("*", "!*/", "!*.txt").ignores("", "a", is_folder=True)


def test_deeper_rules_win_over_shallower_ones() -> None:
    some = rules("*.txt").for_directory("a", Patterns(["!x.txt", "/y.md"]))
    assert not some.ignores("a", "x.txt", is_folder=False)
    assert some.ignores("a", "z.txt", is_folder=False)
    assert some.ignores("a", "y.md", is_folder=False)
    assert not some.ignores("a/b", "y.md", is_folder=False)


def test_bad_lines_are_left_out_and_the_rest_counts() -> None:
    some = rules("[", "\\", "a[", "***", "!", "/", "//", "[z-a]", "good")
    assert some.ignores("", "good", is_folder=False)


def test_a_pattern_made_to_backtrack_answers_all_the_same() -> None:
    name = "a" * 250 + "c"
    assert not rules("*a*a*a*a*a*a*a*a*a*a*b").ignores("", name, is_folder=False)
    assert rules("*a*a*a*a*a*a*a*a*a*a*c").ignores("", name, is_folder=False)
    assert not rules("x/**/*a*a*a*a*a*a*a*a*b").ignores("x", name, is_folder=False)
    assert rules("x/**/*a*a*a*a*a*a*a*a*c").ignores("x", name, is_folder=False)
    deep = "/".join("a" * 60)
    for start in ("", "**/"):
        assert not rules(start + "a/**/" * 20 + "b").ignores(deep, "c", is_folder=False)
        assert rules(start + "a/**/" * 20 + "b").ignores(deep, "b", is_folder=False)
        assert not rules(start + "a/**/" * 61 + "b").ignores(deep, "b", is_folder=False)


def test_an_ignore_file_made_to_hold_things_up_is_read_in_part() -> None:
    some = rules("x" * 5_000, *(f"f{number}" for number in range(6_000)))
    assert some.ignores("", "f1", is_folder=False)
    assert not some.ignores("", "f5999", is_folder=False)


def test_nothing_below_an_ignored_directory_comes_back(tmp_path: Path) -> None:
    plant(tmp_path, {".gitignore": "out/\n!out/keep.txt\n", "out/keep.txt": "", "in.txt": ""})
    plant(tmp_path, {"out/.gitignore": "!keep.txt\n"})
    assert kept(tmp_path) == {".gitignore", "in.txt"}


def test_our_own_ignore_file_overrides_gits(tmp_path: Path) -> None:
    plant(tmp_path, {".gitignore": "*.log\n", ".sgopedignore": "!a.log\nsecret*\n"})
    plant(tmp_path, {"a.log": "", "b.log": "", "secret.txt": "", "x.txt": ""})
    assert kept(tmp_path) == {".gitignore", ".sgopedignore", "x.txt", "a.log"}


def test_ignore_files_above_the_root_and_links_to_some_do_not_count(tmp_path: Path) -> None:
    root = tmp_path / "root"
    plant(tmp_path, {".gitignore": "*\n", "rules": "*\n", "root/a.txt": ""})
    (root / ".gitignore").symlink_to(tmp_path / "rules")
    assert kept(root) == {"a.txt"}


def test_a_fifo_for_an_ignore_file_does_not_block(tmp_path: Path) -> None:
    plant(tmp_path, {"a.txt": ""})
    os.mkfifo(tmp_path / ".gitignore")
    assert kept(tmp_path) == {"a.txt"}


def test_an_ignore_file_with_a_mark_and_undecodable_bytes_is_read(tmp_path: Path) -> None:
    (tmp_path / ".gitignore").write_bytes(b"\xef\xbb\xbf*.log\r\n\xff.txt\n")
    plant(tmp_path, {"a.log": "", "b.txt": "", "\udcff.txt": ""})
    assert kept(tmp_path) == {".gitignore", "b.txt"}


def test_a_changed_ignore_file_is_noticed_by_a_shared_reader(tmp_path: Path) -> None:
    reader = IgnoreReader()
    plant(tmp_path, {".gitignore": "a\n"})
    assert is_ignored(tmp_path, "a", ignore=reader)
    plant(tmp_path, {".gitignore": "b\n"})
    assert not is_ignored(tmp_path, "a", ignore=reader)
    assert is_ignored(tmp_path, "b", ignore=reader)


def test_a_shared_reader_stays_bounded(tmp_path: Path) -> None:
    reader = IgnoreReader(max_cached=3)
    for number in range(10):
        plant(tmp_path, {f"d{number}/.gitignore": f"x{number}\n"})
        assert is_ignored(tmp_path, f"d{number}/x{number}", ignore=reader)
    assert len(reader._cache) <= 3


def test_single_paths_are_judged_by_every_folder_above(tmp_path: Path) -> None:
    plant(tmp_path, {".gitignore": "build/\n*.tmp\n", "src/.gitignore": "gen\n", "build/x": ""})
    assert is_ignored(tmp_path, "build/x")
    assert is_ignored(tmp_path, "new/build/x")
    assert is_ignored(tmp_path, "src/gen")
    assert is_ignored(tmp_path, "not/there/a.tmp")
    assert is_ignored(tmp_path, "src/.hidden/x")
    assert is_ignored(tmp_path, "build", is_folder=True)
    assert not is_ignored(tmp_path, "build")
    assert not is_ignored(tmp_path, "gen")
    assert not is_ignored(tmp_path, "not/there/yet.txt")


NAME = st.sampled_from(["a", "b", "ab", "a.b", "A", "b-", "lib"])
GLOB = st.sampled_from(["a", "b", "*", "?", "**", "a*", "*.b", "[ab]", "[!a]", "lib", "***", "\\a"])
PATTERN = st.builds(
    lambda negation, start, parts, end: f"{negation}{start}{'/'.join(parts)}{end}",
    st.sampled_from(["", "", "!"]),
    st.sampled_from(["", "", "/"]),
    st.lists(GLOB, min_size=1, max_size=3),
    st.sampled_from(["", "", "/", " "]),
)
LINES = st.lists(PATTERN, min_size=1, max_size=5)
TREE = st.lists(st.lists(NAME, min_size=1, max_size=4), min_size=1, max_size=10)
EMPTY_GIT = {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null", "HOME": "/"}


@pytest.mark.skipif(shutil.which("git") is None, reason="git is the oracle")
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(tree=TREE, top=LINES, inner=LINES, where=NAME)
def test_a_scan_keeps_what_git_would(
    tmp_path_factory: pytest.TempPathFactory,
    tree: list[list[str]],
    top: list[str],
    inner: list[str],
    where: str,
) -> None:
    root = tmp_path_factory.mktemp("tree")
    for parts in tree:
        folder = root.joinpath(*parts[:-1])
        if not any(root.joinpath(*parts[:end]).is_file() for end in range(1, len(parts) + 1)):
            folder.mkdir(parents=True, exist_ok=True)
            if not (folder / parts[-1]).exists():
                (folder / parts[-1]).write_text("")
    (root / ".gitignore").write_text("\n".join(top) + "\n")
    if (root / where).is_dir():
        (root / where / ".gitignore").write_text("\n".join(inner) + "\n")
    run = ["git", "-c", "core.excludesFile=/dev/null", "-C", str(root)]
    environment = {**EMPTY_GIT, "PATH": os.defpath}
    subprocess.run([*run, "init", "-q"], check=True, env=environment)
    listing = [*run, "ls-files", "-z", "--others", "--exclude-standard"]
    out = subprocess.run(listing, check=True, env=environment, capture_output=True).stdout
    wanted = {name for name in os.fsdecode(out).split("\0") if name}
    assert kept(root) == wanted, (tree, top, inner, where)
