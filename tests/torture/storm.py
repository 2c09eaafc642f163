"""People at work on one daemon, and what each of them was told is done.

Every worker has things of its own, so that what it was told last is what must be there. An
operation that was not answered may have happened or not, but not in part: it is kept as the list of
what may be there now.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import json
import random
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

MAX_FILES = 24
MAX_VERSIONS = 40
SERVICE_IDS = ("one", "two", "three", "four")
DEFAULTS = tuple(f"base/m{number}" for number in range(6))
NOBODY = "http://127.0.0.1:9"
TEMPORARY = re.compile(r"\.sgoped-[0-9a-f]{16}\.tmp")
FAILURES = (OSError, http.client.HTTPException)
Outcome = Mapping[str, bytes | None]


class LostError(AssertionError):
    """Something acknowledged is not there."""


class TornError(AssertionError):
    """Something is there in part."""


def word_of(number: int) -> str:
    """A word that stands nowhere else: the number in letters."""
    letters = ""
    for _ in range(7):
        number, digit = divmod(number, 20)
        letters += "bcdfghjklmnpqrstvwxz"[digit]
    return f"zo{'o'.join(letters)}o"


def make_content(word: str, rng: random.Random) -> bytes:
    """Text whose first line tells how long it is and what it hashes to."""
    size = rng.choice((40, 400, 4_000, 30_000, 200_000 if rng.random() < 0.1 else 1_000))
    line = f"{word} {rng.randbytes(15).hex()} was here\n"
    rest = (line * (size // len(line) + 1)).encode()
    return f"{len(rest)} {hashlib.sha256(rest).hexdigest()} {word}\n".encode() + rest


def is_whole(data: bytes) -> bool:
    """Whether this is one of our contents from its first to its last byte."""
    head, _, rest = data.partition(b"\n")
    fields = head.split()
    return (
        len(fields) == 3
        and fields[0] == str(len(rest)).encode()
        and fields[1] == hashlib.sha256(rest).hexdigest().encode()
    )


def read_or_none(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None


class Connection:
    """Requests over one connection; any failure means that nothing was acknowledged."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)

    def ask(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        data = None if body is None else json.dumps(body)
        headers = {"Content-Type": "application/json"}
        self._connection.request(method, path, body=data, headers=headers)
        response = self._connection.getresponse()
        text = response.read()
        return response.status, json.loads(text)

    def stream(self, body: object) -> list[dict[str, Any]]:
        """The events of a chat; what was read when the connection broke is told as well."""
        events: list[dict[str, Any]] = []
        headers = {"Content-Type": "application/json"}
        self._connection.request("POST", "/api/chat/stream", json.dumps(body), headers)
        with contextlib.suppress(*FAILURES, ValueError):
            lines = iter(self._connection.getresponse())
            events.extend(json.loads(line[6:]) for line in lines if line.startswith(b"data: "))
        return events

    def close(self) -> None:
        self._connection.close()


@dataclass
class Tally:
    """What was done.

    Attributes:
        acknowledged: Changes that were answered with success.
        doubtful: Changes that a kill cut off.
        happened: Those of them that had happened nevertheless.
    """

    acknowledged: int = 0
    doubtful: int = 0
    happened: int = 0


class Worker:
    """One person's doings, step by step, until the daemon is gone.

    Attributes:
        expects_end: Set when the daemon was asked to stop, so that refusals are no failures.
    """

    def __init__(self, name: str, seed: int, root: Path) -> None:
        self.name = name
        self.rng = random.Random(f"{seed} {name}")
        self.root = root
        self.tally = Tally()
        self.problem: BaseException | None = None
        self.ended = False
        self._counter = 0
        self._number = int.from_bytes(hashlib.sha256(name.encode()).digest()[:1]) % 16

    def run(self, port: int, stop: threading.Event) -> None:
        """Work until ``stop`` is set or the daemon does not answer any more."""
        connection = Connection(port)
        try:
            while not stop.is_set():
                self.step(connection)
        except FAILURES:
            pass
        except BaseException as problem:  # noqa: BLE001 - raised again by who joins
            self.problem = problem
        finally:
            connection.close()

    def step(self, connection: Connection) -> None:
        raise NotImplementedError

    def new_word(self) -> str:
        self._counter += 1
        return word_of(self._counter * 16 + self._number)

    def acknowledged(self, answer: tuple[int, Any]) -> Any:
        """The body of a success.

        Raises:
            ConnectionError: The daemon is about to end and said so.
            AssertionError: It was refused.
        """
        status, body = answer
        if status == 503 and self.ended:
            raise ConnectionError("it is ending")
        assert status == 200, f"{self.name}: {status} {body}"
        self.tally.acknowledged += 1
        return body


@dataclass
class Files:
    """What one worker's files hold, as far as was acknowledged.

    Attributes:
        known: Content by path.
        doubt: What may be there of the change that was cut off, the intended outcome last.
        versions: Content that can be restored, by path and version.
        moving: Old and new path by which a rename that may be cut off takes versions along.
        split: Versions that may be under either of two paths.
    """

    known: dict[str, bytes] = field(default_factory=dict)
    doubt: list[Outcome] = field(default_factory=list)
    versions: dict[str, dict[str, bytes]] = field(default_factory=dict)
    moving: list[tuple[str, str]] = field(default_factory=list)
    split: list[tuple[str, str, set[str]]] = field(default_factory=list)

    def apply(self, outcome: Outcome) -> None:
        for path, content in outcome.items():
            if content is None:
                self.known.pop(path, None)
            else:
                self.known[path] = content
        self.doubt = []
        self.moving = []

    def move_versions(self) -> None:
        """The rename is done: what was kept of a file goes by its new path."""
        for old, new in self.moving:
            if moved := self.versions.pop(old, {}):
                self.versions[new] = moved

    def split_versions(self) -> None:
        """The rename was cut off behind its change: what was kept goes by one path or the other."""
        for old, new in self.moving:
            kept = self.versions.pop(old, {}) | self.versions.pop(new, {})
            self.split.append((old, new, set(kept)))

    def remember(self, path: str, version: str | None, content: bytes) -> None:
        if version is not None:
            kept = self.versions.setdefault(path, {})
            kept[version] = content
            if len(kept) > MAX_VERSIONS:
                del kept[next(iter(kept))]


class FileWorker(Worker):
    """Saves, deletes, renames and restores files below a folder of its own."""

    def __init__(self, name: str, seed: int, root: Path) -> None:
        super().__init__(name, seed, root)
        self.files = Files()
        self._folder_number = 0

    def step(self, connection: Connection) -> None:
        known = self.files.known
        roll = self.rng.random()
        if len(known) < 3 or (roll < 0.3 and len(known) < MAX_FILES):
            self._save(connection, self._new_path())
        elif roll < 0.55:
            self._save(connection, self._any())
        elif roll < 0.7:
            self._delete(connection, self._any())
        elif roll < 0.82:
            self._rename(connection, self._any())
        elif roll < 0.86:
            self._rename_folder(connection)
        else:
            self._restore(connection)

    def _any(self) -> str:
        return self.rng.choice(sorted(self.files.known))

    def _new_path(self) -> str:
        folder = self.rng.choice(("", "", "sub/", "deep/er/", "odd \N{SNOWMAN} name/"))
        return f"{self.name}/{folder}{self.new_word()}.md"

    def _save(self, connection: Connection, path: str) -> None:
        old = self.files.known.get(path)
        data = make_content(self.new_word(), self.rng)
        self.files.doubt = [{path: old}, {path: data}]
        body = {"path": path, "content": data.decode()}
        done = self.acknowledged(connection.ask("POST", "/api/files/content", body))
        assert done["created"] == (old is None), (path, done)
        if old is not None:
            self.files.remember(path, done["version"], old)
        self.files.apply({path: data})

    def _delete(self, connection: Connection, path: str) -> None:
        old = self.files.known[path]
        self.files.doubt = [{path: old}, {path: None}]
        done = self.acknowledged(connection.ask("DELETE", f"/api/files/content?path={quote(path)}"))
        self.files.remember(path, done["version"], old)
        self.files.apply({path: None})

    def _rename(self, connection: Connection, path: str) -> None:
        data, to = self.files.known[path], self._new_path()
        both, done = {path: data, to: data}, {path: None, to: data}
        self.files.doubt = [{path: data, to: None}, both, done]
        self.files.moving = [(path, to)]
        self.acknowledged(connection.ask("POST", "/api/files/rename", {"path": path, "to": to}))
        self.files.move_versions()
        self.files.apply(done)

    def _rename_folder(self, connection: Connection) -> None:
        folder = f"{self.name}/deep/"
        inside = {path: data for path, data in self.files.known.items() if path.startswith(folder)}
        if not inside:
            return
        self._folder_number += 1
        to = f"{self.name}/moved {self._folder_number}/"
        moved = {to + path[len(folder) :]: data for path, data in inside.items()}
        before = dict.fromkeys(moved, None) | inside
        after = dict.fromkeys(inside, None) | moved
        self.files.doubt = [before, after]
        # What was deleted in the folder goes along as well.
        histories = [path for path in self.files.versions if path.startswith(folder)]
        self.files.moving = [(path, to + path[len(folder) :]) for path in histories]
        body = {"path": folder[:-1], "to": to[:-1]}
        self.acknowledged(connection.ask("POST", "/api/files/rename", body))
        self.files.move_versions()
        self.files.apply(after)

    def _restore(self, connection: Connection) -> None:
        if paths := sorted(self.files.versions):
            self.restore(connection, self.rng.choice(paths))

    def restore(self, connection: Connection, path: str) -> None:
        """Bring one version of a path back, any that was acknowledged."""
        version, data = self.rng.choice(sorted(self.files.versions[path].items()))
        old = self.files.known.get(path)
        self.files.doubt = [{path: old}, {path: data}]
        body = {"path": path, "version": version}
        done = self.acknowledged(connection.ask("POST", "/api/files/restore", body))
        if old is not None:
            self.files.remember(path, done["version"], old)
        self.files.apply({path: data})

    def check_disk(self) -> None:
        """Compare with the disk, after a kill; what was cut off may have happened or not."""
        self._settle()
        for path, data in self.files.known.items():
            check_content(path, read_or_none(self.root / path), data)
        for file in (self.root / self.name).rglob("*"):
            path = file.relative_to(self.root).as_posix()
            unfinished = TEMPORARY.fullmatch(file.name)  # swept at the next start
            if file.is_file() and not unfinished and path not in self.files.known:
                raise LostError(f"{path} should not be there (any more)")

    def _settle(self) -> None:
        if not self.files.doubt:
            return
        outcomes = self.files.doubt
        found = {path: read_or_none(self.root / path) for path in outcomes[0]}
        if found not in outcomes:
            for path, data in found.items():
                if data is not None and not is_whole(data):
                    raise TornError(f"{path} after a change that was cut off")
            raise LostError(f"neither before nor after a change: {sorted(found)}")
        self.tally.doubtful += 1
        self.tally.happened += found == outcomes[-1]
        if found == outcomes[-1]:
            self.files.split_versions()
        self.files.apply(found)

    def check_versions(self, connection: Connection, paths: list[str]) -> None:
        """Every acknowledged version of ``paths`` is listed, and one of each can be restored."""
        for old, new, kept in self.files.split:
            if missing := kept - listed_versions(connection, old, new):
                raise LostError(f"{len(missing)} versions of {old}, renamed {new}")
        self.files.split = []
        for path in paths:
            if missing := set(self.files.versions[path]) - listed_versions(connection, path):
                raise LostError(f"{len(missing)} versions of {path}")
            self.restore(connection, path)
            check_content(path, read_or_none(self.root / path), self.files.known[path])


def listed_versions(connection: Connection, *paths: str) -> set[str]:
    answers = [connection.ask("GET", f"/api/files/versions?path={quote(path)}") for path in paths]
    return {item["version"] for _, listed in answers for item in listed}


def check_content(path: str, found: bytes | None, expected: bytes) -> None:
    if found == expected:
        return
    if found is None:
        raise LostError(f"{path} is gone")
    raise LostError(f"{path} holds something else") if is_whole(found) else TornError(path)


class Learner(Worker):
    """Adds knowledge, over the chat and directly; there is no model, so it is confirmed plainly."""

    def __init__(self, name: str, seed: int, root: Path) -> None:
        super().__init__(name, seed, root)
        self.known: dict[str, bytes] = {}
        self._begun: dict[str, bytes] = {}

    def step(self, connection: Connection) -> None:
        word = self.new_word()
        path, data = f"{self.name}_{word}.md", make_content(word, self.rng)
        self._begun = {path: data}
        if self.rng.random() < 0.5:
            self._chat(connection, path, data)
        else:
            body = {"action_id": "add_knowledge", "user_input": data.decode()}
            body["knowledge_filename"] = path
            done = self.acknowledged(connection.ask("POST", "/api/actions/execute", body))
            assert done["path"] == path, done
        self.known |= self._begun
        self._begun = {}
        if len(self.known) > MAX_FILES:
            self._forget(connection, next(iter(self.known)))

    def _chat(self, connection: Connection, path: str, data: bytes) -> None:
        body = {"message": data.decode(), "attachments": [], "model": "", "stream_id": path}
        body |= {"selected_action": "add_knowledge", "knowledge_filename": path}
        events = connection.stream(body)
        if not any(event["type"] == "action_complete" for event in events):
            raise ConnectionError("cut off")
        self.tally.acknowledged += 1

    def _forget(self, connection: Connection, path: str) -> None:
        data = self.known.pop(path)
        self._begun = {path: data}
        self.acknowledged(connection.ask("DELETE", f"/api/files/content?path={path}"))
        self._begun = {}

    def check_disk(self) -> None:
        for path, data in self.known.items():
            self._check(path, data)
        for path, data in self._begun.items():
            self.tally.doubtful += 1
            if (self.root / path).exists():
                self._check(path, data)
                self.known[path] = data
                self.tally.happened += 1
        self._begun = {}
        there = {file.name for file in self.root.glob(f"{self.name}_*")}
        assert there == set(self.known), there ^ set(self.known)

    def _check(self, path: str, data: bytes) -> None:
        found = read_or_none(self.root / path)
        if found is None:
            raise LostError(f"{path} is gone")
        if data.strip() not in found or not found.endswith(b"\n"):
            raise TornError(path)


class Administrator(Worker):
    """Adds, changes and removes services, and chooses the default model."""

    def __init__(self, name: str, seed: int, root: Path) -> None:
        super().__init__(name, seed, root)
        self.services: dict[str, str] = {}
        self.default = ""
        self._in_doubt: dict[str, str | None] = {}

    def step(self, connection: Connection) -> None:
        if "base" not in self.services:
            self._put(connection, "base")
            return
        roll, service = self.rng.random(), self.rng.choice(SERVICE_IDS)
        if roll < 0.3:
            self._choose(connection)
        elif roll < 0.5 and service in self.services:
            self._in_doubt = {service: None}
            self.acknowledged(connection.ask("DELETE", f"/api/services/{service}"))
            del self.services[service]
        else:
            self._put(connection, service)
        self._in_doubt = {}

    def _put(self, connection: Connection, service: str) -> None:
        name = self.new_word()
        models = [model.partition("/")[2] for model in DEFAULTS]
        config = {"name": name, "host": NOBODY, "models": models}
        body = {"service_id": service, "service_type": "ollama", "config": config}
        self._in_doubt = {service: name}
        self.acknowledged(connection.ask("POST", "/api/services/add", body))
        self.services[service] = name
        self._in_doubt = {}

    def _choose(self, connection: Connection) -> None:
        model = self.rng.choice(DEFAULTS)
        self._in_doubt = {"default": model}
        self.acknowledged(connection.ask("POST", "/api/models/default", {"model": model}))
        self.default = model

    def check(self, connection: Connection) -> None:
        """What was acknowledged of services is there; all else is as it was before."""
        _, listed = connection.ask("GET", "/api/models")
        found = {key: service["name"] for key, service in listed["services"].items()}
        default = listed["default_model"] or ""
        for key, intended in self._in_doubt.items():
            self.tally.doubtful += 1
            if key == "default":
                self.tally.happened += default == intended
                self.default = intended or "" if default == intended else self.default
            elif found.get(key) == intended:
                self.tally.happened += 1
                self.services.pop(key, None)
                self.services |= {key: intended} if intended is not None else {}
        self._in_doubt = {}
        if found != self.services:
            raise LostError(f"services: {found} instead of {self.services}")
        if default != self.default:
            raise LostError(f"default model: {default!r} instead of {self.default!r}")


class Editor(Worker):
    """Works on the disk itself, below ``disk``; the daemon has to notice."""

    def step(self, connection: Connection) -> None:
        folder = self.root / "disk"
        folder.mkdir(exist_ok=True)
        files = sorted(file for file in folder.rglob("*.txt"))
        roll, word = self.rng.random(), self.new_word()
        if len(files) < 3 or (roll < 0.4 and len(files) < MAX_FILES):
            deep = folder.joinpath(*self.rng.choice(((), ("a",), ("a", "b", word))))
            deep.mkdir(parents=True, exist_ok=True)
            self._save(deep / f"{word}.txt")
        elif roll < 0.6:
            self._save(self.rng.choice(files))
        elif roll < 0.8:
            self.rng.choice(files).unlink()
        else:
            self.rng.choice(files).rename(folder / f"{word}.txt")
        connection.ask("GET", f"/api/files?q={word}")

    def _save(self, file: Path) -> None:
        beside = file.with_name(f"{file.name}~new")
        beside.write_bytes(make_content(self.new_word(), self.rng))
        beside.rename(file)


class Reader(Worker):
    """Looks things up, and only that."""

    def step(self, connection: Connection) -> None:
        word = word_of(self.rng.randrange(4_000))[: self.rng.randrange(2, 9)]
        path = self.rng.choice(
            (f"/api/files?q={word}", f"/api/search?q={word}", "/api/files", "/api/index", "/health")
        )
        status, body = connection.ask("GET", path)
        assert status in (200, 503), (path, status, body)
