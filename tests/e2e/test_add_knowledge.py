"""Section 3: ``add_knowledge``: nothing that a person gave is lost, whatever the model does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.conftest import StartDaemon
from tests.e2e.conftest import Model
from tests.e2e.page import Event, Page, spoken, text_of
from tests.e2e.upstream import Upstream
from tests.fakes.scripts import Script

# What waits from one test would answer to the scripts of the next; see test_enrichments.
ENVIRONMENT = {"SGOPED_ENRICH_LATER": "false"}
SHORT = "Owls see in the dark."
LONG = "Owls turn their heads by 270 degrees, because their eyes cannot move at all. " * 3
FIRST = {"type": "file", "name": "owls.txt", "content": "Owl one.\n```\nOwl two.\n", "size": 24}
SECOND = {"type": "file", "name": "bats.csv", "content": "bat;1\nbat;2\n", "size": 12}


@pytest.fixture(autouse=True)
def keep_tidy(folder: Path) -> None:
    """Each test begins with one file."""
    for path in folder.rglob("*.*"):
        path.unlink()
    (folder / "eagle.md").write_text("# Eagles\n\nThey see far.\n")


async def remember(page: Page, message: str, **fields: Any) -> tuple[list[Event], Path]:
    """Adds knowledge; all its events, and where the file is."""
    events = await page.chat(message, selected_action="add_knowledge", **fields)
    assert events[0]["type"] == "action_start"
    assert events[0]["action"] == "add_knowledge"
    assert events[-1]["type"] == "complete"
    (done,) = [event for event in events if event["type"] == "action_complete"]
    result = done["result"]
    assert result["filename"]
    assert result["filename"] in text_of(events) or text_of(events)
    return events, Path(result["path"])


async def is_suggested(page: Page, path: Path) -> bool:
    """Without waiting for anything."""
    found = await page.get("/api/files", q=path.stem.lower())
    return str(path) in [item["metadata"]["path"] for item in found]


def scripts(*given: Script) -> Callable[[str], Script]:
    """One for each prompt, the last for all that follow."""
    left = list(given)
    return lambda _: left.pop(0) if len(left) > 1 else left[0]


async def test_typed_text_is_kept_suggested_and_confirmed(
    page: Page, model: Model, upstream: Upstream, folder: Path
) -> None:
    upstream.respond(scripts(Script(("owl_", "eyes")), Script(("It is ", "saved."))))
    events, path = await remember(page, SHORT, model=model.id)
    assert path.name == "owl_eyes.md"
    assert SHORT in (folder / path).read_text()
    assert await is_suggested(page, path)
    kinds = [event["type"] for event in events]
    assert kinds[:3] == ["action_start", "action_complete", "content"]
    assert spoken(events) == "It is saved."
    hits = (await page.get("/api/search", q="owls dark"))["hits"]
    assert str(path) in [hit["path"] for hit in hits]


async def test_a_long_text_and_each_upload_get_a_summary(
    page: Page, model: Model, upstream: Upstream, folder: Path
) -> None:
    upstream.respond(
        scripts(
            Script(("Of the eyes of owls.",)),
            Script(("Of two owls.",)),
            Script(("Of two bats.",)),
            Script(("Saved.",)),
        )
    )
    _, path = await remember(
        page, LONG, model=model.id, attachments=[FIRST, SECOND], knowledge_filename="night.md"
    )
    kept = (folder / path).read_text()
    for text in ("Of the eyes of owls.", "Of two owls.", "Of two bats."):
        assert text in kept
    check_whole(kept, LONG, FIRST["content"], SECOND["content"])
    assert len(upstream.prompts) == 4


async def test_a_long_source_is_summarised_in_parts_and_kept_whole(
    page: Page, services: dict[str, str], upstream: Upstream, folder: Path
) -> None:
    long = "".join(f"Line {number} of much.\n" for number in range(20_000))
    attachment = {"type": "file", "name": "long.txt", "content": long, "size": len(long)}
    upstream.behave(Script(("Of many lines.",)))
    _, path = await remember(
        page, "", model=services["ollama"], attachments=[attachment], knowledge_filename="long.md"
    )
    kept = (folder / path).read_text()
    check_whole(kept, long, "Of many lines.")
    asked = "".join(upstream.prompts)
    assert len(upstream.prompts) > 10
    assert all(f"Line {number} of much." in asked for number in range(0, 20_000, 500))


def check_whole(kept: str, *texts: object) -> None:
    for text in texts:
        assert str(text).rstrip("\n") in kept


async def test_text_uploads_and_memory_files_go_together(
    page: Page, model: Model, upstream: Upstream, folder: Path
) -> None:
    attachments = [FIRST, {"type": "file", "name": "eagle.md"}, SECOND]
    await page.post("/api/refresh", {})
    events, path = await remember(page, SHORT, model=model.id, attachments=attachments)
    check_whole((folder / path).read_text(), SHORT, FIRST["content"], SECOND["content"])
    check_whole((folder / path).read_text(), "They see far.", "eagle.md", "owls.txt", "bats.csv")
    assert (folder / "eagle.md").read_text() == "# Eagles\n\nThey see far.\n"
    (done,) = [event for event in events if event["type"] == "action_complete"]
    assert [source["name"] for source in done["result"]["sources"]] == [
        "owls.txt",
        "eagle.md",
        "bats.csv",
    ]


@pytest.mark.parametrize(
    ("message", "attachments"),
    [
        ("", [FIRST]),
        ("/add_knowledge", [FIRST, SECOND]),
        ("", [{"type": "file", "name": "eagle.md"}]),
        ("/add_knowledge see @eagle.md", []),
    ],
)
async def test_sources_alone_are_enough(
    page: Page, services: dict[str, str], folder: Path, message: str, attachments: list[Any]
) -> None:
    await page.post("/api/refresh", {})
    _, path = await remember(page, message, model=services["ollama"], attachments=attachments)
    kept = (folder / path).read_text()
    for attachment in attachments:
        check_whole(kept, attachment.get("content", "They see far."))
    if "@" in message:
        check_whole(kept, "They see far.")


async def test_the_command_may_be_typed(page: Page, services: dict[str, str], folder: Path) -> None:
    events = await page.chat(f"/add_knowledge {SHORT}", model=services["ollama"])
    (done,) = [event for event in events if event["type"] == "action_complete"]
    kept = (folder / done["result"]["path"]).read_text()
    assert SHORT in kept
    assert "/add_knowledge" not in kept


async def test_nothing_to_keep_is_an_error_and_keeps_nothing(page: Page, folder: Path) -> None:
    for attachments in ([], [{"type": "file", "name": "missing.md"}]):
        events = await page.chat(" ", selected_action="add_knowledge", attachments=attachments)
        assert events[-1]["type"] == "error"
    assert [path.name for path in folder.iterdir()] == ["eagle.md"]


@pytest.mark.parametrize("name", ["night_birds.md", "night birds.txt", "Nachtvögel", "v1.2 notes"])
async def test_a_safe_name_is_kept(page: Page, folder: Path, name: str) -> None:
    _, path = await remember(page, SHORT, knowledge_filename=name)
    assert path.stem == Path(name).stem or path.name.startswith(name)
    assert SHORT in (folder / path).read_text()
    assert await is_suggested(page, path)


@pytest.mark.parametrize(
    "name",
    [
        "../../escaped",
        "/escaped",
        "..",
        ".hidden",
        "a/b/c.md",
        "a\\b.md",
        "C:\\x.md",
        "nul\x00l.md",
        "line\nbreak.md",
        "CON",
        "x" * 400,
        "ü" * 300,
        "\u202egnp.exe",
        "~/x",
        "?*<>|",
        " ",
        "script.sh\n",
    ],
)
async def test_an_unsafe_name_is_made_safe(page: Page, folder: Path, name: str) -> None:
    before = kept_elsewhere(folder)
    _, path = await remember(page, SHORT, knowledge_filename=name)
    assert path.parent == Path()
    assert not path.name.startswith(".")
    assert len(path.name.encode()) <= 255
    assert (folder / path).resolve().parent == folder.resolve()
    assert SHORT in (folder / path).read_text()
    new = {found.parts[1] for found in kept_elsewhere(folder) - before}
    assert not new - {"versions", "backups", "state.db-wal", "state.db-shm", "state.db-journal"}
    assert await is_suggested(page, path)


def kept_elsewhere(folder: Path) -> set[Path]:
    """All that is in the home but not in the folder, nor in the cache."""
    home = folder.parents[2]
    found = {path.relative_to(home) for path in home.rglob("*") if folder not in path.parents}
    return {path for path in found if path.parts[0] != "cache"}


async def test_an_existing_file_is_never_overwritten(
    page: Page, model: Model, upstream: Upstream, folder: Path
) -> None:
    upstream.behave(Script(("eagle",)))
    paths = set()
    for fields in (
        {"knowledge_filename": "eagle.md"},
        {"knowledge_filename": "eagle.md"},
        {"knowledge_filename": "eagle"},
        {"knowledge_filename": "EAGLE.md"},
        {},
    ):
        _, path = await remember(page, SHORT, model=model.id, **fields)
        paths.add(path)
        assert SHORT in (folder / path).read_text()
    assert len(paths) == 5
    assert (folder / "eagle.md").read_text() == "# Eagles\n\nThey see far.\n"


async def test_fifty_at_once_under_one_name_are_fifty_files(page: Page, folder: Path) -> None:
    async with asyncio.TaskGroup() as tasks:
        asked = [
            tasks.create_task(
                remember(page, f"Owl number {n}.", knowledge_filename="owl.md", stream_id=f"owl{n}")
            )
            for n in range(50)
        ]
    paths = {task.result()[1] for task in asked}
    kept = "".join((folder / path).read_text() for path in paths)
    assert len(paths) == 50
    assert all(f"Owl number {n}." in kept for n in range(50))


@pytest.mark.parametrize("alive", range(4))
@pytest.mark.parametrize("fault", ["reset", "error", "html", "401"])
async def test_a_dying_model_keeps_everything_whole(
    *, page: Page, model: Model, upstream: Upstream, folder: Path, fault: str, alive: int
) -> None:
    """It dies at its first question, or after some summaries, or at the confirmation."""
    working = [Script((f"Summary {number}.",)) for number in range(alive)]
    upstream.respond(scripts(*working, Script(("Half a",), fault=fault, fault_at=1)))
    events, path = await remember(
        page, LONG, model=model.id, attachments=[FIRST, SECOND], knowledge_filename="whole.md"
    )
    kept = (folder / path).read_text()
    check_whole(kept, LONG, FIRST["content"], SECOND["content"])
    assert [n for n in range(4) if f"Summary {n}." in kept] == list(range(alive))
    assert path.name in text_of(events)
    assert await is_suggested(page, path)


async def test_without_a_model_everything_is_kept_and_confirmed_plainly(
    session: aiohttp.ClientSession, start_daemon: StartDaemon
) -> None:
    daemon = await asyncio.to_thread(start_daemon)
    page = Page(session, daemon.url)
    events, path = await remember(page, LONG, attachments=[FIRST, SECOND])
    check_whole((daemon.memory_dir / path).read_text(), LONG, FIRST["content"], SECOND["content"])
    assert path.name in text_of(events)
    assert "owls" in path.name.lower()
    assert await is_suggested(page, path)
    _, path = await remember(page, SHORT, model="gone")
    assert SHORT in (daemon.memory_dir / path).read_text()


@pytest.mark.parametrize("leaving", [False, True], ids=["stopped", "page closed"])
async def test_what_was_given_is_kept_when_it_is_ended_half_way(
    page: Page, model: Model, upstream: Upstream, folder: Path, *, leaving: bool
) -> None:
    upstream.respond(scripts(Script(("Summary 0.",)), Script(gate_at=0)))
    async with (
        page.events() as events,
        page.stream(
            LONG,
            model=model.id,
            stream_id="ended",
            selected_action="add_knowledge",
            attachments=[FIRST, SECOND],
            knowledge_filename="ended.md",
        ) as stream,
    ):
        await upstream.asked(2)
        async with asyncio.timeout(1):
            if leaving:
                stream.leave()
            else:
                await page.stop("ended")
            await upstream.client_closed()
        await events.until("run_ended", outcome="cancelled")
        if not leaving:
            end = (await stream.rest())[-1]
            assert end["type"] == "cancelled"
            assert "ended.md" in end["message"]
    check_whole((folder / "ended.md").read_text(), LONG, FIRST["content"], SECOND["content"])


async def test_a_kill_half_way_keeps_what_was_given(
    session: aiohttp.ClientSession, start_daemon: StartDaemon, upstream: Upstream
) -> None:
    environment = {"OLLAMA_HOST": upstream.url, "DEFAULT_MODEL": "beta"}
    daemon = await asyncio.to_thread(start_daemon, environment=environment)
    page = Page(session, daemon.url)
    await page.post("/api/models/refresh", {})
    upstream.behave(Script(gate_at=0))
    async with page.stream(
        LONG, selected_action="add_knowledge", attachments=[FIRST], knowledge_filename="killed.md"
    ):
        await upstream.asked()
        daemon.kill()
    again = await asyncio.to_thread(start_daemon, daemon.home)
    page = Page(session, again.url)
    check_whole((again.memory_dir / "killed.md").read_text(), LONG, FIRST["content"])
    await page.post("/api/refresh", {})
    assert await is_suggested(page, Path("killed.md"))
