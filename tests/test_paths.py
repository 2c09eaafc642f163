from __future__ import annotations

import stat
from pathlib import Path

import pytest

from sgoped.errors import StartupError
from sgoped.paths import Paths, check_memory_dir, create_directories, resolve_paths


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_home_holds_everything_under_the_names_that_clients_rely_on(tmp_path: Path) -> None:
    paths = resolve_paths(tmp_path)
    assert paths.config_file == tmp_path / "config" / "config.toml"
    assert paths.env_file == tmp_path / "config" / ".env"
    assert paths.state_db == tmp_path / "data" / "state.db"
    assert paths.memory_dir == tmp_path / "data" / "memory" / "short_term"
    assert paths.long_term_dir == tmp_path / "data" / "memory" / "long_term"
    assert paths.state_dir == tmp_path / "state"
    assert paths.cache_dir == tmp_path / "cache"
    assert paths.server_file == tmp_path / "runtime" / "server.json"


def test_without_a_home_the_platform_decides(home: Path) -> None:
    paths = resolve_paths()
    assert paths.config_dir == home / ".config" / "sgoped"
    assert paths.data_dir == home / ".local" / "share" / "sgoped"
    assert paths.cache_dir == home / ".cache" / "sgoped"
    assert paths.runtime_dir == home / "run" / "sgoped"


def test_resolving_creates_nothing(tmp_path: Path) -> None:
    resolve_paths(tmp_path / "home", tmp_path / "memory")
    assert list(tmp_path.iterdir()) == []


def test_a_missing_runtime_variable_is_no_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    assert resolve_paths().runtime_dir.name == "sgoped"


def test_no_file_of_one_directory_has_the_name_of_another(tmp_path: Path) -> None:
    """On macOS configuration, data and state are one directory."""
    one = Paths(tmp_path, tmp_path, tmp_path, tmp_path, tmp_path, tmp_path / "memory")
    files = [
        one.config_file,
        one.env_file,
        one.state_db,
        one.lock_file,
        one.versions_dir,
        one.backups_dir,
        one.catalogue_db,
        one.index_dir,
        one.server_file,
        one.socket_file,
    ]
    assert len(set(files)) == len(files)


def test_nobody_s_home_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StartupError, match="~nobody-of-this-name"):
        resolve_paths(Path("~nobody-of-this-name/x"))


def test_what_is_created_is_private(tmp_path: Path) -> None:
    paths = resolve_paths(tmp_path / "home")
    create_directories(paths)
    for directory in (paths.config_dir, paths.data_dir, paths.cache_dir, paths.runtime_dir):
        assert mode(directory) == 0o700
    assert paths.memory_dir.is_dir()
    create_directories(paths)  # a second time changes nothing


def test_the_runtime_directory_becomes_private(tmp_path: Path) -> None:
    paths = resolve_paths(tmp_path)
    paths.runtime_dir.mkdir()
    paths.runtime_dir.chmod(0o755)
    create_directories(paths)
    assert mode(paths.runtime_dir) == 0o700


def test_a_linked_runtime_directory_is_refused(tmp_path: Path) -> None:
    paths = resolve_paths(tmp_path / "home")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "home").mkdir()
    paths.runtime_dir.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StartupError, match="belongs to somebody else"):
        create_directories(paths)


def test_a_file_in_the_way_is_named(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("in the way")
    with pytest.raises(StartupError, match=str(tmp_path / "data")) as caught:
        create_directories(resolve_paths(tmp_path))
    assert caught.value.exit_code == 1
    assert (tmp_path / "data").read_text() == "in the way"


def test_a_memory_folder_that_exists_is_left_as_it_is(tmp_path: Path) -> None:
    folder = tmp_path / "notes"
    folder.mkdir()
    folder.chmod(0o750)
    create_directories(resolve_paths(tmp_path / "home", folder))
    assert mode(folder) == 0o750


def test_a_missing_memory_folder_is_created_inside_an_existing_one(tmp_path: Path) -> None:
    create_directories(resolve_paths(tmp_path / "home", tmp_path / "notes"))
    assert (tmp_path / "notes").is_dir()


def test_a_mistyped_memory_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StartupError, match="does not exist") as caught:
        create_directories(resolve_paths(tmp_path / "home", tmp_path / "nots" / "work"))
    assert caught.value.exit_code == 78
    assert not (tmp_path / "nots").exists()


@pytest.mark.parametrize(
    "place", ["data", "cache/index", "runtime", "data/versions", "data/memory"]
)
def test_our_own_directories_are_no_memory_folder(tmp_path: Path, place: str) -> None:
    paths = resolve_paths(tmp_path, tmp_path / place)
    with pytest.raises(StartupError, match="sgoped's own") as caught:
        check_memory_dir(paths)
    assert caught.value.exit_code == 78


def test_a_memory_folder_does_not_contain_our_own_directories(tmp_path: Path) -> None:
    with pytest.raises(StartupError, match="contains a directory"):
        check_memory_dir(resolve_paths(tmp_path / "sgoped", tmp_path))


def test_a_link_does_not_hide_our_own_directories(tmp_path: Path) -> None:
    (tmp_path / "home" / "data").mkdir(parents=True)
    (tmp_path / "notes").symlink_to(tmp_path / "home" / "data")
    with pytest.raises(StartupError, match="sgoped's own"):
        check_memory_dir(resolve_paths(tmp_path / "home", tmp_path / "notes"))


def test_hidden_directories_of_ours_may_lie_in_a_memory_folder(tmp_path: Path) -> None:
    """As ~/.config lies in a home; what is hidden is never listed."""
    check_memory_dir(resolve_paths(tmp_path / ".sgoped", tmp_path))


def test_the_root_and_files_are_no_memory_folder(tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("a note")
    for folder in (Path("/"), tmp_path / "note.txt"):
        with pytest.raises(StartupError) as caught:
            check_memory_dir(resolve_paths(tmp_path / "home", folder))
        assert caught.value.exit_code == 78
