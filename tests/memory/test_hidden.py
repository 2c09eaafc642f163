"""Hidden files: known by their names, found by their dot, and by nothing else."""

from __future__ import annotations

import asyncio
import itertools
from pathlib import Path

import pytest

from sgoped.errors import NotFound, PathRefused
from sgoped.events import Bus, FileIndexed
from sgoped.memory import Memory, document_id
from sgoped.memory.hidden import is_left_out
from sgoped.memory.matcher import NAME_START, NAME_WHOLE
from sgoped.memory.path_query import parse_path_query
from sgoped.memory.worker import IndexWorker
from tests.memory.opening import WAIT_SECONDS, found, opened, paths_below, until_event
from tests.memory.test_worker import make, settle, stored


def write(root: Path, *names: str, content: str = "zebra crossing") -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)


async def paths(memory: Memory, query: str) -> list[str]:
    return [hit.document.path for hit in await memory.find(query)]


@pytest.mark.parametrize(
    "name",
    [
        ".gitignore",
        ".editorconfig",
        ".eslintrc.json",
        ".bashrc",
        ".tool-versions",
        ".f:x",
        ".env.example",
        ".env.sample",
        ".env.template",
        ".envoy.yaml",
        ".npmignore",
        ".x",
    ],
)
def test_what_people_configure_is_known(name: str) -> None:
    assert not is_left_out(name)
    assert is_left_out(name, is_folder=True)


@pytest.mark.parametrize(
    "name",
    [
        ".env",
        ".ENV",
        ".env.local",
        ".env.production",
        ".env~",
        ".env.example.bak",
        ".envrc",
        ".netrc",
        ".npmrc",
        ".npmrc.old",
        ".pypirc",
        ".pgpass",
        ".my.cnf",
        ".htpasswd",
        ".boto",
        ".git-credentials",
        ".dockercfg",
        ".s3cfg",
        ".Xauthority",
        ".ICEauthority",
        ".vault-token",
        ".bash_history",
        ".zsh_history",
        ".python_history",
        ".Rhistory",
        ".history",
        ".lesshst",
        ".server.pem",
        ".id.key",
        ".secrets.yaml",
        ".api_token",
    ],
)
def test_what_usually_holds_secrets_is_left_out(name: str) -> None:
    assert is_left_out(name)


@pytest.mark.parametrize(
    "name",
    [
        ".#notes.md",
        ".notes.md.swp",
        ".a.swo",
        ".~lock.a.odt#",
        ".sgoped-0123456789abcdef.tmp",
        "._a.txt",
        ".a.txt~",
        ".DS_Store",
        ".nfs000000000012",
        ".git",
        ".",
        "..",
    ],
)
def test_what_programs_make_for_themselves_is_left_out(name: str) -> None:
    assert is_left_out(name)


@pytest.mark.parametrize(
    ("typed", "dotted"),
    [
        (".gitig", (".gitig",)),
        ("src/.ESL", (".esl", "src")),
        (".esl my-app", (".esl", "my", "app")),
        ("./src/.esl", (".esl", "src")),
        (".eslintrc.js", (".eslintrc.js",)),
        (".", (".",)),
        ("src/.", (".", "src")),
        ("gitignore", ()),
        ("foo.test", ()),
        ("./src", ()),
        ("../src", ()),
        ("..", ()),
        ("/", ()),
    ],
)
def test_a_word_that_begins_with_a_dot_asks_for_hidden_files(
    typed: str, dotted: tuple[str, ...]
) -> None:
    assert parse_path_query(typed).dotted == dotted


NAMES = (
    ".gitignore",
    "src/.gitignore",
    "src/.eslintrc.json",
    "lib/.eslintrc.json",
    ".env",
    ".git/config",
    ".github/.editorconfig",
    "src/eslint.config.js",
    "gitignorance.md",
    ".f:gitignorance.md",
)


async def test_hidden_files_are_found_by_their_dot_and_by_nothing_else(tmp_path: Path) -> None:
    root = paths_below(tmp_path).memory_dir
    write(root, *NAMES)
    async with opened(tmp_path) as memory:
        assert await paths(memory, ".gitig") == [".gitignore", "src/.gitignore", "gitignorance.md"]
        assert (await paths(memory, "src/.gitignore"))[0] == "src/.gitignore"
        assert (await paths(memory, "src/.esl"))[0] == "src/.eslintrc.json"
        assert (await paths(memory, ".esl lib"))[0] == "lib/.eslintrc.json"
        assert (await paths(memory, "lib .esl"))[0] == "lib/.eslintrc.json"
        assert set(await paths(memory, ".")) == {
            name for name in NAMES if name.rpartition("/")[2][:1] == "." and name[:5] not in _OUT
        }
        for query in (".env", ".git/conf", ".editor", ".config"):
            assert not [path for path in await paths(memory, query) if "." in path[:1]], query
        for query in (
            "gitignore",
            "gitig",
            "eslintrc",
            "src",
            "src esl",
            "srceslint",
            "esl",
            "gti",
        ):
            hits = await paths(memory, query)
            assert not [path for path in hits if path.rpartition("/")[2].startswith(".")], query
        assert await memory.search("zebra", path="gitignore") == []
        assert len(await memory.search("zebra", 50)) == 2
        assert memory.counts().total_items == 4  # two files, two folders
        assert memory.index_status().documents == 4
        documents, total = await memory.documents()
        assert {one.path for one in documents} == {"src", "lib", *NAMES[7:9]}
        assert total == 4


_OUT = (".env", ".git/", ".gith")


async def test_the_whole_name_comes_first_and_says_why(tmp_path: Path) -> None:
    root = paths_below(tmp_path).memory_dir
    write(root, ".gitignore_global", ".gitignore", "deep/.gitignore", "gitignore.md")
    async with opened(tmp_path) as memory:
        hits = await memory.find(".gitignore")
        assert [(hit.document.path, hit.why) for hit in hits[:3]] == [
            (".gitignore", NAME_WHOLE),
            ("deep/.gitignore", NAME_WHOLE),
            (".gitignore_global", NAME_START),
        ]
        await memory.record_use("deep/.gitignore")
        assert (await paths(memory, ".giti"))[0] == "deep/.gitignore"
        assert "deep/.gitignore" not in await paths(memory, "gitignore")


async def test_many_hidden_files_take_no_places_of_others(tmp_path: Path) -> None:
    root = paths_below(tmp_path).memory_dir
    write(root, *(f"pkg{number}/.config{number}" for number in range(60)), "pkg1/config.py")
    async with opened(tmp_path) as memory:
        assert (await paths(memory, "config"))[0] == "pkg1/config.py"
        assert len(await memory.find(".config", 100)) >= 60


async def test_what_is_found_by_its_dot_can_be_read_but_not_changed(tmp_path: Path) -> None:
    root = paths_below(tmp_path).memory_dir
    write(root, ".editorconfig", ".env", "a.md", ".venv/x.py")
    (root / ".link").symlink_to(root / "a.md")
    async with opened(tmp_path) as memory:
        for reference in (".editorconfig", document_id(".editorconfig"), "./.editorconfig"):
            assert (await memory.read_text(reference)).content == "zebra crossing"
        for name in (".editorconfig", document_id(".editorconfig")):
            with pytest.raises(PathRefused, match="read, not changed"):
                await memory.write_text(name, "x")
            with pytest.raises(PathRefused, match="read, not changed"):
                await memory.delete(name)
            with pytest.raises(PathRefused, match="read, not changed"):
                await memory.rename(name, "b.md")
        with pytest.raises(PathRefused, match="read, not changed"):
            await memory.rename("a.md", ".b")
        for name in (".env", document_id(".env"), ".venv/x.py", ".", "a/.."):
            with pytest.raises(PathRefused):
                await memory.read_text(name)
        with pytest.raises(PathRefused, match="link"):
            await memory.read_text(".link")
        with pytest.raises(NotFound):
            await memory.read_text(".nothing")
    assert (root / ".editorconfig").read_text() == "zebra crossing"
    assert not (root / "b.md").exists()


async def test_a_name_that_looks_like_an_id_is_never_taken_for_one(tmp_path: Path) -> None:
    root = paths_below(tmp_path).memory_dir
    write(root, "x", content="plain")
    write(root, ".f:x", "sub/.f:x", content="odd")
    write(root, ".f:only", content="odd")
    async with opened(tmp_path) as memory:
        hits = {hit.document.path: hit for hit in await memory.find(".f:")}
        assert set(hits) == {".f:x", ".f:only", "sub/.f:x"}
        for path, hit in hits.items():
            assert hit.label == hit.document.id == document_id(path)
            assert (await memory.resolve(hit.label)).path == path
            assert (await memory.read_text(hit.label)).content == "odd"
        assert (await memory.resolve(".f:x")).path == "x"
        for reference in (".f:only", ".f:"):
            with pytest.raises(NotFound):
                await memory.resolve(reference)
        with pytest.raises((NotFound, PathRefused)):
            await memory.read_text(".f:")


async def test_what_happens_to_hidden_files_is_noticed(tmp_path: Path) -> None:
    root = paths_below(tmp_path).memory_dir
    bus = Bus()
    ticks = itertools.count()
    async with opened(tmp_path, bus) as memory:

        async def until_found(query: str, wanted: list[str]) -> None:
            async with asyncio.timeout(WAIT_SECONDS):
                while await found(memory, query) != wanted:
                    name = f"tick{next(ticks)}.txt"
                    write(root, name)
                    await until_event(bus, FileIndexed(name))

        write(root, "deep/.prettierrc")
        await until_found(".pretti", [".prettierrc"])
        (root / "deep/.prettierrc").rename(root / "deep/.stylelintrc")
        await until_found(".stylel", [".stylelintrc"])
        assert await found(memory, ".pretti") == []
        (root / "deep/.stylelintrc").unlink()
        await until_found(".stylel", [])
        write(root, ".npmrc")
        await memory.refresh()
        assert await found(memory, ".npm") == []
        assert not [event for _, event in bus.since(0) if "/." in getattr(event, "path", "")]


async def test_an_ignored_hidden_file_goes_and_comes_back(tmp_path: Path) -> None:
    root = paths_below(tmp_path).memory_dir
    write(root, ".mine.toml")
    async with opened(tmp_path) as memory:
        assert await found(memory, ".mine") == [".mine.toml"]
        write(root, ".sgopedignore", content=".mine*\n")
        await memory.refresh()
        assert await found(memory, ".mine") == []
        (root / ".sgopedignore").unlink()
        await memory.refresh()
        assert await found(memory, ".mine") == [".mine.toml"]
    async with opened(tmp_path) as memory:
        assert await found(memory, ".mine") == [".mine.toml"]


def by_dot(worker: IndexWorker) -> set[str | None]:
    return {worker.table.hidden_path(pid) for pid in worker.names.by_dot([".x"], 10)}


async def test_a_kill_before_the_catalogue_is_saved_loses_no_hidden_name(tmp_path: Path) -> None:
    root = tmp_path / "root"
    write(root, ".x1", "a.txt")
    async with stored(tmp_path) as store:

        def work() -> None:
            worker = make(tmp_path, store)
            settle(worker)
            write(root, ".x2")
            worker.look_at([".x2", ".x3"])
            worker._kept_names.put(7, lambda: worker.names.add_path(7, ".x9"))
            worker.names.commit()  # and killed before the catalogue learns of it
            worker.names.close()
            worker.bodies.close()
            worker = make(tmp_path, store)
            assert by_dot(worker) == {".x1"}
            settle(worker)
            assert by_dot(worker) == {".x1", ".x2"}
            assert not list(worker.table.pending())
            (root / ".x1").write_text("changed")
            settle(worker)
            assert not list(worker.table.pending())
            worker._kept_names.rebuild("on purpose")
            settle(worker)
            assert by_dot(worker) == {".x1", ".x2"}
            worker.close()

        await asyncio.to_thread(work)
