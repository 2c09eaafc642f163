"""The pages for people say what is, load nothing from elsewhere, and trust nothing."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tests.web.conftest import Client

PAGES = ("/", "/docs", "/docs.js", "/style.css")


async def test_home_says_what_runs_and_where(client: Client, folder: Path) -> None:
    async with client.get("/") as response:
        assert response.content_type == "text/html"
        page = await response.text()
    assert str(folder) in page
    assert "2 files" in page
    assert "/docs" in page
    assert "add_knowledge" in page
    assert "none yet" in page
    assert "$" not in page, "every placeholder is filled"


@pytest.mark.parametrize("path", PAGES)
async def test_no_page_loads_anything_from_elsewhere(client: Client, path: str) -> None:
    async with client.get(path) as response:
        assert response.status == 200
        text = await response.text()
    own = f"http://127.0.0.1:{client.port}"
    assert re.findall(r"(?:https?:)?//[\w.]", text.replace(own, "")) == []
    assert "@import" not in text
    assert "url(" not in text


@pytest.mark.parametrize("path", ["/", "/docs"])
async def test_a_page_may_only_use_what_is_its_own(client: Client, path: str) -> None:
    async with client.get(path) as response:
        policy = response.headers["Content-Security-Policy"]
        text = await response.text()
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert re.findall(r"\son\w+=|style=|<script>|<style>", text) == []
    for reference in re.findall(r'(?:src|href)="([^"]+)"', text):
        if not reference.startswith("http://127.0.0.1"):
            async with client.get(reference) as response:
                assert response.status == 200, reference


async def test_docs_scripts_are_served_as_scripts(client: Client) -> None:
    async with client.get("/docs.js") as response:
        assert response.content_type == "text/javascript"
    async with client.get("/style.css") as response:
        assert response.content_type == "text/css"


async def test_what_a_person_named_is_escaped(client: Client) -> None:
    body: dict[str, Any] = {
        "service_id": "x",
        "service_type": "ollama",
        "config": {"name": "<script>alert(1)</script>", "host": "http://127.0.0.1:9"},
    }
    async with client.post("/api/services/add", json=body) as response:
        assert response.status == 200
    async with client.get("/") as response:
        page = await response.text()
    assert "<script>alert" not in page
    assert "&lt;script&gt;" in page
