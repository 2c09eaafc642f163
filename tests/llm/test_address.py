from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sgoped.errors import InvalidInput
from sgoped.llm.address import (
    is_refused,
    parse_ollama_address,
    parse_openai_address,
)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("localhost:11434", "http://localhost:11434"),
        ("localhost", "http://localhost:11434"),
        ("127.0.0.1", "http://127.0.0.1:11434"),
        (":1234", "http://localhost:1234"),
        (" http://Box.LAN:8080/ ", "http://box.lan:8080"),
        ("http://localhost:11434/v1", "http://localhost:11434"),
        ("http://localhost:11434/api/", "http://localhost:11434"),
        ("https://ollama.example/deep/path//", "https://ollama.example/deep/path"),
        ("http://localhost", "http://localhost"),
        ("0.0.0.0", "http://127.0.0.1:11434"),
        ("http://[::]:11434", "http://[::1]:11434"),
        ("http://[::1]:11434", "http://[::1]:11434"),
        ("192.168.1.7:11434", "http://192.168.1.7:11434"),
        ("http://bücher.example:1", "http://xn--bcher-kva.example:1"),
    ],
)
def test_an_ollama_address_is_read_as_its_own_tools_do(text: str, address: str) -> None:
    parsed = parse_ollama_address(text)
    assert str(parsed) == address
    assert str(parsed.join("/api/tags")) == f"{address}/api/tags"
    assert parse_ollama_address(str(parsed)) == parsed


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("https://api.openai.com/v1", "https://api.openai.com/v1"),
        ("https://api.openai.com/v1/", "https://api.openai.com/v1"),
        ("https://api.openai.com", "https://api.openai.com/v1"),
        ("http://localhost:8080/", "http://localhost:8080/v1"),
        ("https://openrouter.ai/api/v1", "https://openrouter.ai/api/v1"),
        ("http://h:1/v1/chat/completions", "http://h:1/v1"),
        ("http://h:1/v1/models/", "http://h:1/v1"),
    ],
)
def test_an_openai_address_gets_the_usual_path(text: str, address: str) -> None:
    assert str(parse_openai_address(text)) == address
    assert str(parse_openai_address(address)) == address


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "file:///etc/passwd",
        "ftp://host/",
        "gopher://host:70/",
        "javascript://host/",
        "http://",
        "http:///path",
        "http://[]@",
        "http://user@host/",
        "http://user:secret@host/",
        "http://@host/",
        "http://host/#x",
        "http://host#",
        "http://host/?a=b",
        "http://host:0/",
        "http://host:99999/",
        "http://host:x/",
        "http://ho st/",
        "http://host\\@evil/",
        "http://host\r\nX: y/",
        "http://host/\x00",
        "http://[::1/",
        "http://" + "a" * 3000,
        "http://h:1/" + "\u20ac" * 300,
        "http://\u02da/",
        "http://a%20b/",
        "http://xn--/",
        "http://169%2e254%2e169%2e254/",
        "http://169.254.169.254/latest/meta-data",
        "http://169.254.0.1",
        "http://[fe80::1]/",
        "http://[fe80::1%25eth0]/",
        "http://[::ffff:169.254.169.254]/",
        "http://[64:ff9b::a9fe:a9fe]/",
        "http://2852039166/",
        "http://0xa9fea9fe/",
        "http://0251.0376.0251.0376/",
        "http://169.254.43518/",
        "http://metadata.google.internal/",
        "http://METADATA.google.internal./",
        "http://metadata/",
        "http://100.100.100.200/",
        "http://[fd00:ec2::254]/",
        "http://224.0.0.1/",
        "http://255.255.255.255/",
        "http://[::169.254.169.254]/",
        "http://[::ffff:0:169.254.169.254]/",
        "http://[64:ff9b:1::169.254.169.254]/",
        "http://[64:ff9b:1:a9fe:a9:fe00::]/",
        "http://[64:ff9b:1:a9:fe:a9fe::]/",
        "http://[64:ff9b:1:0:a9:fea9:fe00::]/",
        "http://[2002:a9fe:a9fe::1]/",
        "http://[2001:0:4136:e378:8000:63bf:5601:5601]/",
        "http://[2001:db8::5efe:169.254.169.254]/",
        "http://[2001:db8::200:5efe:a9fe:a9fe]/",
        "http://[fd20:ce::254]/",
        "http://[::1%25lo]/",
        "http://[::1%lo]/",
        "http://169.254.169.254./",
        "http://169.254.169.254../",
        "http://2852039166./",
        "http://0xA9.0xFE.0xA9.0xFE/",
        "http://169.16689662/",
        "http://\uff11\uff16\uff19.254.169.254/",
        "http://\u2460\u2465\u2468.254.169.254/",
        "http://169\u3002254\u3002169\u3002254/",
        "http://169\uff0e254\uff61169\uff0e254/",
        "http://\uff4detadata\u3002google\uff0einternal/",
        "http://169.254.169.254\xad/",
        "http://1\u200b69.254.169.254/",
        "http://%31%36%39.254.169.254/",
        "http://metadata.google.internal%2e/",
        "http://host%40evil/",
        "http://host:8\uff10/",
        "http://host:\uff18\uff10\uff18\uff10/",
        "http://host:8_0/",
        "http://host:+80/",
        "http://host:-1/",
        "http://host:65536/",
        "http://host:80:80/",
        "http://xn--a/",
        "http://[v1.fe80::1]/",
        "http://::1/",
        "http:/host/",
        "http:host",
        "unix:///run/docker.sock",
        "http+unix://x/",
        "dict://host:11211/",
        "ws://host/",
        "data:,x",
    ],
)
def test_what_must_not_be_asked_is_refused_without_repeating_it(text: str) -> None:
    for parse in (parse_ollama_address, parse_openai_address):
        with pytest.raises(InvalidInput) as raised:
            parse(text)
        assert "secret" not in raised.value.message
        assert "169.254" not in raised.value.message


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("http://host", "http://HOST:80/x", True),
        ("http://host", "http://host.", False),
        ("http://127.0.0.1:9", "http://127.0.0.1.:9", False),
        ("http://host", "https://host", False),
        ("http://host:1", "http://host:2", False),
        ("http://host", "http://host.evil", False),
        ("https://host", "https://host:443/v1", True),
    ],
)
def test_a_key_is_bound_to_scheme_host_and_port(one: str, other: str, *, same: bool) -> None:
    endpoints = parse_openai_address(one).endpoint, parse_openai_address(other).endpoint
    assert (endpoints[0] == endpoints[1]) == same


@pytest.mark.parametrize(
    ("text", "local"),
    [
        ("http://localhost", True),
        ("http://127.0.0.1", True),
        ("http://10.1.2.3", True),
        ("http://box", True),
        ("http://box.local", True),
        ("http://[::1]", True),
        ("https://api.openai.com", False),
        ("http://8.8.8.8", False),
    ],
)
def test_local_is_what_stays_on_this_machine_or_network(text: str, *, local: bool) -> None:
    assert parse_openai_address(text).is_local == local


@pytest.mark.parametrize(
    "host",
    [
        *("localhost", "127.0.0.1", "127.1", "::1", "::ffff:127.0.0.1", "::ffff:192.168.0.1"),
        *("10.0.0.1", "172.16.0.1", "192.168.0.1", "100.64.0.1", "fd00::1", "box.lan", "::"),
        *("8.8.8.8", "2001:db8::1", "64:ff9b::8.8.8.8", "64:ff9b:1::10.0.0.1", "0.0.0.0"),
    ],
)
def test_this_machine_and_networks_are_not_refused(host: str) -> None:
    assert not is_refused(host)


@given(st.ip_addresses())
def test_an_address_is_judged_alike_in_every_spelling(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    spellings = [str(address), address.exploded, str(address).upper(), f"{address}."]
    if isinstance(address, ipaddress.IPv4Address):
        number = int(address)
        octets = address.packed
        spellings += [str(number), hex(number), oct(number).replace("o", "")]
        spellings += [
            ".".join(map(hex, octets)),
            f"::ffff:{address}",
            f"{octets[0]}.{number & 0xFFFFFF}",
        ]
    assert len({is_refused(spelling) for spelling in spellings}) == 1


@given(st.ip_addresses(network="169.254.0.0/16"), st.integers(0, 2**64 - 1))
def test_no_translated_form_of_a_refused_address_passes(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address, rest: int
) -> None:
    number = int(address)
    forms = {
        "compatible": number,
        "mapped": 0xFFFF << 32 | number,
        "translated": 0xFFFF << 48 | number,
        "NAT64": 0x64FF9B << 96 | number,
        "6to4": 0x2002 << 112 | number << 80 | rest,
        "Teredo": 0x20010000 << 96 | rest << 32 & (2**96 - 1) | number ^ 0xFFFFFFFF,
        "ISATAP": 0x20010DB8 << 96 | 0x5EFE << 32 | number,
    }
    for form, bits in forms.items():
        assert is_refused(str(ipaddress.IPv6Address(bits))), form
