from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sgoped.config import (
    Settings,
    load_settings,
    read_settings,
    take_service_manager,
    variable_name,
)
from sgoped.errors import StartupError

TOKEN = "0123456789abcdef0123456789abcdef"


@pytest.fixture
def config_dir(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The configuration directory; ``tmp_path`` is the working directory."""
    folder = home / "sgoped" / "config"
    folder.mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    return folder


def write(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o600)


def refused(overrides: dict[str, object] | None = None) -> str:
    with pytest.raises(StartupError) as caught:
        load_settings(overrides)
    assert caught.value.exit_code == 78
    return caught.value.message


def test_nothing_is_needed(config_dir: Path, home: Path) -> None:
    settings = load_settings()
    assert settings.home == home / "sgoped"
    assert (settings.host, settings.port, settings.memory_dir) == ("localhost", 8000, None)
    assert settings.ollama_host is None
    assert settings.openai_api_key is None


def test_each_source_gives_way_to_the_one_before(
    config_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(config_dir / "config.toml", "port = 1")
    assert load_settings().port == 1
    write(tmp_path / ".env", "SGOPED_PORT=2")
    assert load_settings().port == 2
    write(config_dir / ".env", "SGOPED_PORT=3")
    assert load_settings().port == 3
    monkeypatch.setenv("SGOPED_PORT", "4")
    assert load_settings().port == 4
    assert load_settings({"port": 5}).port == 5
    assert load_settings({"port": None}).port == 4


def test_it_is_told_where_a_value_comes_from(
    config_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(config_dir / "config.toml", "port = 1\nlog_level = 'debug'")
    monkeypatch.setenv("SGOPED_PORT", "4")
    origins = read_settings().origins
    assert origins["port"] == "the environment"
    assert origins["log_level"] == str(config_dir / "config.toml")
    assert "host" not in origins


def test_constructing_settings_reads_nothing(
    config_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SGOPED_PORT", "4")
    assert Settings().port == 8000
    assert Settings(openai_models="a, b").openai_models == ("a", "b")


def test_an_empty_variable_is_none(config_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SGOPED_PORT", "OPENAI_BASE_URL", "OLLAMA_HOST", "DEFAULT_MODEL"):
        monkeypatch.setenv(name, "")
    settings = load_settings()
    assert (settings.port, settings.openai_base_url, settings.ollama_host) == (8000, None, None)


def test_lists_are_written_with_commas_or_as_toml(
    config_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(config_dir / "config.toml", "allowed_hosts = ['desk.local', 'desk.local:81']")
    monkeypatch.setenv("OPENAI_MODELS", " gpt-x , gpt-y,, ")
    settings = load_settings()
    assert settings.allowed_hosts == ("desk.local", "desk.local:81")
    assert settings.openai_models == ("gpt-x", "gpt-y")


def test_windows_of_models_are_a_table_or_written_with_commas(
    config_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(config_dir / "config.toml", "[model_windows]\n'mine/llama3.2:1b' = 300\ncloud = 400")
    settings = load_settings()
    assert settings.window_of("mine/llama3.2:1b", "mine") == 300
    assert settings.window_of("cloud/x", "cloud") == 400
    assert settings.window_of("other/x", "other") is None
    monkeypatch.setenv("SGOPED_MODEL_WINDOWS", "a/b=500, c = 600,")
    settings = load_settings()
    assert (settings.window_of("a/b", "a"), settings.window_of("c/d", "c")) == (500, 600)
    assert settings.window_of("cloud/x", "cloud") is None


def test_sizes_may_have_units(config_dir: Path) -> None:
    write(config_dir / "config.toml", "max_file_bytes = '2 MiB'\nmax_index_bytes = 77")
    settings = load_settings()
    assert (settings.max_file_bytes, settings.max_index_bytes) == (2 * 2**20, 77)


@pytest.mark.parametrize(
    ("written", "near"),
    [("prot = 1", "port"), ("memory = 'x'", "memory_dir"), ("Port = 1", "port")],
)
def test_an_unknown_setting_is_refused_with_the_nearest(
    config_dir: Path, written: str, near: str
) -> None:
    write(config_dir / "config.toml", written)
    message = refused()
    assert str(config_dir / "config.toml") in message
    assert f"did you mean {near!r}" in message


def test_an_unknown_setting_like_no_other_is_refused(config_dir: Path) -> None:
    write(config_dir / "config.toml", "[zzzzzz]\nx = 1")
    assert "unknown setting 'zzzzzz'" in refused()


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("port = 70000", "65535"),
        ("port = -1", "0"),
        ("port = true", "true and false"),
        ("port = 'eighty'", "integer"),
        ("log_level = 'loud'", "'debug', 'info', 'warning' or 'error'"),
        ("idle_timeout_seconds = 0", "greater than 0"),
        ("idle_timeout_seconds = nan", "finite"),
        ("quiet_seconds = inf", "finite"),
        ("max_file_bytes = '3 parsec'", "byte"),
        ("max_file_bytes = 0", "greater than 0"),
        ("host = '0.0.0.0'", "bearer token"),
        ("host = '::'", "bearer token"),
        ("host = '192.168.1.5'", "SGOPED_TOKEN"),
        ("host = 'example.org'", "only localhost or an address"),
        ("token = 'short'", "32 to 512"),
        (f"token = '{'ab' * 20}'", "different characters"),
        (f"token = '{TOKEN} {TOKEN}'", "letters, digits"),
        ("token = 5", "string"),
        ("token = 'short-secret'\nhost = '::'", "bearer token"),
        ("check_peer_uid = 'perhaps'", "boolean"),
        ("allowed_hosts = ['*']", "no host name"),
        ("allowed_hosts = ['0.0.0.0:8000']", "no host name"),
        ("allowed_origins = ['*']", "no origin"),
        ("allowed_origins = ['null']", "no origin"),
        ("allowed_origins = ['http://a/b']", "no origin"),
        ("ollama_host = 'ftp://x'", "http://host:port"),
        ("ollama_host = 'http://x:99999'", "Port"),
        ("openai_base_url = 'not an address'", "http://host:port"),
        ("openai_base_url = 'https://x/?key=1'", "must not contain"),
        ("memory_dir = 'notes'", "start with / or ~"),
        ("home = '/x'", "--home"),
        ("memory_dir = '~nobody-of-this-name/x'", "home directory"),
        ('memory_dir = "/a\\u0000b"', "null"),
        ("context_tokens = 3", "256"),
        ("openai_models = 7", "tuple"),
        ("model_windows = 'x'", "my-ollama/llama3.2=8192"),
        ("model_windows = 'a/b=3'", "256"),
        ("model_windows = {x = true}", "256"),
        ("context = 'all'", "'given' or 'auto'"),
    ],
)
def test_a_wrong_value_is_told_with_its_place(config_dir: Path, written: str, told: str) -> None:
    write(config_dir / "config.toml", written)
    message = refused()
    assert str(config_dir / "config.toml") in message
    assert written.split(" ", maxsplit=1)[0] in message
    assert told in message


def test_all_wrong_values_are_told_at_once(
    config_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(config_dir / "config.toml", "log_level = 'loud'")
    monkeypatch.setenv("SGOPED_PORT", "many")
    message = refused()
    assert "log_level = 'loud'" in message
    assert "the environment: SGOPED_PORT = 'many'" in message


def test_a_syntax_error_is_told_with_its_line(config_dir: Path) -> None:
    write(config_dir / "config.toml", "port = 1\nhost =\n")
    assert "line 2" in refused()


@pytest.mark.parametrize("name", ["config.toml", ".env"])
def test_a_file_that_is_no_text_is_refused(config_dir: Path, name: str) -> None:
    (config_dir / name).write_bytes(b"port = '\xff\xfe'")
    assert str(config_dir / name) in refused()


def test_a_folder_called_env_is_left_alone(config_dir: Path, tmp_path: Path) -> None:
    (tmp_path / ".env").mkdir()
    (config_dir / ".env").mkdir()
    assert load_settings().port == 8000


def test_a_byte_order_mark_does_no_harm(config_dir: Path) -> None:
    (config_dir / "config.toml").write_bytes(b"\xef\xbb\xbfport = 5")
    (config_dir / ".env").write_bytes(b"\xef\xbb\xbfSGOPED_LOG_LEVEL=debug")
    settings = load_settings()
    assert (settings.port, settings.log_level) == (5, "debug")


def test_a_misspelt_variable_is_told(
    config_dir: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("SGOPED_PROT", "1")
    with caplog.at_level(logging.WARNING):
        load_settings()
    assert "SGOPED_PROT in the environment is no setting, did you mean SGOPED_PORT?" in caplog.text


def test_other_programs_variables_are_no_concern(
    config_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SGOPED_URL", "http://localhost:1")  # the client verbs' own
    write(tmp_path / ".env", "DATABASE_URL=x\nPORT=5\nexport DEBUG=1\n")
    loaded = read_settings()
    assert loaded.warnings == ()
    assert loaded.settings.port == 8000


@pytest.mark.parametrize(
    "line",
    [
        "SGOPED_HOME=/x",
        "SGOPED_MEMORY_DIR=/x",
        "SGOPED_HOST=::1",
        f"SGOPED_TOKEN={TOKEN}",
        "SGOPED_CHECK_PEER_UID=false",
        "SGOPED_ALLOWED_HOSTS=evil.example",
        "SGOPED_ALLOWED_ORIGINS=http://evil.example",
        "SGOPED_MAX_VERSIONS_BYTES=1",
        "SGOPED_CONTEXT=auto",
        "SGOPED_FALLBACK_MODELS=evil/m",
        "SGOPED_EMBEDDING_MODEL=evil/model",
        "SGOPED_ENRICH_LATER=true",
    ],
)
def test_a_working_directory_cannot_expose_files_or_throw_versions_away(
    config_dir: Path, tmp_path: Path, line: str
) -> None:
    write(tmp_path / ".env", line)
    loaded = read_settings()
    assert loaded.settings == load_settings({})
    key = line.split("=", maxsplit=1)[0].removeprefix("SGOPED_").lower()
    assert loaded.origins.get(key) != str(tmp_path / ".env")
    assert line.split("=", maxsplit=1)[0] in loaded.warnings[0]


@pytest.mark.parametrize("source", ["config.toml", "config .env", "the environment"])
def test_a_working_directory_cannot_say_where_files_are_embedded(
    config_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    write(config_dir / "config.toml", "ollama_host = 'localhost'")
    lines = ("OLLAMA_HOST=evil.example", "OPENAI_BASE_URL=http://evil.example", "DEFAULT_MODEL=e/m")
    write(tmp_path / ".env", "\n".join(lines))
    assert read_settings().settings.ollama_host == "http://evil.example:11434"
    if source == "config.toml":
        write(config_dir / "config.toml", "ollama_host='localhost'\nembedding_model='ollama/m'")
    elif source == "config .env":
        write(config_dir / ".env", "SGOPED_EMBEDDING_MODEL=ollama/m")
    else:
        monkeypatch.setenv("SGOPED_EMBEDDING_MODEL", "ollama/m")
    loaded = read_settings()
    assert loaded.settings.embedding_model == "ollama/m"
    assert loaded.settings.ollama_host == "http://localhost:11434"
    assert loaded.settings.openai_base_url is loaded.settings.default_model is None
    assert len(loaded.warnings) == len(lines)


def test_a_working_directory_s_file_that_others_can_write_is_not_read(
    config_dir: Path, tmp_path: Path
) -> None:
    write(tmp_path / ".env", "OLLAMA_HOST=http://evil.example")
    (tmp_path / ".env").chmod(0o666)
    loaded = read_settings()
    assert loaded.settings.ollama_host is None
    assert "somebody else can write it" in loaded.warnings[0]


def test_a_working_directory_that_is_gone_is_no_error(
    config_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert load_settings().port == 8000


def test_a_file_does_not_take_secrets_from_the_environment(
    config_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTHER_SECRET", "hush")
    write(tmp_path / ".env", "OPENAI_BASE_URL=http://evil.example/${OTHER_SECRET}")
    assert "hush" not in str(load_settings().openai_base_url)


SOURCES = ("environment", "config .env", "working .env", "config.toml")


@given(key=st.sampled_from(SOURCES), address=st.sampled_from(SOURCES))
def test_a_key_goes_only_where_it_was_given_for(
    tmp_path_factory: pytest.TempPathFactory, key: str, address: str
) -> None:
    root = tmp_path_factory.mktemp("key")
    files = {
        "config .env": root / "home" / "config" / ".env",
        "working .env": root / "work" / ".env",
        "config.toml": root / "home" / "config" / "config.toml",
    }
    for file in files.values():
        file.parent.mkdir(parents=True, exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        for source, setting, value in (
            (key, "openai_api_key", "sk-secret"),
            (address, "openai_base_url", "http://one.example/v1"),
        ):
            if source == "environment":
                patch.setenv(variable_name(setting), value)
                continue
            name = setting if source == "config.toml" else variable_name(setting)
            with files[source].open("a") as opened:
                opened.write(f"{name} = '{value}'\n")
            files[source].chmod(0o600)
        loaded = read_settings({"home": root / "home"}, working_dir=root / "work")
    found = loaded.settings
    both = found.openai_api_key is not None and found.openai_base_url is not None
    assert both == (key == address)
    assert bool(loaded.warnings) == (key != address)
    assert "sk-secret" not in repr(loaded)


def test_a_key_is_never_in_an_error(config_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(config_dir / "config.toml", "openai_api_key = ['sk-secret']")
    assert "sk-secret" not in refused()
    write(config_dir / "config.toml", "openai_base_url = 'http://me:sk-secret@host'")
    assert "sk-secret" not in refused()


def test_a_key_that_others_can_read_is_told(config_dir: Path) -> None:
    write(config_dir / "config.toml", "openai_api_key = 'sk-secret'")
    (config_dir / "config.toml").chmod(0o644)
    (warning,) = read_settings().warnings
    assert "chmod 600" in warning
    assert "sk-secret" not in warning


def test_a_key_may_be_a_systemd_credential(
    config_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    (credentials / "openai_api_key").write_text("sk-secret\n")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(credentials))
    monkeypatch.setenv("OPENAI_BASE_URL", "http://one.example/v1")
    settings = load_settings()
    assert settings.openai_api_key is not None
    assert settings.openai_api_key.get_secret_value() == "sk-secret"
    assert settings.openai_base_url == "http://one.example/v1"
    (credentials / "sgoped_token").write_text(f"{TOKEN}\n")
    token = load_settings().token
    assert token is not None
    assert token.get_secret_value() == TOKEN


def test_a_refused_token_is_not_shown(config_dir: Path) -> None:
    write(config_dir / "config.toml", "token = 'weak-secret'")
    assert "weak-secret" not in refused()


@pytest.mark.parametrize(
    ("written", "host"),
    [
        ("[::1]", "::1"),
        ("::ffff:127.0.0.1", "127.0.0.1"),
        ("127.0.0.2", "127.0.0.2"),
        ("0:0:0:0:0:0:0:1", "::1"),
        (" LOCALHOST ", "localhost"),
    ],
)
def test_loopback_needs_no_token_however_it_is_written(written: str, host: str) -> None:
    assert Settings(host=written).host == host


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "fe80::1%eth0"])
def test_any_address_may_be_listened_on_with_a_token(host: str) -> None:
    assert Settings(host=host, token=TOKEN).host == host


@pytest.mark.parametrize(("written", "checks"), [("false", False), ("0", False), ("true", True)])
def test_a_switch_is_written_as_one_would(
    config_dir: Path, monkeypatch: pytest.MonkeyPatch, written: str, checks: bool
) -> None:
    write(config_dir / "config.toml", f"check_peer_uid = {str(not checks).lower()}")
    assert load_settings().check_peer_uid is not checks
    monkeypatch.setenv("SGOPED_CHECK_PEER_UID", written)
    assert load_settings().check_peer_uid is checks


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("127.0.0.1", "http://127.0.0.1:11434"),
        ("0.0.0.0", "http://127.0.0.1:11434"),
        ("0.0.0.0:1234", "http://127.0.0.1:1234"),
        (":1234", "http://127.0.0.1:1234"),
        ("[::1]:1234", "http://[::1]:1234"),
        ("desk.local", "http://desk.local:11434"),
        ("http://desk.local:1234/", "http://desk.local:1234"),
        ("https://ollama.example/api/", "https://ollama.example/api"),
    ],
)
def test_the_ollama_variable_is_read_as_ollama_reads_it(written: str, meant: str) -> None:
    assert Settings(ollama_host=written).ollama_host == meant


def test_a_tilde_is_the_home(home: Path) -> None:
    assert Settings(memory_dir="~/notes").memory_dir == home / "notes"


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Settings().port = 1  # type: ignore[misc]


def test_the_service_manager_s_variables_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", "@abstract")
    monkeypatch.setenv("WATCHDOG_USEC", "30000000")
    manager = take_service_manager()
    assert manager is not None
    assert (manager.notify_socket, manager.watchdog_seconds) == ("@abstract", 30.0)
    assert "NOTIFY_SOCKET" not in os.environ  # noqa: TID251 - what a child would inherit
    assert take_service_manager() is None


def test_another_process_s_watchdog_is_not_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", "/run/x")
    monkeypatch.setenv("WATCHDOG_USEC", "30000000")
    monkeypatch.setenv("WATCHDOG_PID", "1")
    manager = take_service_manager()
    assert manager is not None
    assert manager.watchdog_seconds == 0.0
