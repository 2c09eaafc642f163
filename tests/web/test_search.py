"""Content search and the state of the index, over HTTP."""

from __future__ import annotations

from sgoped.web import replies
from tests.web.conftest import Client
from tests.web.shapes import check


async def test_a_word_is_found_with_its_file_and_line(client: Client) -> None:
    async with client.get("/api/search", params={"q": "engine"}) as response:
        answer = await response.json()
    check(replies.SearchReply, answer)
    assert answer["query"] == "engine"
    assert {hit["path"] for hit in answer["hits"]} == {"readme.md", "src/foo.py"}
    for hit in answer["hits"]:
        check(replies.HitReply, hit)
        assert hit["line_start"] >= 1
        for start, end in hit["matches"]:
            assert "engine" in hit["snippet"][start:end].lower()


async def test_a_search_is_narrowed_by_suffix_and_path(client: Client) -> None:
    async with client.get("/api/search", params={"q": "engine", "ext": "py"}) as response:
        assert [hit["path"] for hit in (await response.json())["hits"]] == ["src/foo.py"]
    async with client.get("/api/search", params={"q": "engine", "path": "src"}) as response:
        assert [hit["path"] for hit in (await response.json())["hits"]] == ["src/foo.py"]


async def test_the_query_s_own_filters_add_to_the_parameters(client: Client) -> None:
    for query, found in (
        ("engine ext:py,md", {"readme.md", "src/foo.py"}),
        ("engine -path:src", {"readme.md"}),
        ("engine -engine", set()),
        ('"engine" path:foo', {"src/foo.py"}),
        ("path:foo", set()),
    ):
        async with client.get("/api/search", params={"q": query}) as response:
            assert response.status == 200
            assert {hit["path"] for hit in (await response.json())["hits"]} == found, query
    async with client.get("/api/search", params={"q": "engine ext:md", "ext": "py"}) as response:
        assert len((await response.json())["hits"]) == 2


async def test_hostile_queries_are_only_words(client: Client) -> None:
    for query in (
        "(" * 4000,
        "NOT " * 1000,
        '"',
        "a:b",
        "[* TO *]",
        "\\",
        "\x00",
        "é" * 512,
        '"a' * 2000,
        "-a " * 1300,
        'path:"' * 600,
        '-"(' * 1300,
        "東" * 4000,
    ):
        for path in ("/api/search", "/api/files"):
            async with client.get(path, params={"q": query}) as response:
                assert response.status == 200, (path, query)


async def test_the_index_is_told_file_by_file(client: Client) -> None:
    async with client.get("/api/index") as response:
        answer = await response.json()
    check(replies.IndexReply, answer)
    assert answer["counts"]["pending"] == 0
    paths = [file["path"] for file in answer["files"]]
    assert {"readme.md", "src/foo.py"} <= set(paths)
    async with client.get("/api/index", params={"after": paths[0], "limit": "1"}) as response:
        assert [file["path"] for file in (await response.json())["files"]] == paths[1:2]
