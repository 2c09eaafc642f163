from __future__ import annotations

import asyncio
import random
import shutil
from pathlib import Path

import pytest

from sgoped.memory import Memory, index
from tests.memory.opening import WAIT_SECONDS, found, opened, paths_below

FILES = 40


@pytest.fixture
def home(tmp_path: Path) -> Path:
    root = paths_below(tmp_path).memory_dir
    for number in range(FILES):
        (root / f"name{number}.md").write_text(f"alpha beta{number}\n" * 50)
    return tmp_path


@pytest.fixture(autouse=True)
def nothing_is_read_before_its_use(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the index were a big one."""
    monkeypatch.setattr(index, "EAGER_CHECK_BYTES", 0)


async def until_checked(memory: Memory) -> None:
    async with asyncio.timeout(WAIT_SECONDS):
        while not memory.index_status().checked:  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.01)
    await memory.refresh()


async def check_answers(memory: Memory) -> None:
    assert {hit.document.path for hit in await memory.search("alpha", 100)} == {
        f"name{number}.md" for number in range(FILES)
    }
    assert [hit.document.path for hit in await memory.search("beta13")] == ["name13.md"]
    assert (await found(memory, "name7"))[0] == "name7.md"


async def test_a_whole_index_is_found_whole(home: Path) -> None:
    for _ in range(2):
        async with opened(home) as memory:
            await until_checked(memory)
            assert memory.index_status().last_repair is None
            await check_answers(memory)


@pytest.mark.parametrize("seed", range(6))
async def test_a_flipped_bit_is_found_while_the_index_is_used(home: Path, seed: int) -> None:
    async with opened(home) as memory:
        await until_checked(memory)
    choice = random.Random(seed)
    paths = sorted(paths_below(home).index_dir.glob("*/*.*"))
    path = choice.choice(
        [path for path in paths if path.suffix in (".idx", ".term", ".fast", ".pos")]
    )
    data = bytearray(path.read_bytes())
    data[choice.randrange(data.rindex(b'{"version"'))] ^= 1 << choice.randrange(8)
    path.write_bytes(data)
    async with opened(home) as memory:
        # Whatever is found by now: no search fails for it.
        await found(memory, "name7")
        await memory.search("alpha", 100)
        memory.may_mention("alpha")
        await until_checked(memory)
        repair = memory.index_status().last_repair
        assert repair is not None
        assert path.parent.name.partition("-")[0] in repair.reason
        await check_answers(memory)


@pytest.mark.parametrize("gone", ["index/names-*", "index/bodies-*", "catalogue.db"])
async def test_what_is_taken_away_while_it_is_used_is_made_again(home: Path, gone: str) -> None:
    cache_dir = paths_below(home).cache_dir
    async with opened(home, reconcile_seconds=0.05) as memory:
        await until_checked(memory)
        for path in cache_dir.glob(gone):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        async with asyncio.timeout(WAIT_SECONDS):
            while memory.index_status().last_repair is None:  # noqa: ASYNC110 - nothing tells
                await asyncio.sleep(0.01)
        await memory.refresh()
        await check_answers(memory)
    async with opened(home) as memory:
        await until_checked(memory)
        assert memory.index_status().last_repair is None
        await check_answers(memory)
