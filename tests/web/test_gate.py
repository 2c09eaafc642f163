"""Who may speak to the daemon, without any daemon."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sgoped.web.gate import (
    FRONT_END_ORIGINS,
    WRONG_TYPE,
    Policy,
    judge_content_type,
    make_policy,
)

PORT = 8000


@pytest.fixture(scope="module")
def policy() -> Policy:
    return make_policy(PORT)


@pytest.mark.parametrize(
    "host", ["localhost:8000", "127.0.0.1:8000", "[::1]:8000", "LocalHost:8000", "LOCALHOST:8000"]
)
def test_the_loopback_names_with_the_bound_port_pass(policy: Policy, host: str) -> None:
    assert policy.judge_host([host], "/") is None


@pytest.mark.parametrize(
    "hosts",
    [
        [],
        [""],
        ["localhost"],
        ["localhost:8001"],
        ["localhost:08000"],
        ["localhost:8000 "],
        ["localhost.:8000"],
        ["127.0.0.1.:8000"],
        ["0.0.0.0:8000"],
        ["[::]:8000"],
        ["127.0.0.2:8000"],
        ["127.1:8000"],
        ["2130706433:8000"],
        ["::1:8000"],
        ["[0:0:0:0:0:0:0:1]:8000"],
        ["evil.example"],
        ["evil.example:8000"],
        ["localhost.evil.example:8000"],
        ["user@localhost:8000"],
        ["localhost:8000", "localhost:8000"],
        ["localhost:8000", "evil.example"],
    ],
)
def test_every_other_host_is_refused(policy: Policy, hosts: list[str]) -> None:
    refusal = policy.judge_host(hosts, "/")
    assert refusal is not None
    assert (refusal.status, refusal.code) == (403, "host_refused")


@pytest.mark.parametrize(
    ("target", "passes"),
    [
        ("/api/files", True),
        ("//evil.example/api", True),  # a path of our own, whatever it looks like
        ("http://localhost:8000/api", True),
        ("HTTP://LOCALHOST:8000", True),
        ("*", True),
        ("http://evil.example/api", False),
        ("http://localhost:8000@evil.example/", False),
        ("http://evil.example:8000?x=localhost:8000", False),
        ("https://localhost:8000/", False),
        ("localhost:8000", False),
        ("", False),
    ],
)
def test_an_absolute_target_is_judged_by_its_own_authority(
    policy: Policy, target: str, passes: bool
) -> None:
    assert (policy.judge_host(["localhost:8000"], target) is None) is passes


@pytest.mark.parametrize("origin", [*FRONT_END_ORIGINS, "http://localhost:8000"])
def test_the_front_end_and_the_daemon_itself_are_allowed_origins(
    policy: Policy, origin: str
) -> None:
    assert policy.judge_origin([origin], ["cross-site"]) is None


@pytest.mark.parametrize(
    "origins",
    [
        [""],
        ["null"],
        ["http://localhost:3001"],
        ["https://localhost:3000"],
        ["http://localhost:3000/"],
        ["http://localhost:3000.evil.example"],
        ["http://evil.example"],
        ["tauri://evil"],
        ["http://localhost:3000", "http://evil.example"],
        ["http://localhost:3000", "http://localhost:3000"],
    ],
)
def test_every_other_origin_is_refused(policy: Policy, origins: list[str]) -> None:
    refusal = policy.judge_origin(origins, [])
    assert refusal is not None
    assert (refusal.status, refusal.code) == (403, "origin_refused")


@pytest.mark.parametrize(
    ("sites", "passes"),
    [
        ([], True),
        (["none"], True),
        (["same-origin"], True),
        (["same-site"], True),
        (["cross-site"], False),
        (["Cross-Site"], False),
        (["same-site", "cross-site"], False),
        (["something-new"], False),
    ],
)
def test_without_an_origin_the_site_decides(policy: Policy, sites: list[str], passes: bool) -> None:
    assert (policy.judge_origin([], sites) is None) is passes


def test_configured_names_and_origins_pass() -> None:
    policy = make_policy(PORT, ["Box.lan", "proxy.lan:443"], ["https://ui.lan"])
    for host in ("box.lan", "box.lan:8000", "proxy.lan:443"):
        assert policy.judge_host([host], "/") is None
    assert policy.judge_host(["proxy.lan"], "/") is not None
    assert policy.judge_origin(["https://ui.lan"], []) is None


def test_a_daemon_on_port_80_is_named_without_a_port() -> None:
    assert make_policy(80).judge_host(["localhost"], "/") is None


@given(st.text(max_size=40))
def test_no_unknown_text_passes_as_host_or_origin(text: str) -> None:
    policy = make_policy(PORT)
    assert (policy.judge_host([text], "/") is None) is (text.lower() in policy.hosts)
    assert (policy.judge_origin([text], []) is None) is (text in policy.origins)


@pytest.mark.parametrize(
    ("types", "encodings", "passes"),
    [
        (["application/json"], [], True),
        (["Application/JSON; charset=UTF-8"], [], True),
        (['application/json;charset="utf-8"'], ["identity"], True),
        ([], [], False),
        (["text/plain"], [], False),
        (["text/plain;application/json"], [], False),
        (["application/x-www-form-urlencoded"], [], False),
        (["multipart/form-data; boundary=x"], [], False),
        (["application/json; charset=utf-16"], [], False),
        (["application/json"], ["gzip"], False),
        (["application/json", "application/json"], [], False),
        (["application/jsonp"], [], False),
    ],
)
def test_a_body_is_uncompressed_json_in_utf8(
    types: list[str], encodings: list[str], passes: bool
) -> None:
    assert judge_content_type(types, encodings) == (None if passes else WRONG_TYPE)
