"""The files of one kept version: a blob, and a small JSON sidecar that says what it was.

The blob is on disk before the sidecar appears, and the sidecar appears by a rename, so a version
either is listed and whole, or is not there.
"""

from __future__ import annotations

import json
import os
import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

BLOB, SIDECAR = ".blob", ".json"
VERSION_NAME = re.compile(r"[0-9a-f]{16}-[0-9a-f]{8}")
OWN_FILE = re.compile(rf"{VERSION_NAME.pattern}\.(?:blob|json)(?:\.tmp)?")
_OWN_DIRECTORY = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class Version:
    """One kept content of a file.

    Attributes:
        version: Identifies it among the file's versions; sorts by age.
        path: The file it was, relative to the memory folder.
        size: Bytes.
        saved_at: Unix time at which it was kept, that is, replaced.
        reason: ``overwritten``, ``deleted`` or ``renamed``.
        mode: The file's permission bits.
        former_path: Of what was renamed; it holds no content. Empty otherwise.
    """

    version: str
    path: str
    size: int
    saved_at: float
    reason: str
    mode: int = 0o644
    former_path: str = ""


def list_sidecars(directory: Path) -> list[Path]:
    """Those of all versions in a directory; none where there is no directory."""
    try:
        return [file for file in directory.iterdir() if file.suffix == SIDECAR]
    except (FileNotFoundError, NotADirectoryError):
        return []


def is_whole(file: Path) -> bool:
    """Whether a blob has its sidecar, or the other way round."""
    other = BLOB if file.suffix == SIDECAR else SIDECAR
    return file.suffix in (BLOB, SIDECAR) and file.with_suffix(other).exists()


def is_own_directory(path: Path) -> bool:
    """Whether it is one that we made, and no link to somewhere else."""
    return (
        path.is_dir() and not path.is_symlink() and _OWN_DIRECTORY.fullmatch(path.name) is not None
    )


def is_older(file: Path, before: float) -> bool:
    """Whether a file was last written before this Unix time; one that is gone was not."""
    try:
        return file.lstat().st_mtime < before
    except FileNotFoundError:
        return False


def load_version(sidecar: Path) -> Version | None:
    """Read a sidecar; None when it is missing or is not one of ours."""
    try:
        fields = json.loads(sidecar.read_bytes())
        version = Version(**fields)
    except (FileNotFoundError, ValueError, TypeError, RecursionError):
        return None
    return version if version.version == sidecar.stem else None


def store_version(version: Version, data: bytes | Path, directory: Path) -> None:
    """Put a version into ``directory``, durably; its content is given, or the blob that has it.

    Raises:
        OSError: It cannot be; nothing of it is left.
    """
    blob = directory / f"{version.version}{BLOB}"
    try:
        if isinstance(data, bytes):
            _write(blob, data)
        else:
            _link(data, blob)
        _write(blob.with_suffix(SIDECAR), _encode(version))
        sync_directory(directory)
    except OSError:
        with suppress(OSError):
            remove_version(blob)
        raise


def _encode(version: Version) -> bytes:
    fields = {name: getattr(version, name) for name in Version.__slots__}
    if not version.former_path:
        del fields["former_path"]  # what an earlier sgoped knows, it can read
    return json.dumps(fields).encode()


def _link(blob: Path, to: Path) -> None:
    """Let ``to`` have the content of ``blob``; copied where there are no hard links."""
    try:
        os.link(blob, to)
    except FileExistsError:
        return
    except OSError:
        _write(to, blob.read_bytes())


def _write(path: Path, data: bytes) -> None:
    """Let ``path`` appear with all of ``data``, already on disk."""
    temporary = path.with_name(f"{path.name}.tmp")
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.rename(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def remove_version(blob: Path) -> None:
    """Sidecar first: a listed version always has its blob."""
    blob.with_suffix(SIDECAR).unlink(missing_ok=True)
    blob.unlink(missing_ok=True)


def sync_directory(directory: Path) -> None:
    """Flush a directory to disk."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
