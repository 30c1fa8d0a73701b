"""A proxy before an HTTP server that delays requests, cuts uploads, answers with errors, and loses answers."""

from __future__ import annotations

import http.client
import random
import re
import socket
import threading
import time
from collections import Counter
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

#: What may happen to a request. ``cut``: the connection ends in the middle of its body, and the server never sees it.
#: ``lost``: the server does what was asked, and its answer is lost.
FAULTS = ("delay", "cut", "500", "503", "lost")


@dataclass
class Rule:
    """What happens to the next ``times`` requests of a method and path; each fault with the chance of the rule."""

    method: str
    path: str
    faults: tuple[str, ...]
    times: int = 10**9
    chance: float = 1.0


class BadNetwork(ThreadingHTTPServer):
    """Stands before a server, on a port of its own, until it is closed.

    Args:
        port: of the server, on this machine.
        seed: of chances and delays.

    Attributes:
        rules: the first that fits a request decides.
        counts: how often which fault came, and ``whole`` for requests that went through.
    """

    daemon_threads = True

    def __init__(self, port: int, seed: int = 0) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.behind, self.rng = port, random.Random(seed)
        self.rules: list[Rule] = []
        self.counts: Counter[str] = Counter()
        self._mutex = threading.Lock()
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def fault(self, method: str, path: str) -> str:
        """What is to happen to a request; empty for nothing."""
        with self._mutex:
            for rule in self.rules:
                if rule.times > 0 and rule.method in ("*", method) and re.search(rule.path, path):
                    found = self.rng.choice(rule.faults) if self.rng.random() < rule.chance else ""
                    rule.times -= bool(found)
                    self.counts[found or "whole"] += 1
                    return found
            self.counts["whole"] += 1
            return ""

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that has gone is nothing to speak of."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: BadNetwork

    def _pass(self) -> None:
        fault = self.server.fault(self.command, self.path)
        length = int(self.headers.get("Content-Length") or 0)
        if fault == "cut":
            self.rfile.read(length // 2)
            self._end()
            return
        body = self.rfile.read(length)
        if fault == "delay":
            time.sleep(self.server.rng.uniform(0.0, 0.4))
        if fault in ("500", "503"):
            code = {"500": "InternalError", "503": "SlowDown"}[fault]
            self._answer(int(fault), {}, f"<Error><Code>{code}</Code><Message>{code}</Message></Error>".encode())
            return
        behind = http.client.HTTPConnection("127.0.0.1", self.server.behind, timeout=60)
        behind.request(self.command, self.path, body or None, dict(self.headers.items()))
        answer = behind.getresponse()
        data = answer.read()
        behind.close()
        if fault == "lost":
            self._end()
            return
        dropped = ("connection", "transfer-encoding", "date", "server")
        kept = {name: value for name, value in answer.getheaders() if name.lower() not in dropped}
        self._answer(answer.status, kept, data)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _pass

    def _answer(self, status: int, headers: dict[str, str], data: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if "content-length" not in {name.lower() for name in headers}:
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def _end(self) -> None:
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Nothing is printed."""
