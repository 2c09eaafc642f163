"""What people type, and what they mean by it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sgoped.memory.matcher import (
    FOLDER_AND_NAME,
    FOLDER_START,
    LETTERS,
    NAME_MIDDLE,
    NAME_START,
    NAME_WHOLE,
    NAME_WORD,
    SIMILAR_NAME,
)
from tests.memory.naming import Named, named

SHARED = [f"lib/pkg{n}/__init__.py" for n in range(40)]
PATHS = [
    "test.md",
    "testing.md",
    "a/my_test.py",
    "lib/MyTestCase.py",
    "lib/contest.py",
    "test/other.py",
    "src/foo.py",
    "src/foo.test.ts",
    "src/lib/deep/foobar.tsx",
    "docs/parseHTTPResponse2.md",
    "docs/kebab-case-name.txt",
    "docs/snake_case_name.txt",
    "notes/\u5317\u4eac\u5e02\u5730\u56fe.md",
    "notes/\u6771\u4eac.txt",
    "notes/\ud55c\uad6d\uc5b4 \ubb38\uc11c.md",
    "notes/\u00c9t\u00e9 \u00e0 la plage.txt",
    "notes/Stra\u00dfe.md",
    "notes/\u0417\u0430\u043c\u0435\u0442\u043a\u0438.md",
    "notes/\u041f\u043b\u0430\u043d \u0440\u0430\u0431\u043e\u0442.md",
    "notes/\u0394\u03bf\u03ba\u03b9\u03bc\u03ae.txt",
    "notes/\U0001f680 launch.md",
    "notes/release 2024-05-01.md",
    "configuration/settings.toml",
    "configuration/",
    *SHARED,
]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Named]:
    with named(tmp_path_factory.mktemp("names"), PATHS) as opened:
        yield opened


@pytest.mark.parametrize(
    ("typed", "path"),
    [
        ("testcase", "lib/MyTestCase.py"),
        ("TestCase", "lib/MyTestCase.py"),
        ("mytestp", "a/my_test.py"),
        ("my_test", "a/my_test.py"),
        ("my test", "a/my_test.py"),
        ("foo.test.ts", "src/foo.test.ts"),
        ("foo.test", "src/foo.test.ts"),
        ("footest", "src/foo.test.ts"),
        ("test.ts", "src/foo.test.ts"),
        ("httpresponse", "docs/parseHTTPResponse2.md"),
        ("response2", "docs/parseHTTPResponse2.md"),
        ("http resp", "docs/parseHTTPResponse2.md"),
        ("kebab-case", "docs/kebab-case-name.txt"),
        ("kebabcase", "docs/kebab-case-name.txt"),
        ("snake_case", "docs/snake_case_name.txt"),
        ("snakecasename", "docs/snake_case_name.txt"),
        ("\u5317\u4eac", "notes/\u5317\u4eac\u5e02\u5730\u56fe.md"),
        ("\u5730\u56fe", "notes/\u5317\u4eac\u5e02\u5730\u56fe.md"),
        ("\u56fe", "notes/\u5317\u4eac\u5e02\u5730\u56fe.md"),
        ("\u6771", "notes/\u6771\u4eac.txt"),
        ("\ud55c\uad6d", "notes/\ud55c\uad6d\uc5b4 \ubb38\uc11c.md"),
        ("\ubb38\uc11c", "notes/\ud55c\uad6d\uc5b4 \ubb38\uc11c.md"),
        ("ete", "notes/\u00c9t\u00e9 \u00e0 la plage.txt"),
        ("\u00e9t\u00e9", "notes/\u00c9t\u00e9 \u00e0 la plage.txt"),
        ("E\u0301te\u0301", "notes/\u00c9t\u00e9 \u00e0 la plage.txt"),
        ("strasse", "notes/Stra\u00dfe.md"),
        ("\u0437\u0430\u043c\u0435\u0442", "notes/\u0417\u0430\u043c\u0435\u0442\u043a\u0438.md"),
        ("\u0440\u0430\u0431", "notes/\u041f\u043b\u0430\u043d \u0440\u0430\u0431\u043e\u0442.md"),
        ("\u03b4\u03bf\u03ba", "notes/\u0394\u03bf\u03ba\u03b9\u03bc\u03ae.txt"),
        ("\U0001f680", "notes/\U0001f680 launch.md"),
        ("2024-05", "notes/release 2024-05-01.md"),
        ("20240501", "notes/release 2024-05-01.md"),
        ("src/foo.py", "src/foo.py"),
        ("srcfoo", "src/foo.py"),
        ("src foo", "src/foo.py"),
        ("foo src", "src/foo.py"),
        ("deep/foob", "src/lib/deep/foobar.tsx"),
        ("foob deep", "src/lib/deep/foobar.tsx"),
        ("deepfoobar", "src/lib/deep/foobar.tsx"),
        ("src/lib/deep/foobar.tsx", "src/lib/deep/foobar.tsx"),
        ("confset", "configuration/settings.toml"),
        ("pkg7 init", "lib/pkg7/__init__.py"),
        ("pkg7init", "lib/pkg7/__init__.py"),
        ("pkg7/__init__.py", "lib/pkg7/__init__.py"),
    ],
)
async def test_every_script_and_habit_finds_its_file_first(
    world: Named, typed: str, path: str
) -> None:
    assert (await world.find(typed))[:1] == [path]


async def test_where_it_matches_makes_the_order(world: Named) -> None:
    found = await world.find("test")
    assert found[0] == "test.md"
    assert set(found[1:]) >= {"testing.md", "a/my_test.py", "lib/MyTestCase.py", "src/foo.test.ts"}
    assert found.index("lib/contest.py") > found.index("lib/MyTestCase.py")
    assert "test/other.py" in found
    why = await world.why("test")
    assert why["test.md"] == NAME_WHOLE
    assert why["testing.md"] == NAME_START
    assert why["a/my_test.py"] == why["lib/MyTestCase.py"] == NAME_WORD
    assert (await world.why("mytestp"))["a/my_test.py"] == NAME_START
    assert why["lib/contest.py"] == NAME_MIDDLE
    assert why["test/other.py"] == FOLDER_START


async def test_near_names_are_found_when_nothing_holds_what_was_typed(world: Named) -> None:
    assert (await world.why("setings"))["configuration/settings.toml"] == SIMILAR_NAME
    assert (await world.why("kbbcsnm"))["docs/kebab-case-name.txt"] == LETTERS
    assert (await world.why("srcfoo"))["src/foo.py"] == FOLDER_AND_NAME
    assert SIMILAR_NAME not in (await world.why("settings")).values()


async def test_a_name_that_many_files_share_hides_no_other_but_is_found_whole(
    tmp_path: Path,
) -> None:
    paths = [*SHARED, *(f"x/init_{n:02}.py" for n in range(20))]
    with named(tmp_path, paths) as world:
        found = await world.find("__init__")
        assert sum(path.endswith("__init__.py") for path in found) >= 3
        assert found[0].endswith("__init__.py")
        assert all(path.startswith("x/") for path in (await world.find("init"))[:5])


async def test_used_files_come_first_within_their_sort_and_hide_no_exact_name(
    tmp_path: Path,
) -> None:
    paths = ["report.md", "reports.md", "zz/report_of_a_very_long_name.md", "x/my_report.md"]
    with named(tmp_path, [*paths, *(f"y/report{n}.md" for n in range(30))]) as world:
        assert "zz/report_of_a_very_long_name.md" not in await world.find("report")
        for _ in range(5):
            await world.uses.record("zz/report_of_a_very_long_name.md")
        assert (await world.find("report"))[:2] == ["report.md", "zz/report_of_a_very_long_name.md"]
        assert (await world.find("repo"))[0] == "zz/report_of_a_very_long_name.md"
        assert (await world.find("very"))[0] == "zz/report_of_a_very_long_name.md"
        assert "x/my_report.md" not in (await world.find("repo"))
        for _ in range(9):
            await world.uses.record("x/my_report.md")
        assert (await world.find("repo"))[0] == "x/my_report.md"
        assert (await world.why("repo"))["x/my_report.md"] == NAME_WORD


async def test_odd_queries_are_answered(world: Named) -> None:
    for typed in ("", " ", "/", "...", "\u0301", "\udcff", "a" * 600, "/" * 600, "x y " * 200):
        assert isinstance(await world.find(typed), list)
    assert await world.find("test", 0) == []
    assert len(await world.find("t", 1)) == 1


async def test_a_long_beginning_is_matched_to_its_end(tmp_path: Path) -> None:
    paths = [f"2024-01-01-meeting-notes-project-alpha-{n:03}.md" for n in range(60)]
    paths += ["2024-01-01-meeting-notes-project-beta.md", f"{'very_long_' * 8}name.txt"]
    with named(tmp_path, paths) as world:
        found = await world.find("2024-01-01-meeting-notes-project-alpha-05")
        assert found == [f"2024-01-01-meeting-notes-project-alpha-05{n}.md" for n in range(10)]
        assert (await world.find("20240101meetingnotesprojectalpha042"))[0] == paths[42]
        assert (await world.find("2024-01-01-meeting-notes-project-b"))[0] == paths[60]
        assert await world.find("2024-01-01-meeting-notes-project-alpha-zzz") == []
        assert await world.find("verylong" * 8 + "na") == paths[61:]
        assert await world.find("very_long_" * 8 + "nb") == []
