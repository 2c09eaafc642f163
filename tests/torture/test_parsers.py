"""Whatever reads what came from outside: any bytes, any cut, any flipped bit.

There is no front matter to read, and no Range header: sgoped knows neither.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from aiohttp.test_utils import make_mocked_request
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st

from sgoped.config.sources import read_settings
from sgoped.errors import InvalidInput, PathRefused, StartupError
from sgoped.llm import ollama, openai
from sgoped.llm.address import is_refused, parse_ollama_address, parse_openai_address
from sgoped.llm.answer import Answer
from sgoped.llm.decode import NDJSONDecoder, SSEDecoder
from sgoped.llm.thinking import ThinkSplitter
from sgoped.llm.types import ReasoningDelta
from sgoped.memory import packing
from sgoped.memory.content_query import MAX_PARTS, parse_query
from sgoped.memory.document import Kind, document_id, path_from_id, safe_relative_path
from sgoped.memory.ignore import IgnoreReader
from sgoped.memory.scanner import Entry, scan_tree
from sgoped.memory.table import FileStatus, PathTable
from sgoped.memory.textual import decode_text, encode_text, looks_binary
from sgoped.memory.versions import Versions
from sgoped.prompts import find_references, safe_file_name, snake_name
from sgoped.web.parameters import Text, Whole, read_if_match
from sgoped.web.wire import InvalidShape, encode, parse_json
from tests.conftest import NoteFigure
from tests.scale import Scale

ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=80)
CUTS = st.lists(st.integers(0, 9_999), max_size=8)


@pytest.fixture(autouse=True)
def figure(scale: Scale, note_figure: NoteFigure) -> Iterator[None]:
    yield
    note_figure(f"up to {scale.examples} inputs")


def mutated(*seeds: bytes) -> st.SearchStrategy[bytes]:
    """Pieces of ``seeds`` in any order, with bytes of them cut out, put in and exchanged."""
    pieces = st.lists(st.sampled_from(seeds) | st.binary(max_size=6), max_size=12).map(b"".join)
    changes = st.lists(st.tuples(st.integers(0, 9_999), st.integers(0, 2), st.binary(max_size=3)))

    def change(data: bytes, changes: list[tuple[int, int, bytes]]) -> bytes:
        for place, removed, added in changes:
            at = place % (len(data) + 1)
            data = data[:at] + added + data[at + removed :]
        return data

    return st.builds(change, pieces, changes)


def cut(data: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(data) + 1) for place in cuts), len(data)]
    return [data[start:end] for start, end in pairwise(edges)]


# -- what models send

STREAM = mutated(
    b'data: {"choices": [{"delta": {"content": "\xc3\xa9<think>"}, "finish_reason": null}]}\n\n',
    b'data: {"choices": [{"delta": {"reasoning": "x"}, "finish_reason": "stop"}]}\r\n\r\n',
    b'{"message": {"role": "assistant", "content": "a", "thinking": "b"}, "done": false}\n',
    b'{"done": true, "done_reason": "stop", "eval_count": 3, "prompt_eval_count": 4}\n',
    b'{"error": "overloaded"}\n',
    b'event: error\rdata: {"error": {"message": "no"}}\r\r',
    b"data: [DONE]\n\n",
    b": comment\n",
    b'data: {"a":\ndata: 1}\n\n',
    b"\xef\xbb\xbf",
    b"{" * 50,
    b"\n",
    b"\r",
)


@given(STREAM, CUTS, st.integers(1, 400))
def test_a_stream_decodes_alike_however_it_is_cut_and_holds_no_more_than_its_limit(
    data: bytes, cuts: list[int], limit: int
) -> None:
    for make in (SSEDecoder, NDJSONDecoder):
        whole, pieces = make(limit), make(limit)
        expected = [*whole.feed(data), *whole.close()]
        found = []
        for piece in cut(data, cuts):
            found += pieces.feed(piece)
            assert pieces._lines._pending_bytes <= limit
            assert sum(map(len, pieces._unread._lines)) <= limit
            if isinstance(pieces, SSEDecoder):
                assert sum(map(len, pieces._held)) <= 2 * limit
        found += pieces.close()
        assert json.dumps(found) == json.dumps(expected)
        told = [(one.skipped, one.ended, one.overflowed) for one in (whole, pieces)]
        assert told[0] == told[1]


# fmt: off
FIELDS = [
    "choices", "delta", "message", "content", "error", "finish_reason", "usage", "done", "thinking",
    "reasoning_content", "done_reason", "eval_count", "prompt_tokens", "x",
]
# fmt: on
FOREIGN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | ANY_TEXT,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(FIELDS),
            inner,
            max_size=5,
        )
    ),
    max_leaves=12,
)
OBJECTS = FOREIGN.filter(lambda value: isinstance(value, dict))


@given(st.lists(OBJECTS | st.just({"done": True}), max_size=5), STREAM)
def test_any_objects_make_an_answer_that_ends(objects: list[Any], rest: bytes) -> None:
    lines = [json.dumps(value).encode() for value in objects]
    read: list[tuple[Any, Callable[..., None], bytes]] = [
        (SSEDecoder(), openai.read_chunk, b"".join(b"data: %b\n\n" % line for line in lines)),
        (NDJSONDecoder(), ollama.read_chunk, b"".join(b"%b\n" % line for line in lines)),
    ]
    for decoder, read_chunk, data in read:
        answer = Answer(decoder, read_chunk)
        events = [*answer.feed(data), *answer.feed(rest), *answer.close()]
        assert answer.ended
        json.dumps([repr(event) for event in events]).encode()
        assert answer.feed(data) == []


PIECES = st.lists(
    st.sampled_from(["<think>", "</think>", "<", "<th", "</", "think>", "ink>", "a\n"]) | ANY_TEXT
)


@given(PIECES)
def test_thinking_told_apart_is_the_text_without_its_tags(pieces: list[str]) -> None:
    splitter = ThinkSplitter()
    deltas = [delta for piece in pieces for delta in splitter.feed(piece)] + splitter.close()
    found = {True: "", False: ""}
    for delta in deltas:
        found[isinstance(delta, ReasoningDelta)] += delta.text
    text, expected, thinking = "".join(pieces), {True: "", False: ""}, False
    while text:
        before, tag, text = text.partition("</think>" if thinking else "<think>")
        expected[thinking] += before
        thinking ^= bool(tag)
    assert found == expected


@given(mutated(b"http://", b"localhost", b"[::1]", b":11434", b"169.254.169.254", b"%2e", b"/v1",
               b"@", b"0x7f.1", b"xn--", "\u3002".encode(), "\u2468".encode(), b"//", b"?"))  # fmt: skip
@example("\u02da".encode())
def test_an_accepted_address_is_safe_and_read_back_as_itself(data: bytes) -> None:
    for parse in (parse_ollama_address, parse_openai_address):
        try:
            address = parse(data.decode("utf-8", "replace"))
        except InvalidInput:
            continue
        assert address.url.scheme in ("http", "https")
        assert not is_refused(str(address.url.host))
        assert not set(str(address.url.raw_host)) & set(" /\\@?#%\r\n\t\0") or ":" in str(address)
        assert parse(str(address)).endpoint == address.endpoint


# -- what ignore files say

# No name of two bytes a character: `?` is one byte to git, and one character here.
NAMES = ("a", "b", "ab", "a.b", "A", "lib", "x y", "a\\b", "!a", "#a", "[a]", "\udcff")
LINES = mutated(
    *(b"a", b"b", b"*", b"**", b"/", b"!", b"#", b"\\", b"?", b"[ab]", b"[!a]", b"[a-", b"]"),
    *(b"\n", b"\n", b"\n", b"\r\n", b"lib/", b"/**/", b"x y", b" ", b"\\ ", b".b", b"\xc3\xa9"),
    *(b"\xff", b"\xef\xbb\xbf", b"[[]", b"[a&&b~~|]", b"[+--]", b"a*b*", b"\t"),
)
EMPTY_GIT = {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null", "HOME": "/"}


def kept(root: Path, reader: IgnoreReader | None = None) -> set[str]:
    return {
        f"{directory}/{entry.name}" if directory else entry.name
        for directory, entries in scan_tree(root, ignore=reader)
        for entry in entries
        if entry.mode_kind == "file" and entry.name != ".gitignore"
    }


@pytest.fixture
def trees(tmp_path: Path) -> list[Path]:
    """Folders of a git work tree, each with the same files."""
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True, env=git_environment())
    folders = [tmp_path / f"tree{number}" for number in range(10)]
    places = ("", "a/", "lib/", "lib/a/", "b/lib/", "a/ab/")
    for folder in folders:
        for above in places:
            (folder / above).mkdir(parents=True, exist_ok=True)
        for above in places:
            for name in NAMES:
                if not (folder / f"{above}{name}").exists():
                    (folder / f"{above}{name}").write_bytes(b"")
    return folders


def git_environment() -> dict[str, str]:
    return {**EMPTY_GIT, "PATH": os.defpath}


@pytest.mark.skipif(shutil.which("git") is None, reason="git is the oracle")
def test_any_bytes_in_an_ignore_file_mean_what_git_says(trees: list[Path], scale: Scale) -> None:
    root = trees[0].parent
    listing = ["git", "-c", "core.excludesFile=/dev/null", "-C", str(root)]
    listing += ["ls-files", "-z", "--others", "--exclude-standard"]

    @settings(
        max_examples=max(20, scale.examples // len(trees)),
        deadline=None,
        phases=(Phase.generate,),  # asking git takes too long to make what failed any smaller
    )
    @given(st.lists(LINES.filter(is_read_alike), min_size=len(trees), max_size=len(trees)))
    def law(rules: list[bytes]) -> None:
        for tree, lines in zip(trees, rules, strict=True):
            (tree / ".gitignore").write_bytes(lines)
        git = subprocess.run(listing, check=True, env=git_environment(), capture_output=True)
        wanted = {name for name in os.fsdecode(git.stdout).split("\0") if name}
        wanted = {name for name in wanted if not name.endswith(".gitignore")}
        found = kept(root)
        wrong = {name.split("/")[0] for name in found ^ wanted}
        told = {tree.name: lines for tree, lines in zip(trees, rules, strict=True)}
        assert found == wanted, [(told[name], found ^ wanted) for name in sorted(wrong)]

    law()


def is_read_alike(lines: bytes) -> bool:
    """Ranges that go backwards, and classes such as [[:alpha:]], git alone understands."""
    return b"[" not in lines or (b"-" not in lines and b"[:" not in lines)


@settings(deadline=None)
@given(st.binary(max_size=400) | LINES)
@example(b"a/**/" * 60 + b"b")
@example(b"**/*a" * 60 + b"b")
@example(b"*a" * 400)
@example(b"[" * 1000)
@example(b"a" * 900_000)
@example(b"**/\n" * 200_000)
def test_no_ignore_file_stops_a_scan(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    root = tmp_path_factory.getbasetemp() / "scanned"
    if not root.exists():
        (root / "/".join("a" * 40)).mkdir(parents=True)
        (root / ("a" * 250)).write_bytes(b"")
    (root / ".gitignore").write_bytes(data)
    kept(root, IgnoreReader())


# -- what people type

WORDS = st.text(
    st.characters(exclude_categories=["Cs", "Z", "Cc"], exclude_characters='",:-'), min_size=1
)


@given(
    st.lists(WORDS, max_size=8),
    st.lists(WORDS, max_size=8),
    st.lists(WORDS, max_size=8),
    st.lists(WORDS, max_size=8),
)
def test_a_query_put_together_is_taken_apart(
    words: list[str], phrases: list[str], excluded: list[str], paths: list[str]
) -> None:
    parts = [
        *words,
        *(f'"{one} x"' for one in phrases),
        *(f"-{one}" for one in excluded),
        *(f'path:"{one} y"' for one in paths),
    ]
    query = parse_query(" ".join(parts))
    if len(" ".join(parts)) < 2000:
        assert query.words == " ".join(words)
        assert query.phrases == tuple(f"{one} x" for one in phrases)
        assert query.excluded == tuple(excluded)
        assert query.paths == tuple(f"{one} y" for one in paths)


@given(mutated(b'"', b"-", b"path:", b"ext:", b" ", b"a", b",", b"--", b"\n"))
def test_every_text_is_a_bounded_query(data: bytes) -> None:
    query = parse_query(data.decode("utf-8", "replace"))
    for parts in (query.phrases, query.excluded, query.paths, query.not_paths, query.suffixes):
        assert len(parts) <= MAX_PARTS


@given(
    mutated(b"@", b'@"', b'"', b"a.md", b" ", b"(", b")", b".", b"/", b"@@", "\u3002".encode()),
    st.lists(ANY_TEXT, max_size=3),
)
def test_references_stand_where_they_say(data: bytes, known: list[str]) -> None:
    text = data.decode("utf-8", "replace")
    end = 0
    for reference in find_references(text, known):
        assert end <= reference.start
        end = reference.end
        assert (
            text[reference.start : reference.end].strip('@"').startswith(reference.name.strip('@"'))
        )


@given(mutated(b"a", b"/", b"..", b".", b"\\", b" ", b"C:", b".f:", b"%2e", b"\xff", b"\0", b"~", "e\u0301".encode(), b"n" * 250))  # fmt: skip
@example(b" /")
def test_an_accepted_path_lies_below_the_folder(data: bytes) -> None:
    text = os.fsdecode(data)
    assert path_from_id(document_id(text)) == text
    for for_reading in (False, True):
        try:
            path = safe_relative_path(text, for_reading=for_reading)
        except PathRefused:
            continue
        assert os.path.normpath(f"/root/{path}") == f"/root/{path}"
        assert safe_relative_path(path, for_reading=for_reading) == path
        assert "\0" not in path


@given(ANY_TEXT)
@example(".f:\udcff")
def test_what_is_no_id_is_told_and_never_fails(text: str) -> None:
    for given_text in (text, f".f:{text}"):
        path = path_from_id(given_text)
        assert path is None or isinstance(os.fsencode(path), bytes)


@given(
    ANY_TEXT
    | mutated(
        b".",
        b"/",
        b"\\",
        b"con",
        b".txt",
        b"a",
        b" ",
        b"_",
        b"A",
        b"n" * 200,
        "\u0345".encode(),
        "\u202e".encode(),
    ).map(os.fsdecode)
)
def test_made_names_are_safe_and_stay_as_they_are(text: str) -> None:
    name = safe_file_name(text)
    if name:
        assert safe_relative_path(name) == name
        assert "/" not in name
        assert safe_file_name(name) == name
    short = snake_name(text)
    assert snake_name(short) == short
    if short:
        assert safe_relative_path(short) == short


# -- headers, parameters, bodies

HEADER = st.text(st.characters(max_codepoint=255, exclude_characters="\r\n\0"), max_size=40)


@given(HEADER | st.sampled_from(['"a"', 'W/"a"', '""', "*", '"a", "b"', " a ", '"a', "W/"]))
def test_an_if_match_names_one_state_or_is_refused(value: str) -> None:
    request = make_mocked_request("POST", "/", headers={"If-Match": value})
    try:
        tag = read_if_match(request)
    except InvalidShape:
        return
    assert tag is not None
    assert value.strip() in (tag, f'"{tag}"', f'W/"{tag}"')
    assert tag != "*"


@given(
    ANY_TEXT
    | st.integers().map(str)
    | st.sampled_from(["\u0663", "1e3", "+1", "-0", " 1", "9" * 30])
)
def test_a_number_is_one_within_its_bounds_or_refused(value: str) -> None:
    limit = Whole("limit", "", minimum=1, maximum=100)
    text = Text("q", "", max_chars=10)
    request = make_mocked_request(
        "GET", f"/?{urlencode({'limit': value, 'q': value}, errors='replace')}"
    )
    with contextlib.suppress(InvalidShape):
        assert 1 <= limit.read(request, 7) <= 100
        assert str(limit.read(request, 7)) == request.query["limit"].lstrip("0")
    with contextlib.suppress(InvalidShape):
        assert len(text.read(request)) <= 10


@given(mutated(b'{"a": ', b"}", b"[", b"]", b"1", b"NaN", b"1e999", b'"\\ud800"', b'"x"', b",", b"9" * 5000, b"[" * 300, b"\xff"))  # fmt: skip
def test_any_body_is_an_object_that_can_be_sent_back_or_is_refused(data: bytes) -> None:
    try:
        value = parse_json(data)
    except InvalidInput:
        return
    if "inf" not in repr(value):  # 1e999 is more than a number can be, and is sent back as null
        assert parse_json(encode(value)) == value


# -- what is read from the disk


@given(mutated(b"text\n", b"\0", b"\xff\xfe", b"\xfe\xff", b"\xef\xbb\xbf", b"a\0", b"\0a", b"\xe9", b"\x81", b"%PDF-", b"\x1b", b"\x7f", b"\x00\x00\xfe\xff", b"\xd8\x00"))  # fmt: skip
def test_what_is_read_as_text_is_saved_as_the_same_bytes(data: bytes) -> None:
    decoded = decode_text(data)
    if decoded is not None:
        assert encode_text(decoded.text, decoded.encoding) == data
        assert not looks_binary(data)


FILES = st.lists(
    st.tuples(
        st.sampled_from(["", "d", "d/e"]),
        st.text(
            st.characters(exclude_characters="/\0", exclude_categories=["Cs"]),
            min_size=1,
            max_size=8,
        ),
        st.integers(0, 2**63),
        st.integers(-(2**63), 2**63 - 1),
    ),
    max_size=8,
    unique_by=lambda file: file[:2],
)


def packed(files: list[tuple[str, str, int, int]]) -> tuple[PathTable, list[packing.Row]]:
    table = PathTable()
    for directory, name, size, time_ns in files:
        pid = table.add(directory, Entry(name, "file", size, time_ns, time_ns, size), Kind.TEXT)
        if size % 3 == 0:
            table.settle(pid, Kind.TEXT, FileStatus.SKIPPED, "why \u00e9")
    rows = [packing.pack_directory(table, directory) for directory in ("", "d", "d/e")]
    return table, [row for row in rows if row is not None]


@given(FILES, st.integers(0, 9_999), st.integers(0, 255), st.booleans(), st.sampled_from(["{}", "5", "[]", '{"a": 1}', "{", '{"1": "x"}', "[" * 9999]))  # fmt: skip
def test_a_stored_directory_is_read_back_or_called_damaged(
    files: list[tuple[str, str, int, int]], place: int, byte: int, checked: bool, reasons: str
) -> None:
    table, rows = packed(files)
    loaded = PathTable()
    packing.unpack_directories(loaded, rows, table.next_pid)
    every = [(table.path(pid), table.sizes[pid], table.reasons.get(pid)) for pid in table.pids()]
    assert every == [
        (loaded.path(pid), loaded.sizes[pid], loaded.reasons.get(pid)) for pid in loaded.pids()
    ]
    if rows:
        path, data, _ = rows[0]
        garbled = bytearray(data)
        garbled[place % len(data)] = byte
        if checked:  # what was written wrong in the first place
            garbled[:4] = packing._checksum(path, bytes(garbled[4:]), reasons)
        rows[0] = (path, bytes(garbled), reasons)
        try:
            packing.unpack_directories(PathTable(), rows, table.next_pid)
        except (ValueError, IndexError):
            return
        assert checked or (bytes(garbled), reasons) == (data, "{}") or rows[0][2] == reasons


@given(
    mutated(
        b'{"version": "', b'"path": "a.txt"', b'"size": 1', b"[" * 2000, b"}", b"null", b"1e999"
    )
)
def test_a_garbled_note_of_a_version_hides_no_other(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    folder = tmp_path_factory.getbasetemp() / "versions"
    versions = Versions(folder, 10**9)
    if not versions.list("a.txt"):
        versions.keep("a.txt", b"good", "overwritten")
    (directory,) = folder.iterdir()
    (directory / "00000000000000ff-00000000.json").write_bytes(data)
    (found,) = versions.list("a.txt")
    assert versions.read("a.txt", found.version) == b"good"


CONFIG = mutated(
    *(b"port = 1\n", b'host = "localhost"\n', b"[", b"]", b"=", b'"', b"'", b"\n", b"#", b"\xff"),
    *(b"SGOPED_PORT=1\n", b"OPENAI_API_KEY=sk-1\n", b"OPENAI_BASE_URL=http://h/v1\n", b"true"),
    *(b"max_file_bytes = ", b"1e999", b"-1", b"${HOME}", b"\0", b"\xef\xbb\xbf", b"quiet_seconds="),
    *(b"allowed_hosts = ", b"memory_dir = ", b"OLLAMA_HOST=", b"http://[", b"export ", b"\\u"),
)


@given(CONFIG, CONFIG)
def test_any_settings_file_is_read_or_refused_with_its_name(
    tmp_path_factory: pytest.TempPathFactory, toml: bytes, env: bytes
) -> None:
    home = tmp_path_factory.getbasetemp() / "configured"
    (home / "config").mkdir(parents=True, exist_ok=True)
    (home / "config" / "config.toml").write_bytes(toml)
    (home / "config" / ".env").write_bytes(env)
    told = None
    try:
        read_settings({"home": home}, working_dir=home)
    except StartupError as error:
        told = error
    assert told is None or (told.exit_code == 78 and str(home / "config") in str(told))
