"""Every directory and file the daemon owns; nothing else composes such a path."""

from __future__ import annotations

import os
import stat
import warnings
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from sgoped.errors import StartupError

_APP = "sgoped"
_PRIVATE = 0o700


@dataclass(frozen=True, slots=True)
class Paths:
    """Where one daemon keeps its things.

    Attributes:
        config_dir: What the person writes: ``config.toml``, ``.env``.
        data_dir: What must survive: ``state.db``, versions, the default memory folder.
        state_dir: What may be lost without harm but is not a cache.
        cache_dir: What is rebuilt from the disk whenever it is missing.
        runtime_dir: What lives as long as the process: ``server.json``; 0700 and ours.
        memory_dir: The short-term folder: the person's files, which we watch.
    """

    config_dir: Path
    data_dir: Path
    state_dir: Path
    cache_dir: Path
    runtime_dir: Path
    memory_dir: Path

    @property
    def config_file(self) -> Path:
        """The person's settings; read, never written."""
        return self.config_dir / "config.toml"

    @property
    def env_file(self) -> Path:
        """Variables for this daemon alone; read, never written."""
        return self.config_dir / ".env"

    @property
    def state_db(self) -> Path:
        """Services, default model, use counts."""
        return self.data_dir / "state.db"

    @property
    def lock_file(self) -> Path:
        """Held for as long as a daemon uses this data directory."""
        return self.data_dir / "sgoped.lock"

    @property
    def long_term_dir(self) -> Path:
        """Reserved for what outlives the short-term folder."""
        return self.data_dir / "memory" / "long_term"

    @property
    def versions_dir(self) -> Path:
        """What was overwritten or deleted over the API."""
        return self.data_dir / "versions"

    @property
    def backups_dir(self) -> Path:
        """Good copies of ``state.db``."""
        return self.data_dir / "backups"

    @property
    def catalogue_db(self) -> Path:
        """The catalogue of documents; disposable."""
        return self.cache_dir / "catalogue.db"

    @property
    def vectors_db(self) -> Path:
        """The vectors of passages, for finding by meaning; disposable."""
        return self.cache_dir / "vectors.db"

    @property
    def index_dir(self) -> Path:
        """The index of names and bodies; disposable."""
        return self.cache_dir / "index"

    @property
    def server_file(self) -> Path:
        """How clients find a running daemon: ``{pid, url, socket, version, started_at}``."""
        return self.runtime_dir / "server.json"

    @property
    def heartbeat_dir(self) -> Path:
        """Where the watcher touches a file of its own to see that it is told."""
        return self.runtime_dir / "heartbeat"

    @property
    def socket_file(self) -> Path:
        """The unix socket that editors and the command line use; 0600."""
        return self.runtime_dir / "sgoped.sock"


def default_memory_dir(data_dir: Path) -> Path:
    """The memory folder of a person who named none."""
    return data_dir / "memory" / "short_term"


def resolve_paths(home: Path | None = None, memory_dir: Path | None = None) -> Paths:
    """Decides every place without creating anything.

    Args:
        home: One root for all of them; without it, the platform's own directories.
        memory_dir: The folder to watch; without it, one in the data directory.

    Raises:
        StartupError: No home directory is known, or the platform's runtime directory belongs to
            somebody else.
    """
    if home is None:
        config, data, state, cache, runtime = _platform_directories()
    else:
        root = _absolute(home)
        config, data, state, cache, runtime = (
            root / name for name in ("config", "data", "state", "cache", "runtime")
        )
    return Paths(
        config_dir=config,
        data_dir=data,
        state_dir=state,
        cache_dir=cache,
        runtime_dir=runtime,
        memory_dir=default_memory_dir(data) if memory_dir is None else _absolute(memory_dir),
    )


def unit_file() -> Path:
    """Where a person puts the systemd unit; theirs, never written by us.

    Raises:
        RuntimeError: No home directory is known.
    """
    return platformdirs.user_config_path() / "systemd" / "user" / "sgoped.service"


def _absolute(path: Path) -> Path:
    try:
        return Path(os.path.abspath(path.expanduser()))  # noqa: PTH100 - does not follow links
    except RuntimeError as error:  # ~name of nobody
        raise StartupError(f"{path}: {error}", exit_code=78) from error


def _platform_directories() -> tuple[Path, Path, Path, Path, Path]:
    platform = platformdirs.PlatformDirs(_APP, appauthor=False)
    with warnings.catch_warnings():
        # Without XDG_RUNTIME_DIR a fallback is used; create_directories checks it itself.
        warnings.simplefilter("ignore")
        try:
            return (
                platform.user_config_path,
                platform.user_data_path,
                platform.user_state_path,
                platform.user_cache_path,
                platform.user_runtime_path,
            )
        except (OSError, RuntimeError) as error:
            raise StartupError(f"{error}; or give a place with --home or SGOPED_HOME") from error


def create_directories(paths: Paths) -> None:
    """Creates what is missing, private to the person, and checks what is there.

    A memory folder that the person named is created only inside an existing folder, with the
    usual permissions, so that a mistyped path is noticed.

    Raises:
        StartupError: A directory cannot be made or is not safe to use (exit code 1), or the
            memory folder cannot be one (exit code 78).
    """
    for directory in (paths.config_dir, paths.data_dir, paths.state_dir, paths.cache_dir):
        _create(directory)
    _create(paths.runtime_dir)
    _check_private(paths.runtime_dir)
    if paths.memory_dir == default_memory_dir(paths.data_dir):
        _create(paths.memory_dir)
        _create(paths.long_term_dir)
    else:
        check_memory_dir(paths)
        try:
            paths.memory_dir.mkdir(exist_ok=True)
        except OSError as error:
            raise StartupError(f"cannot create {paths.memory_dir}: {error.strerror}") from error
    _check_usable(paths)


def check_memory_dir(paths: Paths) -> None:
    """Refuses a folder that cannot be a memory folder; touches nothing.

    Raises:
        StartupError: With exit code 78; the message says what to do.
    """
    if paths.memory_dir == default_memory_dir(paths.data_dir):
        return
    folder = Path(os.path.realpath(paths.memory_dir))
    if folder == Path(folder.anchor):
        raise _refused(folder, "is the root of the file system; name a folder of your own")
    for own in (
        paths.config_dir,
        paths.data_dir,
        paths.state_dir,
        paths.cache_dir,
        paths.runtime_dir,
    ):
        _check_apart(folder, Path(os.path.realpath(own)), paths)
    if folder.exists() and not folder.is_dir():
        raise _refused(folder, "is a file; name the folder it is in")
    if not folder.exists() and not folder.parent.is_dir():
        raise _refused(folder, "does not exist, nor does the folder it would be in; create it")


def _check_apart(folder: Path, own: Path, paths: Paths) -> None:
    """Our own files are never watched, listed or served, so the two may not overlap."""
    if folder.is_relative_to(own):
        memory = Path(os.path.realpath(paths.data_dir)) / "memory"
        if memory in folder.parents and not folder.is_relative_to(memory / "long_term"):
            return
        raise _refused(folder, f"is, or is inside, a directory of sgoped's own ({own})")
    if own.is_relative_to(folder):
        between = own.relative_to(folder).parts
        if not any(part.startswith(".") for part in between):  # hidden ones are never listed
            raise _refused(folder, f"contains a directory of sgoped's own ({own})")


def _refused(folder: Path, reason: str) -> StartupError:
    return StartupError(f"memory folder {folder} {reason}", code="memory_dir_refused", exit_code=78)


def _create(directory: Path) -> None:
    try:
        missing = [directory, *directory.parents]
        for parent in reversed([path for path in missing if not path.exists()]):
            parent.mkdir(mode=_PRIVATE, exist_ok=True)
    except OSError as error:
        raise StartupError(
            f"cannot create {directory}: {error.strerror or error}; --home or SGOPED_HOME names "
            "another place for all that sgoped keeps"
        ) from error
    if not directory.is_dir():
        raise StartupError(f"{directory} is not a directory; move it away")


def _check_private(directory: Path) -> None:
    """The runtime directory may lie in /tmp under a name that anyone can guess."""
    found = directory.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise StartupError(f"runtime directory {directory} belongs to somebody else; remove it")
    if stat.S_IMODE(found.st_mode) & 0o077:
        directory.chmod(_PRIVATE)


def _check_usable(paths: Paths) -> None:
    for directory in (paths.data_dir, paths.state_dir, paths.cache_dir, paths.runtime_dir):
        if not os.access(directory, os.W_OK | os.X_OK):
            raise StartupError(f"cannot write in {directory}; change its permissions")
    if not os.access(paths.memory_dir, os.R_OK | os.X_OK):
        raise StartupError(f"cannot read the memory folder {paths.memory_dir}")
