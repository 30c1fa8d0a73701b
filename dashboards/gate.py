"""Who may talk to the server: pages of its own, under a name of this machine, and nobody else.

The server listens on this machine only, and that is not enough: any web page can ask a browser here to fetch
``http://127.0.0.1:8501``, and a page whose name is made to resolve to 127.0.0.1 (DNS rebinding) may read the answer.
Such a request names the page's host in ``Host``, or its site in ``Origin``; neither is a name of this machine.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Asgi = Callable[[Message, Receive, Send], Awaitable[None]]


def is_this_machine(host: str) -> bool:
    """Whether a ``Host`` header (``name``, ``name:port`` or ``[ipv6]:port``) names this machine itself."""
    name, colon, port = host.rpartition(":")
    if not colon or host.endswith("]"):
        name, port = host, "0"
    if not (port.isascii() and port.isdecimal()):
        return False
    if name.lower() == "localhost":
        return True
    bare = name[1:-1] if name.startswith("[") and name.endswith("]") else name
    try:
        return ipaddress.ip_address(bare).is_loopback
    except ValueError:
        return False


def stranger(headers: Sequence[tuple[bytes, bytes]]) -> str:
    """Why a request must be refused, in a sentence; empty for one of this machine.

    Args:
        headers: names and values as ASGI gives them, names in lower case.
    """
    hosts, origins = (
        [value.decode("latin-1") for key, value in headers if key == name] for name in (b"host", b"origin")
    )
    if len(hosts) != 1 or not is_this_machine(hosts[0]):
        return f"Host must be localhost or 127.0.0.1; got {', '.join(hosts)!r}."
    foreign = [origin for origin in origins if origin.lower() != f"http://{hosts[0].lower()}"]
    if foreign:
        return f"Origin must be http://{hosts[0]}; got {', '.join(foreign)!r}."
    return ""


class OnlyThisMachine:
    """ASGI middleware before every route and the websocket: strangers get 403 and a sentence."""

    def __init__(self, app: Asgi) -> None:
        self._app = app

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it before anything else looks at it."""
        reason = stranger(scope["headers"]) if scope["type"] in ("http", "websocket") else ""
        if not reason:
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008, "reason": "not a page of this machine"})
        else:
            body = f"This window answers this machine only. {reason}\n".encode("ascii", "backslashreplace")
            headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", b"%d" % len(body))]
            await send({"type": "http.response.start", "status": 403, "headers": headers})
            await send({"type": "http.response.body", "body": body})
