"""A small server of the chat protocol: reads its prompts and answers honestly, or in one of many bad ways.

Honest, it knows nothing but its prompts: it describes a feature by the tokens that are marked as firing, says that it
is in every text that has one of these, that marks are right where they are on these, and that the intruder is the text
whose marked token occurs among marks least often.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections import Counter
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

MODEL = "honest-1"
_MARK = re.compile("⟦(.*?)⟧")


def _marked(text: str) -> list[str]:
    return [token.strip() for token in _MARK.findall(text)]


def honest(user: str) -> str:
    """The content of an honest reply to a user's message."""
    asked, _, data = user.partition("\n")
    given = json.loads(data.partition("\n\nYour last reply")[0])
    if "Each question has" in asked:
        marks = [{n: _marked(text)[0] for n, text in q["texts"].items()} for q in given]
        counts = [Counter(of.values()) for of in marks]
        numbers = [int(min(of, key=lambda n: count[of[n]])) for of, count in zip(marks, counts, strict=True)]
        return json.dumps({"numbers": numbers})
    if "Somebody described" not in asked:
        marked = sorted({token for text in given["fires"] for token in _marked(text)})
        return json.dumps({"explanation": "|".join(marked)})
    known = given["explanation"].split("|")
    if "are those on which it fires" in asked:
        right = [n for n, text in given["texts"].items() if set(_marked(text)) <= set(known)]
    else:
        right = [n for n, text in given["texts"].items() if any(token in text for token in known)]
    return json.dumps({"numbers": [int(n) for n in right]})


class LanguageServer(ThreadingHTTPServer):
    """Listens on a port of its own until it is closed.

    Attributes:
        say: content of the reply to a user's message; may be exchanged.
        statuses: answered to the next requests in place of a reply, one each.
        raw: bytes sent as the body of every answer in place of one of the protocol.
        key: that must be sent; None for any.
        delay_s: waited before every answer.
        cut: send only half of the body that was announced.
        requests: what was asked so far.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.say: Callable[[str], Any] = honest
        self.statuses: list[tuple[int, dict[str, str]]] = []
        self.raw: bytes | None = None
        self.key: str | None = None
        self.delay_s, self.cut, self.finish = 0.0, False, "stop"
        self.requests: list[dict[str, Any]] = []
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    @property
    def url(self) -> str:
        """What ``--endpoint`` is given."""
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    @property
    def users(self) -> list[str]:
        """The users' messages so far."""
        return [request["messages"][-1]["content"] for request in self.requests]

    def close(self) -> None:
        """Listen no more."""
        self.shutdown()
        self.server_close()

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that has gone is nothing to speak of."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: LanguageServer

    def do_POST(self) -> None:
        server = self.server
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        server.requests.append(body)
        time.sleep(server.delay_s)
        sent = self.headers.get("Authorization", "")
        if server.statuses:
            status, headers = server.statuses.pop(0)
            return self._answer(status, f"\x1b[31mno, {sent}".encode(), headers)
        if self.path != "/v1/chat/completions" or body["model"] != MODEL:
            return self._answer(404, json.dumps({"error": {"message": f"no model {body['model']}"}}).encode())
        if server.key is not None and sent != f"Bearer {server.key}":
            return self._answer(401, json.dumps({"error": {"message": f"bad key {sent}"}}).encode())
        if server.raw is not None:
            return self._answer(200, server.raw)
        content = server.say(body["messages"][-1]["content"])
        usage = {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110}
        choice = {"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": server.finish}
        return self._answer(200, json.dumps({"choices": [choice], "usage": usage, "model": body["model"]}).encode())

    def _answer(self, status: int, data: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data[: len(data) // 2] if self.server.cut else data)
        if self.server.cut:
            self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Nothing is printed."""
