"""Hidden files over HTTP and the WebSocket: suggested by their dot, read, never changed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.web.conftest import Client


@pytest.fixture
def folder(folder: Path) -> Path:
    """The examples, and hidden files among them."""
    (folder / ".gitignore").write_text("*.walrus\n")
    (folder / "src/.gitkeep").write_text("walrus")
    (folder / ".env").write_text("KEY=walrus")
    (folder / ".venv").mkdir()
    (folder / ".venv/.config").write_text("walrus")
    return folder


async def paths(client: Client, **query: str) -> list[str]:
    async with client.get("/api/files", params=query) as response:
        assert response.status == 200
        return [item["metadata"]["path"] for item in await response.json()]


async def test_only_a_dot_suggests_them(client: Client) -> None:
    assert (await paths(client, q=".gitignore"))[0] == ".gitignore"
    assert await paths(client, q=".git") == ["src/.gitkeep", ".gitignore"]  # the shorter first
    assert await paths(client, q="src/.gi") == ["src/.gitkeep"]
    assert await paths(client, q="gitignore") == []
    assert await paths(client, q=".env") == await paths(client, q=".conf") == []
    async with client.get("/api/files") as response:
        listed = {item["metadata"]["path"] for item in await response.json()}
        assert listed == {"readme.md", "src", "src/foo.py", "photo.png"}
        assert response.headers["X-Total-Count"] == "4"
    async with client.get("/api/search?q=walrus") as response:
        assert "walrus" not in str((await response.json())["hits"])
    async with client.get("/api/index?state=skipped") as response:
        told = {file["path"]: file["reason"] for file in (await response.json())["files"]}
    assert told[".gitignore"] == "hidden: found by its name only"
    assert ".env" not in told


async def test_a_suggested_one_is_read_and_not_changed(client: Client, folder: Path) -> None:
    for path in (".gitignore", ".f:.gitignore"):
        async with client.get("/api/files/content", params={"path": path}) as response:
            assert (await response.json())["content"] == "*.walrus\n"
        changes: list[Any] = [
            await client.post("/api/files/content", json={"path": path, "content": "x"}),
            await client.delete("/api/files/content", params={"path": path}),
            await client.post("/api/files/rename", json={"path": path, "to": "b.md"}),
        ]
        for answer in changes:
            assert answer.status == 400
            assert "can be read, not changed" in (await answer.json())["detail"]
    for path in (".env", ".f:.env", ".venv/.config"):
        async with client.get("/api/files/content", params={"path": path}) as response:
            assert response.status == 400
            assert "walrus" not in await response.text()
    assert (folder / ".gitignore").read_text() == "*.walrus\n"
