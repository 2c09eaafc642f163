from __future__ import annotations

import json
from pathlib import Path

from tests.cli.conftest import Sgoped


def test_paths_are_told_and_none_is_made(sgoped: Sgoped, tmp_path: Path) -> None:
    home = tmp_path / "home"
    told = sgoped("paths", "--home", str(home))
    assert told.returncode == 0
    assert f"memory_dir   {home}/data/memory/short_term\n" in told.stdout
    places = json.loads(sgoped("paths", "--home", str(home), "--json").stdout)
    assert places["server_file"] == f"{home}/runtime/server.json"
    assert not home.exists()


def test_settings_are_shown_with_their_origin_and_no_key(sgoped: Sgoped, tmp_path: Path) -> None:
    folder = tmp_path / "home" / "config"
    folder.mkdir(parents=True)
    (folder / "config.toml").write_text("port = 1234\nopenai_api_key = 'sk-secret'")
    told = sgoped("config", "show", "--home", str(tmp_path / "home"))
    assert told.returncode == 0
    assert f"port = 1234  # {folder / 'config.toml'}\n" in told.stdout
    assert 'host = "localhost"  # default\n' in told.stdout
    assert "sk-secret" not in told.stdout + told.stderr
    shown = json.loads(sgoped("config", "show", "--json", "--home", str(tmp_path / "home")).stdout)
    assert shown["port"] == 1234
    assert shown["openai_api_key"] == "********"


def test_good_settings_are_called_good(sgoped: Sgoped, tmp_path: Path) -> None:
    told = sgoped("config", "check", "--home", str(tmp_path / "home"))
    assert (told.returncode, told.stdout) == (0, "the settings are good\n")


def test_what_is_not_used_is_a_warning(sgoped: Sgoped, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("SGOPED_ALLOWED_HOSTS=evil.example")
    told = sgoped("config", "check", "--home", str(tmp_path / "home"))
    assert told.returncode == 0
    assert "warning: SGOPED_ALLOWED_HOSTS" in told.stdout


def test_wrong_settings_end_with_their_own_code(sgoped: Sgoped, tmp_path: Path) -> None:
    wrong = {"SGOPED_PORT": "many"}
    for verb in (["config", "check"], ["config", "show"], ["paths"], ["serve"]):
        told = sgoped(*verb, "--home", str(tmp_path / "home"), environment=wrong)
        assert told.returncode == 78, verb
        assert "SGOPED_PORT = 'many'" in told.stderr
    folder = {"SGOPED_MEMORY_DIR": "/"}
    assert sgoped("config", "check", environment=folder).returncode == 78


def test_a_home_with_a_tilde_is_below_the_person_s_own(sgoped: Sgoped) -> None:
    told = sgoped("paths", "--home", "~/place", environment={"HOME": "/somewhere"})
    assert "/somewhere/place/data" in told.stdout
