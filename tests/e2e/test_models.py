"""Section 1: models."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from yarl import URL

from tests.e2e.page import Page
from tests.e2e.upstream import Upstream

FIELDS = {"id", "name", "provider", "service", "service_type", "available", "is_default"}


@pytest.fixture(autouse=True)
async def known(page: Page, services: dict[str, str], upstream: Upstream) -> None:
    """The daemon knows what the upstream has as new, whatever the test before told it."""
    await page.post("/api/models/refresh", {})


async def test_ids_are_unique_though_names_are_not(page: Page) -> None:
    listed = await page.get("/api/models")
    models = listed["all_models"]
    assert sorted(model["name"] for model in models) == ["alpha:latest"] * 2 + ["beta"] * 2
    assert len({model["id"] for model in models}) == 4
    for model in models:
        assert set(model) >= FIELDS
        service = listed["services"][model["service"]]
        assert model["provider"] == service["name"]
        assert model["service_type"] == service["type"]
    assert set(listed["services"]) == {"local", "cloud"}
    assert sum(model["is_default"] for model in models) <= 1


async def test_an_ollama_service_without_chosen_models_offers_all(
    page: Page, upstream: Upstream
) -> None:
    upstream.set_up(models=["alpha:latest", "beta", "delta"])
    listed = await page.post("/api/models/refresh", {})
    names = {
        service: [model["name"] for model in listed["all_models"] if model["service"] == service]
        for service in ("local", "cloud")
    }
    assert names == {"local": ["alpha:latest", "beta", "delta"], "cloud": ["alpha:latest", "beta"]}
    upstream.forget()
    await page.post("/api/models/refresh", {})
    assert len((await page.get("/api/models"))["all_models"]) == 4


async def test_an_ollama_service_offers_only_the_chosen_models(
    page: Page, upstream: Upstream
) -> None:
    config = {"name": "Chosen", "host": upstream.url, "models": ["beta"]}
    body = {"service_id": "chosen", "service_type": "ollama", "config": config}
    await page.post("/api/services/add", body)
    listed = await page.post("/api/models/refresh", {})
    chosen = [model["name"] for model in listed["all_models"] if model["service"] == "chosen"]
    assert chosen == ["beta"]
    await page.delete("/api/services/chosen")


async def test_the_default_is_set_by_id_and_only_if_known(
    page: Page, services: dict[str, str]
) -> None:
    for model_id in services.values():
        await page.post("/api/models/default", {"model": model_id})
        listed = await page.get("/api/models")
        assert listed["default_model"] == model_id
        default = [model["id"] for model in listed["all_models"] if model["is_default"]]
        assert default == [model_id]
        stats = await page.get("/api/stats")
        assert stats["llm_services"]["default_model"] == model_id
    await page.post("/api/models/default", {"model": "nobody"}, status=404)
    await page.post("/api/models/default", {"model": "beta"}, status=404)  # of two services
    assert (await page.get("/api/models"))["default_model"] == model_id


async def test_an_empty_model_means_the_default(
    page: Page, services: dict[str, str], upstream: Upstream
) -> None:
    for dialect, address in (("ollama", "/api/chat"), ("openai", "/v1/chat/completions")):
        await page.post("/api/models/default", {"model": services[dialect]})
        for fields in ({"model": ""}, {"model": None}):
            events = await page.chat("hello", **fields)
            assert events[0]["model"] == services[dialect]
        chats = [request for request in upstream.requests if request.path.endswith(address)]
        assert [chat.body["model"] for chat in chats] == ["beta", "beta"]


async def test_a_bare_name_counts_where_it_is_unambiguous(page: Page, upstream: Upstream) -> None:
    upstream.set_up(models=["alpha:latest", "beta", "only/here"])
    await page.post("/api/models/refresh", {})
    events = await page.chat("hello", model="only/here")
    assert events[0]["model"] == "local/only/here"
    assert events[-1]["type"] == "complete"
    events = await page.chat("hello", model="beta")
    assert events[-1]["type"] == "error"
    assert "local/beta" in events[-1]["message"]


async def test_a_model_may_be_called_anything(page: Page, upstream: Upstream) -> None:
    names = ["org/model:free", "we ird ü%20?#x", "a%2fb", "%", "..", "a/../b", "x/health"]
    upstream.set_up(models=names)
    listed = await page.post("/api/models/refresh", {})
    ids = {m["id"]: m["name"] for m in listed["all_models"] if m["service"] == "local"}
    assert list(ids.values()) == names
    for model_id, name in ids.items():
        address = f"{page.url}/api/models/{quote(model_id, safe='')}/health"
        async with page.session.get(URL(address, encoded=True), headers=page.headers()) as health:
            assert (await health.json())["model"] == model_id
        await page.post("/api/models/default", {"model": model_id})
        assert (await page.chat("hello"))[0]["model"] == model_id
        assert upstream.requests[-1].body["model"] == name


async def test_each_model_tells_how_it_is(page: Page, services: dict[str, str]) -> None:
    for model_id in services.values():
        for written in (model_id, quote(model_id, safe="")):
            health = await page.get(f"/api/models/{written}/health")
            assert (health["model"], health["available"]) == (model_id, True)
            assert health["status"] == "online"
    await page.get("/api/models/nobody/health", status=404)
