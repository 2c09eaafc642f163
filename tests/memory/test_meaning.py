"""Finding by meaning as a whole, over the wire of both dialects."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import closing
from pathlib import Path

import pytest

from sgoped.memory import EmbeddingStatus, Passage
from sgoped.memory.vectors import Place, Stat, VectorStore
from tests.fakes.meanings import in_dimensions
from tests.fakes.scripts import Script
from tests.fakes.upstream import FakeUpstream
from tests.memory.meanings import FILES, MODEL, opened_world, write
from tests.memory.opening import opened, paths_below

QUERIES = ("car", "summer", "the summer of the roses", "-roses summer", '"the summer"', "xyzzy")


@pytest.fixture
async def upstream() -> AsyncIterator[FakeUpstream]:
    async with FakeUpstream() as server:
        yield server


@pytest.fixture(params=["ollama", "openai"])
def dialect(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = paths_below(tmp_path).memory_dir
    write(root, FILES)
    return root


async def lexical_answers(home: Path) -> dict[str, list[Passage]]:
    async with opened(home) as memory:
        return {query: await memory.search(query) for query in QUERIES}


def vectors_of(home: Path) -> dict[bytes, bytes]:
    with closing(sqlite3.connect(paths_below(home).vectors_db)) as connection:
        return dict(connection.execute("select hash, numbers from vector"))


async def test_a_file_is_found_without_a_common_word(
    tmp_path: Path, root: Path, upstream: FakeUpstream, dialect: str
) -> None:
    assert (await lexical_answers(tmp_path))["car"] == []
    async with opened_world(tmp_path, upstream, dialect) as world:
        status = await world.until_ready()
        assert status == EmbeddingStatus(MODEL, "ready", len(FILES), len(FILES))
        assert (await world.found("car"))[0] == "notes/garage.md"
        assert (await world.found("physician"))[0] == "notes/health.md"
        [hit] = await world.memory.search("physician", 1)
        assert (hit.line_start, hit.line_end, hit.matches) == (1, 1, ())
        assert hit.snippet == "Appointment with the surgeon on Monday."


async def test_filters_exclusions_and_phrases_hold_for_what_is_found_by_meaning(
    tmp_path: Path, root: Path, upstream: FakeUpstream
) -> None:
    async with opened_world(tmp_path, upstream) as world:
        await world.until_ready()
        assert "notes/garage.md" in await world.found("car ext:md")
        assert "notes/garage.md" not in await world.found("car ext:txt")
        assert "notes/garage.md" not in await world.found("car path:garden")
        assert "notes/garage.md" not in await world.found("car -serviced")
        assert await world.found('car "the budget"') == ["notes/plan.txt"]
        assert await world.found("path:notes") == []
        assert len(await world.found("car", limit=1)) == 1


async def test_without_the_service_the_answers_are_exactly_those_of_the_words(
    tmp_path: Path, root: Path, upstream: FakeUpstream, dialect: str
) -> None:
    lexical = await lexical_answers(tmp_path)
    async with opened_world(tmp_path, upstream, dialect, services=()) as world:
        status = world.memory.embedding_status()
        assert status.state == "waiting: Model 'home/nomic:latest' not available"
        assert {query: await world.memory.search(query) for query in QUERIES} == lexical
    async with opened_world(tmp_path, upstream, dialect) as world:
        await world.until_ready()
        assert (await world.found("car"))[0] == "notes/garage.md"
        await upstream.stop()
        fresh = {query: f"{query} notatall" for query in QUERIES}
        down = {query: await world.memory.search(longer) for query, longer in fresh.items()}
        assert world.memory.embedding_status().state.startswith("waiting: Connection")
    async with opened(tmp_path) as memory:
        assert down == {query: await memory.search(longer) for query, longer in fresh.items()}


async def test_a_service_that_comes_back_is_asked_again(
    tmp_path: Path, root: Path, upstream: FakeUpstream, dialect: str
) -> None:
    await upstream.stop()
    async with opened_world(tmp_path, upstream, dialect) as world:
        status = await world.until(lambda status: status.state.startswith("waiting: Connection"))
        assert (status.embedded, status.total) == (0, len(FILES))
        assert await world.found("car") == []
        await upstream.start()
        await world.registry.refresh()
        await world.until_ready()
        assert (await world.found("car"))[0] == "notes/garage.md"


async def test_what_did_not_change_is_never_embedded_twice(
    tmp_path: Path, root: Path, upstream: FakeUpstream, dialect: str
) -> None:
    async with opened_world(tmp_path, upstream, dialect) as world:
        await world.until_ready()
    assert sorted(upstream.embedded) == sorted(FILES.values())
    upstream.requests.clear()
    (root / "moved").mkdir()
    async with opened_world(tmp_path, upstream, dialect) as world:
        await world.until_ready()
        (root / "notes/garage.md").rename(root / "moved/workshop.md")
        write(root, {"notes/copy.md": FILES["notes/health.md"]})
        write(root, {"notes/sea.txt": FILES["notes/sea.txt"]})
        await world.until_ready()
        assert upstream.embedded == []
        assert (await world.found("car"))[0] == "moved/workshop.md"
        write(root, {"notes/sea.txt": "Nothing about it any more.\n"})
        await world.until_ready()
        assert upstream.embedded == ["car", "Nothing about it any more.\n"]


async def test_of_a_long_file_only_the_changed_passages_are_embedded_again(
    tmp_path: Path, root: Path, upstream: FakeUpstream
) -> None:
    lines = [f"Line {number} of a long report about nothing.\n" for number in range(500)]
    write(root, {"report.txt": "".join(lines)})
    async with opened_world(tmp_path, upstream) as world:
        await world.until_ready()
        passages = len(upstream.embedded) - len(FILES)
        assert passages > 8
        upstream.requests.clear()
        lines[440:460] = ["An automobile, a vehicle, a motor.\n"] * 20
        write(root, {"report.txt": "".join(lines)})
        await world.until_ready()
        assert 0 < len(upstream.embedded) <= 4
        hits = await world.memory.search("car", per_file=1)
        best = next(hit for hit in hits if hit.document.path == "report.txt")
        assert 400 < best.line_start <= 460


async def test_the_vectors_of_files_that_are_gone_are_dropped(
    tmp_path: Path, root: Path, upstream: FakeUpstream
) -> None:
    async with opened_world(tmp_path, upstream, orphan_seconds=0.01) as world:
        await world.until_ready()
        write(root, {"notes/copy.md": FILES["notes/sea.txt"]})
        await world.until_ready()
        (root / "notes/sea.txt").unlink()
        (root / "notes/garage.md").unlink()
        await world.until_ready()
        assert "notes/garage.md" not in await world.found("car")
        async with asyncio.timeout(20):
            while len(await asyncio.to_thread(vectors_of, tmp_path)) != len(FILES) - 1:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        assert "notes/copy.md" in await world.found("ship")


async def test_only_text_that_a_search_would_show_is_sent(
    tmp_path: Path, root: Path, upstream: FakeUpstream
) -> None:
    write(
        root,
        {
            ".gitignore": "secret.txt\nbuild/\n",
            "secret.txt": "SECRET ignored",
            "build/out.txt": "SECRET built",
            ".env": "SECRET=1",
            ".notes.md": "SECRET hidden",
            ".hidden/file.txt": "SECRET below",
            "empty.txt": "",
            "blank.txt": " \n\n",
        },
    )
    (root / "picture.png").write_bytes(b"\x89PNG SECRET")
    (root / "program.bin").write_bytes(b"\x7fELF\0\0SECRET")
    (tmp_path / "outside.txt").write_text("SECRET outside")
    (root / "link.txt").symlink_to(tmp_path / "outside.txt")
    async with opened_world(tmp_path, upstream) as world:
        await world.until_ready()
        assert not [text for text in upstream.embedded if "SECRET" in text]
        assert sorted(upstream.embedded) == sorted(FILES.values())


async def test_what_is_ignored_while_the_model_works_is_not_sent_any_more(
    tmp_path: Path, root: Path, upstream: FakeUpstream, dialect: str
) -> None:
    write(root, {f"private/{number}.txt": f"SECRET {number}" for number in range(50)})
    upstream.behave(Script(gate_at=-1, fault_on=("embed",)))
    async with opened_world(tmp_path, upstream, dialect) as world:
        await upstream.until(lambda: bool(upstream.embedded))
        sent = len(upstream.embedded)
        write(root, {".sgopedignore": "private/\n"})
        await world.memory.refresh()
        upstream.open_gate()
        await world.until_ready()
        assert not [text for text in upstream.embedded[sent:] if "SECRET" in text]
        assert set(FILES.values()) <= set(upstream.embedded)


async def test_another_model_starts_afresh_and_the_former_vectors_are_gone(
    tmp_path: Path, root: Path, upstream: FakeUpstream, dialect: str
) -> None:
    upstream.embedding_models = ["nomic:latest", "other:latest"]
    async with opened_world(tmp_path, upstream, dialect) as world:
        await world.until_ready()
    former = vectors_of(tmp_path)
    upstream.requests.clear()
    upstream.embed = in_dimensions(50)
    async with opened_world(tmp_path, upstream, dialect, model="home/other:latest") as world:
        status = await world.until_ready()
        assert (status.model, status.embedded) == ("home/other:latest", len(FILES))
        assert sorted(upstream.embedded[1:]) == sorted(FILES.values())
        assert (await world.found("car"))[0] == "notes/garage.md"
    now = vectors_of(tmp_path)
    assert set(now) == set(former)
    assert {len(vector) for vector in now.values()} == {50}


async def test_a_model_that_changes_its_dimensions_is_told_and_then_believed(
    tmp_path: Path, root: Path, upstream: FakeUpstream
) -> None:
    async with opened_world(tmp_path, upstream) as world:
        await world.until_ready()
        upstream.embed = in_dimensions(40)
        write(root, {"notes/new.md": "An appointment about money.\n"})
        await world.memory.refresh()
        status = await world.until(lambda status: status.state.startswith("waiting: The model"))
        assert status.state == "waiting: The model answers in 40 dimensions instead of 96"
        assert await world.found("roses") == ["notes/roses.md"]
        await world.until_ready()
        assert (await world.found("car"))[0] == "notes/garage.md"
    assert {len(vector) for vector in vectors_of(tmp_path).values()} == {40}


async def test_a_text_that_the_model_cannot_take_is_shortened_and_does_not_block_others(
    tmp_path: Path, root: Path, upstream: FakeUpstream
) -> None:
    write(root, {"long.txt": "automobile " * 180, "never.txt": "forbidden vessel"})

    def judge(text: str) -> list[float]:
        if len(text) > 1200 or "forbidden" in text:
            raise_refusal(upstream)
        return in_dimensions(96)(text)

    upstream.embed = judge
    async with opened_world(tmp_path, upstream) as world:
        status = await world.until_ready()
        assert status.embedded == len(FILES) + 2
        assert (await world.found("car"))[0] == "long.txt"
        assert "never.txt" not in await world.found("ship")
    upstream.requests.clear()
    async with opened_world(tmp_path, upstream) as world:
        await world.until_ready()
        assert upstream.embedded == []


def raise_refusal(upstream: FakeUpstream) -> None:
    from aiohttp import web  # noqa: PLC0415, TID251 - what the fake upstream answers with

    raise web.HTTPBadRequest(text="the input length exceeds what fits")


async def test_a_slow_service_holds_a_search_up_once_and_its_answer_is_kept(
    tmp_path: Path, root: Path, upstream: FakeUpstream, dialect: str
) -> None:
    async with opened_world(tmp_path, upstream, dialect, wait_seconds=0.05) as world:
        await world.until_ready()
        upstream.requests.clear()
        upstream.behave(Script(gate_at=-1, fault_on=("embed",)))
        assert await world.found("car") == []
        for query in ("ship", "cash", "summer roses"):
            assert await world.found(query) == (
                ["notes/roses.md", "notes/plan.txt"] if query == "summer roses" else []
            )
        assert upstream.embedded == ["car"]
        upstream.open_gate()
        upstream.behave(Script())
        async with asyncio.timeout(20):
            while (await world.found("car"))[:1] != ["notes/garage.md"]:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        assert upstream.embedded == ["car"]


async def test_while_it_works_through_the_folder_the_rest_is_found_by_words(
    tmp_path: Path, root: Path, upstream: FakeUpstream
) -> None:
    async with opened_world(tmp_path, upstream) as world:
        await world.until_ready()
        upstream.behave(Script(fault="503", fault_on=("embed",), fault_times=1))
        write(root, {"notes/new.md": "Prune the motor.\n"})
        await world.memory.refresh()
        await world.until(lambda status: status.state.startswith("waiting: The service"))
        assert world.memory.embedding_status().embedded == len(FILES)
        assert set((await world.found("prune"))[:2]) == {"notes/new.md", "notes/roses.md"}


DAMAGES = ("deleted", "emptied", "cut", "garbage", "flipped", "a directory", "another schema")


def damage(path: Path, how: str) -> None:
    data = path.read_bytes()
    path.unlink()
    if how == "emptied":
        path.write_bytes(b"")
    elif how == "cut":
        path.write_bytes(data[: len(data) // 2])
    elif how == "garbage":
        path.write_bytes(bytes(len(data)))
    elif how == "flipped":
        flipped = bytearray(data)
        for position in range(len(data) // 7, len(data), len(data) // 7):
            flipped[position] ^= 0x10
        path.write_bytes(flipped)
    elif how == "a directory":
        path.mkdir()
    elif how == "another schema":
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("create table vector (id integer)")


@pytest.mark.parametrize("how", DAMAGES)
async def test_a_damaged_file_of_vectors_costs_time_only(
    tmp_path: Path, root: Path, upstream: FakeUpstream, how: str
) -> None:
    async with opened_world(tmp_path, upstream) as world:
        await world.until_ready()
        expected = {query: await world.memory.search(query) for query in QUERIES}
    damage(paths_below(tmp_path).vectors_db, how)
    async with opened_world(tmp_path, upstream) as world:
        await world.until_ready()
        await world.until(lambda status: status.embedded == len(FILES))
        found = {query: await world.memory.search(query) for query in QUERIES}
        assert {query: plain(hits) for query, hits in found.items()} == {
            query: plain(hits) for query, hits in expected.items()
        }


def plain(hits: list[Passage]) -> list[tuple[str, int, float]]:
    """Pids may differ after a restart."""
    return [(hit.document.path, hit.line_start, hit.score) for hit in hits]


async def test_every_flipped_byte_is_found(
    tmp_path: Path, root: Path, upstream: FakeUpstream
) -> None:
    async with opened_world(tmp_path, upstream) as world:
        await world.until_ready()
        expected = plain(await world.memory.search("car"))
    path = paths_below(tmp_path).vectors_db
    data = path.read_bytes()
    for vector in vectors_of(tmp_path).values():
        place = data.find(vector)
        flipped = bytearray(data)
        flipped[place + 5] ^= 0x40
        path.write_bytes(flipped)
        async with opened_world(tmp_path, upstream) as world:
            await world.until_ready()
            assert plain(await world.memory.search("car")) == expected


async def test_without_the_setting_nothing_of_it_is_there(tmp_path: Path, root: Path) -> None:
    async with opened(tmp_path) as memory:
        assert memory.embedding_status() == EmbeddingStatus("", "off", 0, 0)
    assert not paths_below(tmp_path).vectors_db.exists()


async def test_a_missing_numpy_is_told(
    tmp_path: Path, root: Path, upstream: FakeUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    import importlib  # noqa: PLC0415

    import_module = importlib.import_module

    def missing(name: str, package: str | None = None) -> object:
        if name == "sgoped.memory.embedding":
            raise ImportError(name)
        return import_module(name, package)

    monkeypatch.setattr(importlib, "import_module", missing)
    async with opened_world(tmp_path, upstream, services=()) as world:
        status = world.memory.embedding_status()
        assert status.state == "waiting: numpy is not installed, which compares vectors"
        assert await world.found("roses") == ["notes/roses.md"]


FIRST_START = """
import asyncio, sys
from pathlib import Path
from aiohttp import web
from sgoped.app import create_app
from sgoped.config import Settings
from sgoped.paths import resolve_paths

async def main():
    paths = resolve_paths(Path(sys.argv[1]))
    for path in (paths.memory_dir, paths.cache_dir, paths.backups_dir):
        path.mkdir(parents=True)
    app = create_app(Settings(), paths)
    runner = web.AppRunner(app)
    await runner.setup()
    print('numpy' in sys.modules)
    await runner.cleanup()

asyncio.run(main())
"""


def test_without_the_setting_numpy_is_not_imported(tmp_path: Path) -> None:
    """Not in a first start either, where schemas are made with the help of sqlite-utils."""
    command = [sys.executable, "-c", FIRST_START, str(tmp_path / "home")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "False", done.stderr


async def test_more_vectors_than_there_is_room_for_are_told_and_the_rest_found_by_words(
    tmp_path: Path, root: Path, upstream: FakeUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sgoped.memory.embedding.MAX_VECTOR_BYTES", 96)
    write(root, {f"many/{number}.txt": f"Number {number}." for number in range(100)})
    async with opened_world(tmp_path, upstream) as world:
        status = await world.until(lambda status: status.state.startswith("waiting: the vectors"))
        assert 0 < status.embedded < status.total == 100 + len(FILES)
        assert "many/77.txt" in await world.found("77")


FULL = sqlite3.OperationalError("database or disk is full")
MALFORMED = sqlite3.DatabaseError("database disk image is malformed")


@pytest.mark.parametrize("failure", [FULL, MALFORMED])
async def test_what_the_disk_does_to_vectors_is_told_and_mended(
    tmp_path: Path,
    root: Path,
    upstream: FakeUpstream,
    monkeypatch: pytest.MonkeyPatch,
    failure: sqlite3.Error,
) -> None:
    failures = [failure]
    save_files = VectorStore.save_files

    def failing(store: VectorStore, files: Iterable[tuple[str, Stat, Sequence[Place]]]) -> None:
        if failures:
            raise failures.pop()
        save_files(store, files)

    async with opened_world(tmp_path, upstream) as world:
        await world.until_ready()
        upstream.requests.clear()
        monkeypatch.setattr(VectorStore, "save_files", failing)
        write(root, {"notes/new.md": "The motor of the pump.\n"})
        await world.memory.refresh()
        await world.until(lambda status: status.state.startswith("waiting: the vectors cannot"))
        assert await world.found("roses") == ["notes/roses.md"]
        await world.until_ready()
        again = len(FILES) if failure is MALFORMED else 0
        assert len(upstream.embedded) == again + len(["new.md", "roses"])
        assert set((await world.found("car"))[:2]) == {"notes/new.md", "notes/garage.md"}
