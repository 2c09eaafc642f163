"""Content search as a whole: real files, real indexes."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sgoped.memory import Memory, Passage
from sgoped.memory.words import fold
from tests.memory.opening import opened, paths_below

LONG = "\n".join(
    ["# Gardening", *["Some filler about the weather."] * 400, "Pruning the old roses", "in March"]
)
FILES = {
    "notes/roses.md": "How to prune roses:\npruned roses bloom twice.\n",
    "notes/trees.md": "Trees are pruned in winter.\nNo roses here.\n",
    "notes/garden.txt": LONG,
    "src/prune.py": 'def prune(tree):\n    """Prune a tree of roses."""\n    return tree\n',
    "src/My Folder/table.tar.md": "roses in a table",
    "src/winter.rs": "fn winter() {}\n// roses\n// winter roses\n",
}


@pytest.fixture
async def memory(tmp_path: Path) -> AsyncGenerator[Memory]:
    root = paths_below(tmp_path).memory_dir
    for path, text in FILES.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text, "utf-8")
    async with opened(tmp_path) as memory:
        yield memory


def paths(passages: Sequence[Passage]) -> set[str]:
    return {passage.document.path for passage in passages}


def marked(passage: Passage) -> list[str]:
    return [passage.snippet[start:end] for start, end in passage.matches]


async def test_a_phrase_is_found_and_shown_with_its_lines(memory: Memory) -> None:
    [hit] = await memory.search('"roses in march"')
    assert hit.document.path == "notes/garden.txt"
    assert hit.line_start <= 402
    assert hit.line_end == 403
    assert marked(hit) == ["roses", "in March"]


async def test_forms_of_the_words_are_found_and_marked(memory: Memory) -> None:
    hits = {hit.document.path: hit for hit in await memory.search("pruning")}
    assert set(hits) == {"notes/roses.md", "notes/trees.md", "notes/garden.txt", "src/prune.py"}
    assert marked(hits["notes/trees.md"]) == ["pruned"]
    assert next(iter(hits)) == "notes/garden.txt"


async def test_what_is_excluded_is_not_found(memory: Memory) -> None:
    assert paths(await memory.search("roses -winter -table")) == {
        "notes/roses.md",
        "notes/garden.txt",
        "src/prune.py",
    }
    assert paths(await memory.search('roses -"winter roses" ext:rs')) == set()


async def test_filters_select_by_path_and_suffix(memory: Memory) -> None:
    assert paths(await memory.search("roses ext:py,rs")) == {"src/prune.py", "src/winter.rs"}
    assert paths(await memory.search("roses ext:.MD -path:SRC")) == {
        "notes/roses.md",
        "notes/trees.md",
    }
    assert paths(await memory.search('roses path:"my folder"')) == {"src/My Folder/table.tar.md"}
    assert paths(await memory.search("roses path:src path:w")) == {"src/winter.rs"}
    assert paths(await memory.search("roses path:folder/tab")) == {"src/My Folder/table.tar.md"}
    assert paths(await memory.search("roses ext:tar.md")) == {"src/My Folder/table.tar.md"}
    assert paths(await memory.search("roses -ext:md,txt", path="src", ext="py")) == {"src/prune.py"}


async def test_filters_and_exclusions_alone_find_nothing(memory: Memory) -> None:
    for query in ("path:src", "-roses", 'ext:md -"a b"', '"" - --', "path:src ext:py -roses"):
        assert await memory.search(query) == [], query


async def test_the_one_file_of_a_rare_folder_is_found(tmp_path: Path) -> None:
    root = paths_below(tmp_path).memory_dir
    for folder in range(30):
        (root / f"d{folder}").mkdir()
        for number in range(150):
            (root / f"d{folder}" / f"{number}.txt").write_text("ordinary text", "utf-8")
    (root / "rare").mkdir()
    (root / "rare" / "one.log").write_text("long " * 300 + "ordinary text", "utf-8")
    async with opened(tmp_path) as memory:
        for query in ("text path:rare", "text -path:d", "text path:rare/o", "text ext:log"):
            assert paths(await memory.search(query)) == {"rare/one.log"}, query
        assert paths(await memory.search("text path:d7/14 -path:9.")) == {
            f"d7/14{end}.txt" for end in (*range(9), "")
        }


async def test_a_long_question_finds_its_subject_and_its_quotes_are_no_demand(
    memory: Memory,
) -> None:
    question = (
        'When and how should somebody who has "never before" cared for a garden with old roses'
        " begin pruning those in spring, and which tools, gloves, ladders or books help with it?"
    )
    hits = await memory.search(question)
    assert hits[0].document.path in {"notes/garden.txt", "notes/roses.md"}


async def test_content_hits_hold_all_words_and_complete_the_last(memory: Memory) -> None:
    hits = await memory.content_hits("old rose")
    assert paths(hits) == {"notes/garden.txt"}
    assert (hits[0].line_start, marked(hits[0])) == (402, ["old", "roses"])
    assert await memory.content_hits("old rose", 5, {hits[0].document.pid}) == []
    for query, there in (("old rose", True), ("zebras", False), ("old zebras", False), ("", False)):
        assert memory.may_mention(query) is there
        assert bool(await memory.content_hits(query)) is there
    assert await memory.content_hits("", 5) == []
    assert await memory.content_hits("roses", 0) == []
    assert await memory.content_hits("(-\"'" * 2000) == []


async def test_a_file_that_shrank_meanwhile_is_no_failure(memory: Memory, tmp_path: Path) -> None:
    (paths_below(tmp_path).memory_dir / "notes/garden.txt").write_text("", "utf-8")
    assert "notes/garden.txt" not in paths(await memory.search('"pruning the old"'))


query_pieces = st.sampled_from(
    [
        '"',
        "-",
        "path:",
        "ext:",
        "rose",
        "roses ",
        "prune ",
        " winter",
        "(",
        ",",
        "md",
        " ",
        "ß",
        "東京",
    ]
)


@settings(
    max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
@given(st.lists(query_pieces, max_size=30).map("".join))
async def test_any_query_is_answered_with_ranges_within_the_snippets(
    memory: Memory, query: str
) -> None:
    for hit in await memory.search(query):
        assert 1 <= hit.line_start <= hit.line_end
        assert hit.snippet.count("\n") == hit.line_end - hit.line_start
        for start, end in hit.matches:
            assert 0 <= start < end <= len(hit.snippet)
            word = fold(hit.snippet[start:end])
            assert word[:4] in fold(query) or "prun" in word or "\n" not in word


async def test_one_character_of_a_script_without_spaces_is_found(tmp_path: Path) -> None:
    root = paths_below(tmp_path).memory_dir
    root.mkdir(parents=True, exist_ok=True)
    (root / "diary.txt").write_text("昨日の日記です。\n", "utf-8")
    (root / "other.txt").write_text("東京の地図\n", "utf-8")
    async with opened(tmp_path) as memory:
        for typed in ("日記", "日", "地"):
            hits = await memory.search(typed)
            assert len(hits) == 1, typed
            assert hits[0].matches, typed
        assert paths(await memory.content_hits("日", 3)) == {"diary.txt"}
