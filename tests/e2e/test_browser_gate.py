"""A web page under a foreign name, in a real browser whose resolver says that the name is this machine."""

from __future__ import annotations

from contextlib import closing
from http.client import HTTPConnection
from urllib.parse import urlsplit

import pytest
from synthetic_run import write_synthetic_run
from visits import TINY
from watched import BROWSER

from tools.screenshots import chromium, settle
from tools.server import serve

pytestmark = BROWSER
EVIL = "rebound.example"
#: Every kind of route that Streamlit serves: page, screen, health, settings, files of the run, scripts, uploads.
ROUTES = [
    "/", "/pairs", "/_stcore/health", "/_stcore/host-config", "/_stcore/metrics", "/_stcore/script-health-check",
    "/media/a.csv", "/static/x.js", "/component/x", "/_stcore/bidi-components/x", "/_stcore/upload_file/a/b",
    "/app/static/x", "/nowhere/at/all",
]  # fmt: skip
#: What a page makes of the websocket at an address: its first event.
SOCKET = """address => new Promise(done => {
  const socket = new WebSocket(address, ['streamlit']);
  socket.onopen = () => done('open'); socket.onerror = () => done('refused');
})"""


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    url = str(tmp_path_factory.mktemp("gate") / "store")
    write_synthetic_run(url, **TINY)
    with serve(url) as found:
        yield found


def asked(address, method, path, **headers):
    with closing(HTTPConnection("127.0.0.1", urlsplit(address).port, timeout=30)) as connection:
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read()


@pytest.mark.parametrize("path", ROUTES)
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "OPTIONS", "HEAD"])
def test_no_route_answers_a_foreign_name_or_page(address, method, path):
    port = urlsplit(address).port
    for strange in ({"Host": EVIL}, {"Host": f"{EVIL}:{port}"}, {"Origin": f"http://{EVIL}"}, {"Origin": "null"}):
        status, body = asked(address, method, path, **strange)
        assert status == 403, (strange, body[:200])
        assert method == "HEAD" or body.startswith(b"This window answers this machine only.")
    assert asked(address, method, path)[0] != 403 or path == "/_stcore/upload_file/a/b"


def test_a_page_whose_name_resolves_to_this_machine_gets_nothing(address):
    port = urlsplit(address).port
    with chromium(f"--host-resolver-rules=MAP {EVIL} 127.0.0.1") as browser:
        page = browser.new_page()
        answer = page.goto(f"http://{EVIL}:{port}/")
        assert answer is not None
        assert answer.status == 403
        assert page.inner_text("body").startswith("This window answers this machine only.")
        for here in (EVIL, "127.0.0.1", "localhost"):
            assert page.evaluate(SOCKET, f"ws://{here}:{port}/_stcore/stream") == "refused"
        # The same browser, under our own names, gets the screens and the websocket.
        for here in ("127.0.0.1", "localhost"):
            page.goto(f"http://{here}:{port}/")
            settle(page)
            assert page.locator("h1").count() == 1
            assert page.evaluate(SOCKET, f"ws://{here}:{port}/_stcore/stream") == "open"
