"""The memory folder over HTTP: suggestions, contents, versions, and what is refused."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from sgoped.web import replies
from sgoped.web.keys import MEMORY
from tests.web.conftest import EXAMPLES, Client
from tests.web.shapes import check

ESCAPES = [
    "../secret.txt",
    "a/../../secret.txt",
    "BESIDE/secret.txt",
    "..",
    ".",
    "~/x/../..",
    "C:\\secret.txt",
    "..\\secret.txt",
    "a\x00b",
    "a\nb",
    ".hidden",
    "src/.git/config",
    "%2e%2e/secret.txt/../..",
    ".f:../secret.txt",
    ".f:%2e%2e/secret.txt",
    "x" * 256,
]


async def fetch(client: Client, address: str, **query: str) -> Any:
    async with client.get(address, params=query) as response:
        assert response.status == 200, await response.text()
        return await response.json()


async def test_without_a_query_everything_is_listed_with_its_number(client: Client) -> None:
    async with client.get("/api/files") as response:
        listed = await response.json()
        assert response.headers["X-Total-Count"] == str(len(listed))
    assert isinstance(listed, list)
    by_path = {item["metadata"]["path"]: item for item in listed}
    assert set(by_path) == {*EXAMPLES, "src"}
    assert by_path["src"]["type"] == "folder"
    assert by_path["photo.png"]["type"] == "image"
    assert by_path["readme.md"]["type"] == "file"
    for item in listed:
        check(replies.FileSuggestion, item)
    assert len({item["id"] for item in listed}) == len(listed)


async def test_the_number_of_all_files_is_told_when_the_list_is_cut(client: Client) -> None:
    headers = {"Origin": "http://localhost:3000"}
    async with client.get("/api/files?limit=2", headers=headers) as response:
        assert len(await response.json()) == 2
        assert int(response.headers["X-Total-Count"]) == len(EXAMPLES) + 1
        assert "X-Total-Count" in response.headers["Access-Control-Expose-Headers"]


async def test_a_query_finds_over_slashes(client: Client) -> None:
    found = await fetch(client, "/api/files", q="srcfoo")
    assert found[0]["metadata"]["path"] == "src/foo.py"
    assert found[0]["metadata"]["why"]
    for item in found:
        check(replies.FileSuggestion, item)


async def test_a_file_is_read_by_path_and_by_id(client: Client) -> None:
    (suggestion, *_) = await fetch(client, "/api/files", q="readme")
    by_path = await fetch(client, "/api/files/content", path="readme.md")
    by_id = await fetch(client, "/api/files/content", path=suggestion["id"])
    assert by_path == by_id
    check(replies.ContentReply, by_path)
    assert by_path["content"] == EXAMPLES["readme.md"]
    assert by_path["truncated"] is False


async def test_missing_and_binary_files_are_told_apart(client: Client, folder: Path) -> None:
    (folder / "blob.bin").write_bytes(bytes(range(256)) * 8)
    async with client.get("/api/files/content?path=nothing.md") as response:
        assert response.status == 404
    async with client.get("/api/files/content?path=blob.bin") as response:
        assert (response.status, (await response.json())["code"]) == (415, "not_text")


async def test_a_file_is_saved_and_what_it_held_is_kept(client: Client, folder: Path) -> None:
    body = {"path": "readme.md", "content": "new\n"}
    async with client.post("/api/files/content", json=body) as response:
        assert response.status == 200
        saved = await response.json()
    check(replies.SavedReply, saved)
    assert (folder / "readme.md").read_text() == "new\n"
    assert saved["created"] is False
    versions = await fetch(client, "/api/files/versions", path="readme.md")
    assert [version["version"] for version in versions] == [saved["version"]]
    check(replies.VersionReply, versions[0])
    restore = {"path": "readme.md", "version": saved["version"]}
    async with client.post("/api/files/restore", json=restore) as response:
        assert response.status == 200
    assert (folder / "readme.md").read_text() == EXAMPLES["readme.md"]


async def test_if_match_protects_what_was_not_seen(client: Client, folder: Path) -> None:
    read = await client.get("/api/files/content?path=readme.md")
    etag = read.headers["ETag"]
    assert etag == f'"{(await read.json())["etag"]}"'
    body = {"path": "readme.md", "content": "mine"}
    (folder / "readme.md").write_text("theirs")
    async with client.post("/api/files/content", json=body, headers={"If-Match": etag}) as response:
        assert (response.status, (await response.json())["code"]) == (409, "conflict")
    async with client.delete(
        "/api/files/content?path=readme.md", headers={"If-Match": etag}
    ) as response:
        assert response.status == 409
    assert (folder / "readme.md").read_text() == "theirs"
    now = (await client.get("/api/files/content?path=readme.md")).headers["ETag"]
    async with client.post("/api/files/content", json=body, headers={"If-Match": now}) as response:
        assert response.status == 200


@pytest.mark.parametrize("if_match", ["", "*", '"a", "b"', "a b", '"'])
async def test_an_if_match_that_names_no_one_state_changes_nothing(
    client: Client, folder: Path, if_match: str
) -> None:
    async with client.post(
        "/api/files/content",
        json={"path": "readme.md", "content": "x"},
        headers={"If-Match": if_match},
    ) as response:
        assert response.status == 422
    assert (folder / "readme.md").read_text() == EXAMPLES["readme.md"]


async def test_a_file_is_renamed_but_never_onto_another(client: Client, folder: Path) -> None:
    rename = {"path": "readme.md", "to": "src/foo.py"}
    async with client.post("/api/files/rename", json=rename) as response:
        assert response.status == 409
    rename["to"] = "notes/start.md"
    async with client.post("/api/files/rename", json=rename) as response:
        assert response.status == 200
        check(replies.SavedReply, await response.json())
    assert (folder / "notes/start.md").read_text() == EXAMPLES["readme.md"]
    assert not (folder / "readme.md").exists()


async def test_a_deleted_file_can_be_brought_back(client: Client, folder: Path) -> None:
    async with client.delete("/api/files/content?path=readme.md") as response:
        assert response.status == 200
        gone = await response.json()
    check(replies.DeletedReply, gone)
    assert not (folder / "readme.md").exists()
    async with client.post(
        "/api/files/restore", json={"path": "readme.md", "version": gone["version"]}
    ) as response:
        assert response.status == 200
    assert (folder / "readme.md").read_text() == EXAMPLES["readme.md"]


async def test_the_last_changes_of_all_files_can_be_listed_and_undone(
    client: Client, folder: Path
) -> None:
    body = {"path": "readme.md", "content": "new\n"}
    await client.post("/api/files/content", json=body)
    await client.post("/api/files/rename", json={"path": "src/foo.py", "to": "src/bar.py"})
    await client.delete("/api/files/content?path=src/bar.py")
    changes = await fetch(client, "/api/files/versions")
    assert [(change["reason"], change["path"]) for change in changes] == [
        ("deleted", "src/bar.py"),
        ("renamed", "src/bar.py"),
        ("overwritten", "readme.md"),
    ]
    for change in changes:
        check(replies.VersionReply, change)
    assert await fetch(client, "/api/files/versions", limit="1") == changes[:1]
    path = changes[0]["path"]
    own = await fetch(client, "/api/files/versions", path=path)
    assert await fetch(client, "/api/files/versions", path=path, limit="1") == own[:1]
    for query in ({"limit": "0"}, {"limit": "1639945286", "path": "unheard-of.md"}):
        async with client.get("/api/files/versions", params=query) as response:
            assert response.status == 422
    for change in changes:
        undo = {"path": change["id"], "version": change["version"]}
        async with client.post("/api/files/restore", json=undo) as response:
            assert response.status == 200, await response.text()
    for name in ("readme.md", "src/foo.py"):
        assert (folder / name).read_text() == EXAMPLES[name]
    assert not (folder / "src/bar.py").exists()


async def test_a_rename_is_not_undone_onto_another_file(client: Client, folder: Path) -> None:
    await client.post("/api/files/rename", json={"path": "readme.md", "to": "other.md"})
    (folder / "readme.md").write_text("a new one")
    (change,) = await fetch(client, "/api/files/versions")
    undo = {"path": change["path"], "version": change["version"]}
    async with client.post("/api/files/restore", json=undo) as response:
        assert response.status == 409
    assert (folder / "readme.md").read_text() == "a new one"
    assert (folder / "other.md").read_text() == EXAMPLES["readme.md"]


@pytest.mark.parametrize("path", ESCAPES)
async def test_no_path_leads_out_of_the_folder(client: Client, folder: Path, path: str) -> None:
    canary = folder.parent / "secret.txt"
    canary.write_text("canary")
    path = path.replace("BESIDE", str(folder.parent))
    answers = [
        await client.get("/api/files/content", params={"path": path}),
        await client.delete("/api/files/content", params={"path": path}),
        await client.post("/api/files/content", json={"path": path, "content": "x"}),
        await client.post("/api/files/rename", json={"path": "readme.md", "to": path}),
        await client.post("/api/files/rename", json={"path": path, "to": "b.md"}),
        await client.post("/api/files/restore", json={"path": path, "version": "v"}),
    ]
    for answer in answers:
        assert answer.status in (400, 404, 422), (answer.method, path)
        text = await answer.text()
        assert "canary" not in text
        assert set(await answer.json()) == {"detail", "code"}
    async with client.get("/api/files/versions", params={"path": path}) as response:
        assert response.status in (400, 404, 422) or await response.json() == []
    assert canary.read_text() == "canary"
    assert {entry.name for entry in folder.iterdir()} == {"readme.md", "src", "photo.png"}


async def test_a_save_goes_on_when_its_client_leaves(
    client: Client, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = client.server.app[MEMORY]  # type: ignore[attr-defined]  # a TestServer has one
    begun, go_on, saved = asyncio.Event(), asyncio.Event(), asyncio.Event()
    real_write = type(memory).write_text

    async def slow_write(*arguments: Any, **options: Any) -> Any:
        begun.set()
        await go_on.wait()
        result = await real_write(*arguments, **options)
        saved.set()
        return result

    monkeypatch.setattr(type(memory), "write_text", slow_write)

    async def save() -> None:
        await client.post("/api/files/content", json={"path": "late.md", "content": "kept"})

    async with asyncio.TaskGroup() as group, asyncio.timeout(20):
        call = group.create_task(save())
        await begun.wait()
        call.cancel()
        async with client.get("/health"):
            go_on.set()
        await saved.wait()
    assert (folder / "late.md").read_text() == "kept"
