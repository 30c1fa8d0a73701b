"""One call of the chat protocol that OpenAI-compatible servers speak, over a network that may fail.

The key is in the headers of requests and nowhere else: no error, line or file of ours has it.
"""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from results.token_text import visible
from universality.errors import UniversalityError, must_be, refusal, require

KEYS = ("UNIVERSALITY_API_KEY", "OPENAI_API_KEY")
#: Seconds before each further try of a request; their number is that of tries behind the first.
BACKOFF_S = (1.0, 2.0, 4.0, 8.0)
MAX_WAIT_S = 60.0
#: Tokens that a reply may have, those of thinking included.
MAX_TOKENS = 2_000
#: Bytes of a response that are read.
MAX_BODY = 1_000_000
_LOCAL = ("localhost", "127.0.0.1", "::1")
_TRY_LATER = (408, 409, 425, 429)


class EndpointFailed(UniversalityError, ConnectionError):
    """The server did not answer, however often it was asked; asking again later may do."""


class _Again(Exception):
    """This try has failed; the text says how."""

    def __init__(self, why: str, wait: float | None = None) -> None:
        super().__init__(why)
        self.wait = wait


@dataclass(frozen=True)
class Reply:
    """What came back: the text (None: refused, or none), whether it was cut off, and tokens as the server counts."""

    text: str | None
    cut: bool
    prompt_tokens: int
    completion_tokens: int


def key_of_environment() -> str | None:
    """The key, or None.

    Raises:
        InputError: it has characters that no header may have; the message does not tell it.
    """
    name = next((name for name in KEYS if os.environ.get(name, "").strip()), None)
    if name is None:
        return None
    key = os.environ[name].strip()
    plain = key.isascii() and key.isprintable() and " " not in key
    require(plain, name, "the environment", "printable ASCII without spaces", "something else", "Check the key.")
    return key


class Endpoint:
    """A server of the protocol and one of its models.

    Args:
        url: up to ``/v1``; ``/chat/completions`` is put behind it.
        model: name of the model, as the server has it.
        key: sent as a bearer's token; None for none.
        timeout_s: most seconds of one request.

    Attributes:
        host: name of the host alone.
        in_the_clear: whether a key travels unencrypted to another machine.

    Raises:
        InputError: no such address, or the package httpx is missing.
    """

    def __init__(self, url: str, model: str, key: str | None = None, timeout_s: float = 120.0) -> None:
        self.url, self.host = _checked(url)
        self.model, self._key, self.timeout_s = model, key, timeout_s
        self.in_the_clear = bool(key) and self.url.startswith("http:") and self.host not in _LOCAL
        try:
            import httpx
        except ImportError:
            remedy = "pip install 'universality[explain]'"
            raise refusal("package httpx", "explain", "installed", "none", remedy) from None
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        # No redirect is followed, and of this machine no proxy asked: the key goes to the named host alone.
        try:
            self._client = httpx.Client(
                timeout=timeout_s, headers=headers, follow_redirects=False, trust_env=self.host not in _LOCAL
            )
        except (ImportError, ValueError, httpx.InvalidURL) as error:
            remedy = "Check HTTP_PROXY, HTTPS_PROXY and ALL_PROXY; SOCKS needs pip install 'httpx[socks]'."
            got = type(error).__name__  # its text may hold a password
            raise refusal("the proxy", "the environment", "one that httpx can use", got, remedy) from None

    def close(self) -> None:
        """Close its connections."""
        self._client.close()

    def ask(self, messages: list[dict[str, str]], seed: int) -> Reply:
        """One reply, at temperature 0; a request that fails is tried again a few times, later and later.

        Raises:
            InputError: the server refuses key, model or request.
            EndpointFailed: it fails, is too busy, too slow, or speaks another protocol.
        """
        body = {
            "model": self.model, "messages": messages, "temperature": 0, "seed": seed, "max_tokens": MAX_TOKENS,
            "stream": False,
        }  # fmt: skip
        why = ""
        for wait in (*BACKOFF_S, None):
            try:
                return self._once(body)
            except _Again as failure:
                why = str(failure)
                if wait is not None:
                    time.sleep(wait if failure.wait is None else min(failure.wait, MAX_WAIT_S))
        tries = len(BACKOFF_S) + 1
        remedy = "What was answered is kept; the same command goes on."
        raise EndpointFailed(must_be("the server", self.host, "able to answer", f"{why}, {tries} times", remedy))

    def _once(self, body: dict[str, Any]) -> Reply:
        import httpx

        started, data = time.monotonic(), bytearray()
        try:
            with self._client.stream("POST", f"{self.url}/chat/completions", json=body) as response:
                for chunk in response.iter_bytes():
                    data += chunk
                    if len(data) > MAX_BODY:
                        raise _Again(f"more than {MAX_BODY} bytes")
                    if time.monotonic() - started > self.timeout_s:
                        raise _Again(f"no end after {self.timeout_s:g} s")
        except httpx.TimeoutException:
            raise _Again(f"no answer in {self.timeout_s:g} s") from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise _Again(self._said(f"{type(error).__name__}: {error}")) from None
        if response.status_code != 200:
            self._refused(response.status_code, response.headers.get("Retry-After"), bytes(data))
        try:
            answer = json.loads(bytes(data))
            choice = answer["choices"][0]
            text, usage = choice["message"].get("content"), answer.get("usage") or {}
            counts = [usage.get(name) for name in ("prompt_tokens", "completion_tokens")]
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
            raise _Again("an answer that is none of the chat protocol") from None
        counts = [count if type(count) is int and count >= 0 else 0 for count in counts]
        return Reply(text if isinstance(text, str) else None, choice.get("finish_reason") == "length", *counts)

    def _refused(self, status: int, retry_after: str | None, data: bytes) -> None:
        if status in _TRY_LATER or status >= 500:
            seconds = float(retry_after) if retry_after and retry_after.isdecimal() else None
            raise _Again(f"status {status}", seconds)
        if status in (401, 403):
            key = "the key was refused" if self._key else "no key is set"
            raise refusal("the key", self.host, "accepted", f"status {status}", f"Set {KEYS[0]}; {key}.")
        told = "" if status < 400 else f": {self._said(data.decode('utf-8', 'replace'))}"
        remedy = (
            "Check --model and --endpoint (up to /v1)." if status == 404 else "Check --endpoint and what it serves."
        )
        raise refusal("the request", self.host, f"answered for model {self.model!r}", f"status {status}{told}", remedy)

    def _said(self, text: str) -> str:
        """What the other side says, short, visible, and without the key."""
        text = text.replace(self._key, "(key)") if self._key else text
        return visible(" ".join(text[:2_000].split()).encode("utf-8", "replace"))[:160]


def _checked(url: str) -> tuple[str, str]:
    """The address without a slash at its end, and its host."""
    remedy = "Give for example http://127.0.0.1:8000/v1; keys come from the environment."
    try:
        parts = urlsplit(url.strip())
        host, _ = parts.hostname, parts.port
    except ValueError:
        parts, host = urlsplit(""), None
    plain = parts.scheme in ("http", "https") and host and "@" not in parts.netloc and not parts.query + parts.fragment
    shown = "one with a user's name or key" if "@" in url else url
    require(plain, "--endpoint", "explain", "an http or https address without user, query and fragment", shown, remedy)
    assert host
    return url.strip().rstrip("/"), host
