"""Section 2: files."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.page import Page, text_of

TREE = {
    "readme.md": "# Read me\nThe engine starts with a key.\n",
    "src/foo.py": "def foo() -> None: ...\n",
    "src/bar.py": "def bar() -> None: ...\n",
    "docs/guide/install.md": "Install it.\n",
    "docs/api/install.md": "Install the interface.\n",
    "notes/Große Pläne.txt": "Übermorgen.\n",
    "bin/run": "#!/bin/sh\necho hello\n",
    "data.weird-extension": "plain text\n",
    "x.md": "x at the top\n",
    "a/x.md": "x in a\n",
    "b/a/x.md": "x in b/a\n",
    "x.md.d/x.md": "x in a folder called almost so\n",
    "readme": "no extension\n",
    "with spaces/and @at.md": "spaces\n",
    "-dash.md": "dash\n",
    "100%.md": "per cent\n",
    "100%25.md": "per cent, encoded\n",
    "a+b & c.md": "plus\n",
    "what?#x.md": "question\n",
    "na\u00efve.md": "composed\n",
    "nai\u0308ve.md": "decomposed\n",
}
FIELDS = {"id": str, "label": str, "description": str, "type": str, "metadata": dict}
ESCAPES = [
    "../canary.txt",
    "src/../../canary.txt",
    "BESIDE/canary.txt",
    "..",
    "..\\canary.txt",
    "C:\\canary.txt",
    ".f:../canary.txt",
    ".f:%2e%2e%2fcanary.txt",
    "a\x00b",
    "a\nb",
    ".hidden",
    ".git/config",
    "link/canary.txt",
    "linked.txt",
]


@pytest.fixture(scope="module", autouse=True)
def tree(shared: Any) -> dict[str, str]:
    """Files in the folder, canaries beside it, and links from one to the other."""
    folder: Path = shared.memory_dir
    for name, content in TREE.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    (folder / "photo.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(range(256)))
    (folder / "blob.bin").write_bytes(bytes(range(256)) * 20)
    canary = folder.parent / "canary.txt"
    canary.write_text("secret canary")
    (folder / "linked.txt").symlink_to(canary)
    (folder / "link").symlink_to(folder.parent)
    assert shared.request("POST", "/api/refresh", {})[0] == 200
    return TREE


def paths(listed: list[Any]) -> list[str]:
    return [item["metadata"]["path"] for item in listed]


async def test_without_a_query_the_whole_tree_is_a_bare_list(page: Page) -> None:
    listed, headers = await page.call("GET", "/api/files")
    assert isinstance(listed, list)
    folders = {"src", "docs", "docs/guide", "docs/api", "notes", "bin"}
    assert {*TREE, *folders, "photo.png"} <= set(paths(listed))
    assert not {"linked.txt", "link", "blob.bin"} & set(paths(listed))
    assert int(headers["X-Total-Count"]) == len(listed)
    assert "X-Total-Count" in headers["Access-Control-Expose-Headers"]
    for item in listed:
        for name, kind in FIELDS.items():
            assert type(item[name]) is kind
        assert {"type", "path", "size"} <= set(item["metadata"])
        assert item["type"] in ("file", "folder", "image")
    types = {item["metadata"]["path"]: item["type"] for item in listed}
    assert (types["src"], types["photo.png"], types["readme.md"]) == ("folder", "image", "file")
    for name in ("id", "label"):
        assert len({item[name] for item in listed}) == len(listed)


async def test_the_list_is_bounded_and_the_total_told(page: Page) -> None:
    listed, headers = await page.call("GET", "/api/files", limit="3")
    assert len(listed) == 3
    assert int(headers["X-Total-Count"]) > 3


async def test_the_newest_use_is_first(page: Page) -> None:
    for name in ("src/bar.py", "readme.md"):
        await page.chat("hello", attachments=[{"type": "file", "name": name}])
        assert paths(await page.get("/api/files"))[0] == name


async def test_ids_stay(page: Page) -> None:
    before = {item["metadata"]["path"]: item["id"] for item in await page.get("/api/files")}
    await page.post("/api/refresh", {})
    after = {item["metadata"]["path"]: item["id"] for item in await page.get("/api/files")}
    assert all(after[path] == found for path, found in before.items())


async def test_a_label_is_the_base_name_where_that_identifies(page: Page) -> None:
    labels = {item["metadata"]["path"]: item["label"] for item in await page.get("/api/files")}
    assert labels["readme.md"] == "readme.md"
    assert labels["src/foo.py"] == "foo.py"
    assert labels["docs/guide/install.md"] == "guide/install.md"
    assert labels["docs/api/install.md"] == "api/install.md"


@pytest.mark.parametrize(
    ("typed", "found"),
    [
        ("srcfoo", "src/foo.py"),
        ("foo", "src/foo.py"),
        ("read", "readme.md"),
        ("eadm", "readme.md"),
        ("raedme", "readme.md"),
        ("große", "notes/Große Pläne.txt"),
        ("grosse", "notes/Große Pläne.txt"),
        ("plane", "notes/Große Pläne.txt"),
        ("guideinstall", "docs/guide/install.md"),
        ("weird", "data.weird-extension"),
    ],
)
async def test_what_is_typed_behind_the_at_sign_finds_the_file(
    page: Page, typed: str, found: str
) -> None:
    assert paths(await page.get("/api/files", q=typed))[0] == found


async def test_a_query_brings_ten_at_most_unless_told(page: Page, folder: Path) -> None:
    for number in range(15):
        (folder / f"numbered{number}.txt").write_text(f"{number}\n")
    await page.post("/api/refresh", {})
    assert len(await page.get("/api/files", q="numbered")) == 10
    assert len(await page.get("/api/files", q="numbered", limit="12")) == 12
    assert await page.get("/api/files", q="qqqqzzzzxxxx") == []
    for number in range(15):
        (folder / f"numbered{number}.txt").unlink()


async def test_a_change_on_the_disk_shows_by_itself(page: Page, folder: Path) -> None:
    async def shown(query: str) -> list[str]:
        return paths(await page.get("/api/files", q=query))

    async with page.events() as events:
        (folder / "sudden.md").write_text("here\n")
        await events.until("file_indexed", path="sudden.md")
        assert await shown("sudden") == ["sudden.md"]
        (folder / "sudden.md").rename(folder / "abrupt.md")
        await events.until("file_indexed", path="abrupt.md")
        assert await shown("abrupt") == ["abrupt.md"]
        assert await shown("sudden") == []
        (folder / "abrupt.md").unlink()
        await events.until("file_removed", path="abrupt.md")
        assert await shown("abrupt") == []


@pytest.mark.parametrize("name", TREE)
async def test_any_text_file_is_read_whole(page: Page, name: str) -> None:
    answer = await page.get("/api/files/content", path=name)
    assert answer["content"] == TREE[name]
    assert (answer["path"], answer["truncated"]) == (name, False)
    assert answer["size"] == len(TREE[name].encode())
    assert answer["etag"]


async def test_a_big_file_is_read_whole(page: Page, folder: Path) -> None:
    content = "a line of a big file\n" * 500_000
    (folder / "big.log").write_text(content)
    answer = await page.get("/api/files/content", path="big.log")
    assert (answer["content"] == content, answer["truncated"]) == (True, False)
    (folder / "big.log").unlink()


async def test_an_id_or_a_label_is_taken_for_a_path(page: Page) -> None:
    for item in await page.get("/api/files"):
        if item["metadata"]["path"] in TREE:
            for name in ("id", "label"):
                answer = await page.get("/api/files/content", path=item[name])
                assert answer["content"] == TREE[item["metadata"]["path"]]


async def test_a_label_sent_back_with_a_chat_means_its_own_file(page: Page) -> None:
    for item in await page.get("/api/files"):
        content = TREE.get(item["metadata"]["path"])
        if content is not None:
            attachment = {"type": "file", "name": item["label"]}
            events = await page.chat("zzz", attachments=[attachment])
            for line in content.splitlines():
                assert line in text_of(events), item


async def test_a_file_called_like_an_id_has_an_id_and_a_label_of_its_own(
    page: Page, folder: Path
) -> None:
    (folder / "f:readme.md").write_text("called like an id\n")
    (folder / "x.bin").write_bytes(bytes(range(256)))
    (folder / "a/x.bin").write_text("text, called like a binary file\n")
    await page.post("/api/refresh", {})
    content = {item["metadata"]["path"]: item for item in await page.get("/api/files")}
    for path in ("f:readme.md", "readme.md", "a/x.bin"):
        for name in ("id", "label"):
            answer = await page.get("/api/files/content", path=content[path][name])
            assert answer["content"] == (folder / path).read_text()
    before = (folder / "readme.md").read_text()
    await page.post("/api/files/content", {"path": "f:readme.md", "content": "its own\n"})
    assert (folder / "f:readme.md").read_text() == "its own\n"
    assert (folder / "readme.md").read_text() == before
    (folder / "f:readme.md").unlink()


async def test_of_more_than_1000_files_the_first_1000_are_listed(page: Page, folder: Path) -> None:
    (folder / "many").mkdir()
    for number in range(1010):
        (folder / f"many/{number}.txt").write_text("")
    await page.post("/api/refresh", {})
    listed, headers = await page.call("GET", "/api/files")
    assert len(listed) == 1000
    stats = await page.get("/api/stats")
    assert int(headers["X-Total-Count"]) == stats["short_term_memory"]["total_items"] > 1010
    shutil.rmtree(folder / "many")
    await page.post("/api/refresh", {})
    assert len(await page.get("/api/files")) < 1000


async def test_a_name_that_is_not_utf8_is_listed_and_read_by_its_id(
    page: Page, folder: Path
) -> None:
    strange = os.fsencode(folder) + b"/strange\xff.txt"
    Path(os.fsdecode(strange)).write_text("still text\n")
    await page.post("/api/refresh", {})
    (found,) = await page.get("/api/files", q="strange")
    answer = await page.get("/api/files/content", path=found["id"])
    assert answer["content"] == "still text\n"
    assert "\ufffd" in found["metadata"]["path"]
    events = await page.chat("hello", attachments=[{"type": "file", "name": found["label"]}])
    assert "still text" in text_of(events)
    Path(os.fsdecode(strange)).unlink()


async def test_missing_is_404_and_binary_415(page: Page) -> None:
    await page.get("/api/files/content", path="missing.md", status=404)
    for name in ("blob.bin", "photo.png"):
        answer = await page.get("/api/files/content", path=name, status=415)
        assert answer["code"] == "not_text"
    await page.get("/api/files/content", path="src", status=415)


@pytest.mark.parametrize("path", ESCAPES)
async def test_no_path_leads_out_of_the_folder(page: Page, folder: Path, path: str) -> None:
    outside = sorted(folder.parent.iterdir())
    path = path.replace("BESIDE", str(folder.parent))
    for method, body in (("GET", None), ("DELETE", None), ("POST", {"content": "x", "path": path})):
        params = {} if body else {"path": path}
        async with page.session.request(
            method,
            f"{page.url}/api/files/content",
            json=body,
            params=params,
            headers=page.headers(),
        ) as response:
            assert response.status in (400, 403, 404, 422), (method, path)
            assert "secret" not in await response.text()
    for body in ({"path": "readme.md", "to": path}, {"path": path, "to": "taken.md"}):
        async with page.session.post(
            f"{page.url}/api/files/rename", json=body, headers=page.headers()
        ) as response:
            assert response.status in (400, 403, 404, 409, 422), (body, await response.text())
    assert (folder.parent / "canary.txt").read_text() == "secret canary"
    assert sorted(folder.parent.iterdir()) == outside
    assert (folder / "readme.md").exists()


async def test_what_would_be_a_way_out_elsewhere_is_a_name_here(page: Page, folder: Path) -> None:
    """Neither a shell nor a URL is between the page and the folder."""
    outside = sorted(folder.parent.iterdir())
    for path in ("~/canary.txt", "%2e%2e/canary.txt"):
        await page.post("/api/files/content", {"path": path, "content": "inside\n"})
        assert (folder / path).read_text() == "inside\n"
    assert (folder.parent / "canary.txt").read_text() == "secret canary"
    assert sorted(folder.parent.iterdir()) == outside


async def test_a_save_is_on_the_disk_and_a_version_kept(page: Page, folder: Path) -> None:
    body = {"path": "written/new.md", "content": "first\n"}
    saved = await page.post("/api/files/content", body)
    assert saved["created"] is True
    assert (folder / "written/new.md").read_text() == "first\n"
    assert paths(await page.get("/api/files", q="new.md"))[0] == "written/new.md"
    saved = await page.post("/api/files/content", {**body, "content": "second\n"})
    assert saved["created"] is False
    assert (folder / "written/new.md").read_text() == "second\n"
    versions = await page.get("/api/files/versions", path="written/new.md")
    assert [version["version"] for version in versions] == [saved["version"]]
    restore = {"path": "written/new.md", "version": saved["version"]}
    await page.post("/api/files/restore", restore)
    assert (folder / "written/new.md").read_text() == "first\n"
    assert len(await page.get("/api/files/versions", path="written/new.md")) == 2
    await page.post("/api/files/restore", {**restore, "version": "nothing"}, status=404)


async def test_a_stale_etag_is_a_conflict_that_writes_nothing(page: Page, folder: Path) -> None:
    (folder / "edited.md").write_text("as read\n")
    read = await page.get("/api/files/content", path="edited.md")
    (folder / "edited.md").write_text("changed elsewhere\n")
    body = {"path": "edited.md", "content": "mine\n"}
    stale = {"If-Match": f'"{read["etag"]}"'}
    await page.call("POST", "/api/files/content", body, status=409, headers=stale)
    assert (folder / "edited.md").read_text() == "changed elsewhere\n"
    read = await page.get("/api/files/content", path="edited.md")
    fresh = {"If-Match": f'"{read["etag"]}"'}
    await page.call("POST", "/api/files/content", body, headers=fresh)
    assert (folder / "edited.md").read_text() == "mine\n"


async def test_a_binary_file_is_not_overwritten_by_text(page: Page, folder: Path) -> None:
    before = (folder / "blob.bin").read_bytes()
    await page.post("/api/files/content", {"path": "blob.bin", "content": "x"}, status=415)
    assert (folder / "blob.bin").read_bytes() == before
    await page.post("/api/files/content", {"path": "src", "content": "x"}, status=400)
    assert (folder / "src/foo.py").exists()


async def test_a_deleted_file_can_be_restored_and_a_renamed_one_found(
    page: Page, folder: Path
) -> None:
    await page.post("/api/files/content", {"path": "mortal.md", "content": "alive\n"})
    await page.delete("/api/files/content", path="mortal.md")
    assert not (folder / "mortal.md").exists()
    assert await page.get("/api/files", q="mortal") == []
    (version,) = await page.get("/api/files/versions", path="mortal.md")
    await page.post("/api/files/restore", {"path": "mortal.md", "version": version["version"]})
    assert (folder / "mortal.md").read_text() == "alive\n"
    await page.post("/api/files/rename", {"path": "mortal.md", "to": "readme.md"}, status=409)
    await page.post("/api/files/rename", {"path": "mortal.md", "to": "moved/immortal.md"})
    assert (folder / "moved/immortal.md").read_text() == "alive\n"
    assert paths(await page.get("/api/files", q="immortal")) == ["moved/immortal.md"]
