"""Whose requests the window answers."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboards.gate import OnlyThisMachine, is_this_machine, stranger

OURS = ["127.0.0.1", "127.0.0.1:8501", "localhost", "LocalHost:1", "[::1]:8501", "[::1]", "127.8.9.1:80"]
FOREIGN = [
    "", ":8501", "evil.example", "evil.example:8501", "localhost.evil.example", "127.0.0.1.evil.example:80", "10.0.0.1",
    "localhost:x", "localhost:", "127.0.0.1@evil.example", "evil.example@127.0.0.1", "localhost/..", "0.0.0.0:8501",
    "[::]", "2130706433", "0x7f.1", "localhost:8501:80", "a.localhost", " localhost", "localhost,evil.example",
    "localhost:٣",
]  # fmt: skip


@pytest.mark.parametrize("host", OURS)
def test_names_of_this_machine(host):
    assert is_this_machine(host)


@pytest.mark.parametrize("host", FOREIGN)
def test_names_of_other_machines(host):
    assert not is_this_machine(host)


@given(st.from_regex(r"\A[a-z0-9.:@\[\]-]{1,40}\Z"))
def test_what_names_no_loopback_address_is_refused(host):
    assert not is_this_machine(host) or host.startswith(
        ("127.", "localhost", "[::1]", "::1", "[127.", "[0", "0", ":", "[:")
    )


def headers(host="127.0.0.1:8501", *origins):
    return [(b"host", host.encode("utf-8"))] + [(b"origin", origin.encode()) for origin in origins]


def test_a_page_of_ours_and_a_program_without_origin_are_answered():
    assert stranger(headers()) == ""
    assert stranger(headers("localhost:9", "http://localhost:9")) == ""


@pytest.mark.parametrize(
    "origin",
    ["null", "", "http://evil.example", "http://127.0.0.1:9", "http://localhost:8501", "https://127.0.0.1:8501"],
)
def test_a_page_of_another_origin_is_refused_even_one_of_this_machine(origin):
    assert stranger(headers("127.0.0.1:8501", origin)).startswith("Origin must be http://127.0.0.1:8501")


def test_two_hosts_or_none_are_refused():
    assert stranger([])
    assert stranger(headers("localhost") + headers("evil.example"))
    assert stranger(headers("localhost", "http://localhost", "http://evil.example"))


def asked(kind, host):
    """What a client gets of an application behind the gate, which answers 200."""
    sent = []

    async def inner(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def receive():
        return {"type": f"{kind}.connect"}

    async def send(message):
        sent.append(message)

    asyncio.run(OnlyThisMachine(inner)({"type": kind, "headers": headers(host)}, receive, send))
    return sent


def test_the_gate_stands_before_routes_and_websocket_alike():
    assert asked("http", "localhost")[0]["status"] == 200
    refused = asked("http", "évil.example")
    assert refused[0]["status"] == 403
    assert refused[1]["body"].startswith(b"This window answers this machine only. Host must be localhost")
    assert asked("websocket", "evil.example")[0]["type"] == "websocket.close"
