from __future__ import annotations

import asyncio
import os
import shutil
import time
from pathlib import Path

import pytest

from sgoped.errors import Conflict, NotFound, NotText, PathRefused, TooLarge
from sgoped.events import Bus, FileIndexed, FileRemoved, WatcherChanged
from sgoped.memory import Kind, document_id
from sgoped.memory.reading import Body, BodyReader
from tests.memory.opening import found, opened, paths_below, until_event


def write(root: Path, path: str, data: str | bytes) -> None:
    target = root / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(data.encode() if isinstance(data, str) else data)


async def test_what_lies_in_the_folder_is_counted_by_kind(tmp_path: Path) -> None:
    root = paths_below(tmp_path).memory_dir
    write(root, "a.txt", "text")
    write(root, "src/b.py", "code")
    write(root, "pic.png", b"\x89PNG\r\n\x1a\n\0")
    write(root, "prog", b"\x7fELF\0\0\0")
    write(root, ".hidden", "x")
    write(root, "empty", "")
    async with opened(tmp_path) as memory:
        counts = memory.counts()
        assert (counts.files, counts.folders, counts.images) == (3, 1, 1)
        assert counts.total_items == 5
        documents, total = await memory.documents()
        assert {document.path for document in documents} == {
            "a.txt",
            "src",
            "src/b.py",
            "pic.png",
            "empty",
        }
        assert total == 5
        states, files = memory.file_states()
        assert states == {"pending": 0, "indexed": 3, "skipped": 3, "failed": 0}
        assert [(state.path, state.reason) for state in files if state.state == "skipped"] == [
            (".hidden", "hidden: found by its name only"),
            ("pic.png", "image"),
            ("prog", "binary"),
        ]


async def test_ignored_files_are_neither_listed_nor_read(tmp_path: Path) -> None:
    root = paths_below(tmp_path).memory_dir
    write(root, ".gitignore", "secret.txt\n.secret\n.mine*\nbuild/\n")
    write(root, ".mine.conf", "canary")
    write(root, "secret.txt", "canary")
    write(root, "build/out.txt", "canary")
    write(root, "kept.txt", "plain")
    async with opened(tmp_path) as memory:
        assert [document.path for document in (await memory.documents())[0]] == ["kept.txt"]
        assert await found(memory, ".mine") == []
        for path in ("secret.txt", "build/out.txt", document_id("secret.txt"), ".mine.conf"):
            with pytest.raises(PathRefused):
                await memory.read_text(path)
        with pytest.raises(PathRefused):
            await memory.write_text("build/new.txt", "x")
        write(root, ".gitignore", "")
        await memory.refresh()
        assert await found(memory, "secret") == ["secret.txt"]


async def test_changes_on_disk_show_up_by_themselves(tmp_path: Path) -> None:
    root = paths_below(tmp_path).memory_dir
    bus = Bus()
    async with opened(tmp_path, bus) as memory:
        assert await found(memory, "novel") == []
        write(root, "deep/er/novel.txt", "chapter one")
        await until_event(bus, FileIndexed("deep/er/novel.txt"))
        assert await found(memory, "novel") == ["novel.txt"]
        assert [hit.document.path for hit in await memory.search("chapter")] == [
            "deep/er/novel.txt"
        ]
        (root / "deep").rename(root / "moved")
        await until_event(bus, FileIndexed("moved/er/novel.txt"))
        assert [hit.document.path for hit in await memory.find("novel")] == ["moved/er/novel.txt"]
        shutil.rmtree(root / "moved")
        await until_event(bus, FileRemoved("moved/er/novel.txt"))
        assert await found(memory, "novel") == []
        assert await memory.search("chapter") == []


async def test_a_restart_knows_everything_and_notices_what_changed_meanwhile(
    tmp_path: Path,
) -> None:
    root = paths_below(tmp_path).memory_dir
    for i in range(30):
        write(root, f"dir{i % 3}/file{i}.txt", f"word{i} common")
    async with opened(tmp_path):
        pass
    write(root, "dir0/file0.txt", "changed entirely")
    write(root, "dir1/added.txt", "brand new")
    (root / "dir2/file2.txt").unlink()
    async with opened(tmp_path) as memory:
        assert await found(memory, "added") == ["added.txt"]
        assert await found(memory, "file2.txt") != ["file2.txt"]
        assert [hit.document.path for hit in await memory.search("entirely")] == ["dir0/file0.txt"]
        assert await memory.search("word0") == []
        assert [hit.document.path for hit in await memory.search("word29")] == ["dir2/file29.txt"]
        assert memory.counts().files == 30
        assert memory.index_status().progress == 1.0


@pytest.mark.parametrize("damage", ["delete", "truncate", "garble", "empty_meta"])
async def test_damaged_caches_cost_time_only(tmp_path: Path, damage: str) -> None:
    paths = paths_below(tmp_path)
    for i in range(20):
        write(paths.memory_dir, f"d{i % 4}/name{i}.md", f"alpha beta{i}")
    async with opened(tmp_path):
        pass
    for file in [file for file in paths.cache_dir.rglob("*") if file.is_file()]:
        if damage == "delete":
            file.unlink()
        elif damage == "truncate":
            os.truncate(file, file.stat().st_size // 2)
        elif damage == "garble":
            file.write_bytes(os.urandom(file.stat().st_size))
        elif file.name == "meta.json":
            file.unlink()
    async with opened(tmp_path) as memory:
        assert (await found(memory, "name7"))[0] == "name7.md"
        assert [hit.document.path for hit in await memory.search("beta13")] == ["d1/name13.md"]
        assert memory.counts().files == 20


async def test_a_text_is_read_whole_by_path_id_or_label(tmp_path: Path) -> None:
    root = paths_below(tmp_path).memory_dir
    text = "läng\r\n" * 1000 + "end"
    write(root, "notes/résumé.weird-ext", b"\xef\xbb\xbf" + text.encode())
    async with opened(tmp_path) as memory:
        for reference in (
            "notes/résumé.weird-ext",
            "résumé.weird-ext",
            document_id("notes/résumé.weird-ext"),
        ):
            file = await memory.read_text(reference)
            assert file.content == text
            assert file.path == "notes/résumé.weird-ext"
            assert file.encoding == "utf-8-bom"


async def test_what_cannot_be_read_says_why(tmp_path: Path) -> None:
    root = paths_below(tmp_path).memory_dir
    write(root, "prog", b"\x7fELF\0\0")
    write(root, "sub/x.txt", "x")
    (root / "link").symlink_to(tmp_path / "outside")
    (tmp_path / "outside").write_text("canary")
    async with opened(tmp_path) as memory:
        for reference, failure in {
            "missing.txt": NotFound,
            "prog": NotText,
            "sub": NotText,
            "../outside": PathRefused,
            "link": PathRefused,
            document_id("../outside"): PathRefused,
            str(tmp_path / "outside"): PathRefused,
            "": PathRefused,
            "a\0b": PathRefused,
        }.items():
            with pytest.raises(failure):
                await memory.read_text(reference)


async def test_a_save_keeps_the_encoding_and_a_version_and_is_found_at_once(
    tmp_path: Path,
) -> None:
    root = paths_below(tmp_path).memory_dir
    write(root, "old.txt", "grüße".encode("utf-16"))
    async with opened(tmp_path) as memory:
        saved = await memory.write_text("old.txt", "größer zebra")
        assert (root / "old.txt").read_bytes() == "größer zebra".encode("utf-16")
        assert not saved.created
        assert [hit.document.path for hit in await memory.search("zebra")] == ["old.txt"]
        versions = await memory.versions("old.txt")
        assert [version.version for version in versions] == [saved.version]
        await memory.restore("old.txt", versions[0].version)
        assert (root / "old.txt").read_bytes() == "grüße".encode("utf-16")


async def test_saves_refuse_what_would_lose_something(tmp_path: Path) -> None:
    root = paths_below(tmp_path).memory_dir
    write(root, "a.txt", "one")
    write(root, "prog", b"\x7fELF\0\0")
    async with opened(tmp_path) as memory:
        etag = (await memory.read_text("a.txt")).etag
        write(root, "a.txt", "two")
        with pytest.raises(Conflict):
            await memory.write_text("a.txt", "three", if_match=etag)
        with pytest.raises(NotText):
            await memory.write_text("prog", "text over a program")
        with pytest.raises(TooLarge):
            await memory.write_text("big.txt", "x" * (33 * 2**20))
        assert (root / "a.txt").read_text() == "two"
        assert (root / "prog").read_bytes() == b"\x7fELF\0\0"
        assert not (root / "big.txt").exists()


async def test_added_notes_never_overwrite_and_are_suggested_at_once(tmp_path: Path) -> None:
    root = paths_below(tmp_path).memory_dir
    write(root, "note.md", "mine")
    async with opened(tmp_path) as memory:
        saved = await memory.add_text("note.md", "another")
        assert saved.created
        assert saved.path != "note.md"
        assert (root / "note.md").read_text() == "mine"
        assert saved.path in await found(memory, "note")


async def test_deleting_and_renaming_show_at_once_and_can_be_undone(tmp_path: Path) -> None:
    root = paths_below(tmp_path).memory_dir
    write(root, "a.txt", "precious")
    write(root, "b.txt", "other")
    async with opened(tmp_path) as memory:
        with pytest.raises(Conflict):
            await memory.rename("a.txt", "b.txt")
        await memory.rename("a.txt", "sub/c.txt")
        assert await found(memory, "c.txt") == ["c.txt"]
        gone = await memory.delete("sub/c.txt")
        assert await found(memory, "c.txt") == []
        assert gone.version is not None
        await memory.restore("sub/c.txt", gone.version)
        assert (root / "sub/c.txt").read_text() == "precious"
        assert (root / "b.txt").read_text() == "other"


async def test_a_name_that_is_not_utf_8_is_listed_and_read_by_its_id(tmp_path: Path) -> None:
    root = paths_below(tmp_path).memory_dir
    (root / os.fsdecode(b"caf\xe9.txt")).write_text("latin name")
    (root / "line\nbreak.txt").write_text("odd name")
    async with opened(tmp_path) as memory:
        for document in (await memory.documents())[0]:
            document.shown_path.encode()
            memory.label(document).encode()
            by_label = await memory.read_text(memory.label(document))
            assert by_label == await memory.read_text(document.id)
        assert len(await memory.find("caf")) == 1


async def test_use_brings_a_file_to_the_front_and_survives_a_restart(tmp_path: Path) -> None:
    root = paths_below(tmp_path).memory_dir
    for name in ("plan_a.md", "plan_b.md", "plan_c.md"):
        write(root, name, "x")
    async with opened(tmp_path) as memory:
        for _ in range(5):
            await memory.record_use("plan_c.md")
        assert (await found(memory, "plan"))[0] == "plan_c.md"
        assert (await memory.documents())[0][0].path == "plan_c.md"
    async with opened(tmp_path) as memory:
        assert (await found(memory, "plan"))[0] == "plan_c.md"
        assert (await found(memory, "plan_a"))[0] == "plan_a.md"


async def test_a_vanished_folder_forgets_nothing_and_comes_back(tmp_path: Path) -> None:
    root = paths_below(tmp_path).memory_dir
    write(root, "a.txt", "still here")
    bus = Bus()
    async with opened(tmp_path, bus) as memory:
        root.rename(tmp_path / "away")
        with pytest.raises(Exception, match="memory folder"):
            await memory.refresh()
        assert memory.counts().files == 1
        (tmp_path / "away").rename(root)
        write(root, "b.txt", "new")
        await until_event(bus, FileIndexed("b.txt"))
        await memory.refresh()
        assert memory.counts().files == 2


@pytest.mark.parametrize("seconds", [0.0, 0.15])
async def test_many_saves_at_once_all_arrive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds: float
) -> None:
    """However slowly they are read, as long as the answer may wait for them."""
    real = BodyReader.read

    def read(self: BodyReader, path: str) -> Body:
        time.sleep(seconds)
        return real(self, path)

    async with opened(tmp_path) as memory:
        monkeypatch.setattr(BodyReader, "read", read)
        monkeypatch.setattr("sgoped.memory.memory.INDEX_WAIT_SECONDS", 60.0)
        saved = await asyncio.gather(
            *(memory.add_text("same.md", f"text{i} shared") for i in range(20))
        )
        monkeypatch.undo()
        assert len({one.path for one in saved}) == 20
        hits = await memory.search("shared", 50)
        assert {hit.document.path for hit in hits} == {one.path for one in saved}


@pytest.mark.parametrize("when_ns", [2**63 + 10**9, -(2**62)])
async def test_a_file_from_another_century_holds_nothing_up(tmp_path: Path, when_ns: int) -> None:
    """As a broken clock may leave it."""
    root = paths_below(tmp_path).memory_dir
    for name in ("odd.txt", "usual.txt"):
        write(root, name, "heron")
    os.utime(root / "odd.txt", ns=(when_ns, when_ns))
    for _ in range(2):
        async with opened(tmp_path) as memory:
            assert len(await memory.search("heron")) == 2
            assert memory.index_status().problem == ""
            await memory.write_text("odd.txt", "heron and stork")
            os.utime(root / "odd.txt", ns=(when_ns, when_ns))
            await memory.refresh()
            assert [hit.document.path for hit in await memory.search("stork")] == ["odd.txt"]


async def test_search_shows_the_lines_and_marks_the_words(tmp_path: Path) -> None:
    root = paths_below(tmp_path).memory_dir
    lines = [f"filler line {i}" for i in range(1, 400)]
    lines[249] = "The Zanzibar treaty was signed"
    write(root, "history.txt", "\n".join(lines))
    write(root, "other.md", "zanzibar elsewhere")
    async with opened(tmp_path) as memory:
        hits = {hit.document.path: hit for hit in await memory.search("zanzibar TREATY")}
        hit = hits["history.txt"]
        assert hit.line_start <= 250 <= hit.line_end
        marked = [hit.snippet[a:b] for a, b in hit.matches]
        assert marked == ["Zanzibar", "treaty"]
        assert [hit.document.path for hit in await memory.search("zanzibar", ext="md")] == [
            "other.md"
        ]
        assert [hit.document.path for hit in await memory.search("zanzibar", path="hist")] == [
            "history.txt"
        ]
        assert await memory.search("(" * 8000) == []
        assert await memory.search("") == []
        for limit in (0, -1):
            assert await memory.search("zanzibar", limit) == []
            assert await memory.find("history", limit) == []


async def test_cjk_and_accents_are_found_as_people_type_them(tmp_path: Path) -> None:
    root = paths_below(tmp_path).memory_dir
    write(root, "会議メモ.md", "来週の東京出張について")
    write(root, "Résumé-été.txt", "déjà vu")
    async with opened(tmp_path) as memory:
        for query in ("会議", "議メ", "メモ"):
            assert await found(memory, query) == ["会議メモ.md"], query
        for query in ("resume", "résumé", "ete", "RESUME"):
            assert await found(memory, query) == ["Résumé-été.txt"], query
        assert [hit.document.path for hit in await memory.search("東京")] == ["会議メモ.md"]
        assert [hit.document.path for hit in await memory.search("deja")] == ["Résumé-été.txt"]


async def test_folders_and_images_are_suggested_as_such(tmp_path: Path) -> None:
    root = paths_below(tmp_path).memory_dir
    write(root, "holiday/beach.JPG", b"\xff\xd8\xff\xe0")
    async with opened(tmp_path) as memory:
        kinds = {hit.document.path: hit.document.kind for hit in await memory.find("hol")}
        assert kinds["holiday"] is Kind.FOLDER
        kinds = {hit.document.path: hit.document.kind for hit in await memory.find("beach")}
        assert kinds == {"holiday/beach.JPG": Kind.IMAGE}


async def test_what_a_killed_save_left_behind_is_swept_at_the_next_start(tmp_path: Path) -> None:
    root = paths_below(tmp_path).memory_dir
    left = root / "sub" / ".sgoped-0123456789abcdef.tmp"
    write(root, f"sub/{left.name}", "half a sa")
    os.utime(left, (1_000_000_000, 1_000_000_000))
    write(root, "sub/.sgoped-mine.txt", "a person's own hidden file")
    bus = Bus()
    async with opened(tmp_path, bus):
        await until_event(bus, WatcherChanged("native", ""))
        assert not left.exists()
        assert (root / "sub/.sgoped-mine.txt").exists()


async def test_every_refresh_returns_however_many_are_asked_for(tmp_path: Path) -> None:
    root = paths_below(tmp_path).memory_dir
    for i in range(300):
        write(root, f"d{i}/f.txt", "x")
    async with opened(tmp_path) as memory, asyncio.timeout(20), asyncio.TaskGroup() as tasks:
        asked = []
        for _ in range(30):
            asked.append(tasks.create_task(memory.refresh()))
            await asyncio.sleep(0)
            await asked[0]
    assert all(task.done() for task in asked)


async def test_what_a_kill_left_of_saves_and_versions_is_removed_at_the_next_start(
    tmp_path: Path,
) -> None:
    async with opened(tmp_path) as memory:
        await memory.write_text("note.md", "one")
        kept = await memory.write_text("note.md", "two")
    paths = paths_below(tmp_path)
    [history] = paths.versions_dir.iterdir()
    half = [
        history / "0000000000000001-00000000.blob",
        history / "0000000000000002-00000000.json.tmp",
        paths.memory_dir / ".sgoped-0123456789abcdef.tmp",
    ]
    for file in half:
        file.write_text("half")
        os.utime(file, (1, 1))
    bus = Bus()
    async with opened(tmp_path, bus) as memory:
        # Watching begins when that is done.
        await until_event(bus, WatcherChanged("native", ""))
        assert not [file for file in half if file.exists()]
        assert [version.version for version in await memory.versions("note.md")] == [kept.version]
