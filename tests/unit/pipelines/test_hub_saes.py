"""Dictionaries of hub repositories: pinned, fetched alone, found again offline, refused in words.

The hub is a server on this machine with the few answers that its client asks for, or its cache laid out by hand.
"""

import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

import pytest
import torch

from pipelines.hub_dictionaries import fetch_sae, sae_commit, sae_source
from pipelines.plan import build_plan
from pipelines.recipe import load_recipe
from results.public.errors import HubError
from universality.errors import InputError
from universality.sae import SparseAutoencoder, load_sae
from universality.sae.activations import TopK
from universality.sae.formats import save_sae

REPO, INSIDE, COMMIT = "someone/saes", "blocks.0.hook_mlp_out", "ab12" * 10


@pytest.fixture(scope="module")
def dictionary(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sae")
    weights = torch.linspace(-1, 1, 12).reshape(4, 3)
    sae = SparseAutoencoder(
        W_enc=weights,
        b_enc=torch.zeros(3),
        W_dec=weights.T.contiguous(),
        b_dec=torch.ones(4),
        activation=TopK(2),
    )
    save_sae(sae, folder)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def cache(monkeypatch, tmp_path):
    """An empty local cache; the hub is out of reach."""
    from huggingface_hub import constants

    folder = tmp_path / "cache"
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(folder))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    return folder


@pytest.fixture
def cached(cache, dictionary):
    """That cache as huggingface_hub lays it out, with one dictionary."""
    repo = cache / "models--someone--saes"
    (repo / "refs").mkdir(parents=True)
    for name in ("main", "v1"):
        (repo / "refs" / name).write_text(COMMIT)
    folder = repo / "snapshots" / COMMIT / INSIDE
    folder.mkdir(parents=True)
    for name, content in dictionary.items():
        (folder / name).write_bytes(content)
    return folder


class Hub(BaseHTTPRequestHandler):
    """The answers of a hub with one repository; ``asked`` keeps what was fetched."""

    files: dict[str, bytes]
    asked: list[str]
    refusal: tuple[int, dict[str, str]] | None

    def do_HEAD(self):
        self._answer(body=False)

    def do_GET(self):
        self._answer(body=True)

    def log_message(self, *_):
        pass

    def _answer(self, body):
        path = unquote(urlsplit(self.path).path)
        if self.refusal is not None:
            self._send(self.refusal[0], b"{}", self.refusal[1], body)
        elif path.startswith(f"/api/models/{REPO}/revision/"):
            self._send(200, json.dumps({"id": REPO, "sha": COMMIT}).encode(), {}, body)
        elif path == f"/api/models/{REPO}/tree/{COMMIT}":
            tree = [{"type": "file", "path": name, "size": len(held), "oid": hashlib.sha1(held).hexdigest()}
                    for name, held in self.files.items()]  # fmt: skip
            self._send(200, json.dumps(tree).encode(), {}, body)
        else:
            name = path.removeprefix(f"/{REPO}/resolve/{COMMIT}/")
            held = self.files.get(name)
            if held is None:
                return self._send(404, b"{}", {}, body)
            self.asked.append(name)
            headers = {"ETag": f'"{hashlib.sha1(held).hexdigest()}"', "X-Repo-Commit": COMMIT}
            self._send(200, held, headers, body)

    def _send(self, status, content, headers, body):
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if body:
            self.wfile.write(content)


@pytest.fixture
def hub(cache, monkeypatch, dictionary):
    from huggingface_hub import constants

    inside = {f"{INSIDE}/{name}": content for name, content in dictionary.items()}
    others = {
        "README.md": b"#",
        "sae.json": b"{}",
        f"{INSIDE}/steps/sae.json": b"{}",
        f"{INSIDE}/log.txt": b".",
    }
    handler = type("One", (Hub,), {"files": inside | others, "asked": [], "refusal": None})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.delenv("HF_HUB_OFFLINE")
    here = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setattr(constants, "ENDPOINT", here)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", here + "/{repo_id}/resolve/{revision}/{filename}")
    yield handler
    server.shutdown()
    server.server_close()
    thread.join()


def test_only_the_files_of_the_dictionary_are_fetched(hub, monkeypatch):
    from huggingface_hub import constants

    assert sae_commit(REPO, "v1") == COMMIT
    assert hub.asked == []
    folder = fetch_sae(REPO, INSIDE, COMMIT)
    assert load_sae(folder).d_in == 4
    assert set(hub.asked) == {f"{INSIDE}/sae.json", f"{INSIDE}/sae.safetensors"}
    # What was fetched and resolved once is there without the hub.
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert (sae_commit(REPO, "v1"), fetch_sae(REPO, INSIDE, COMMIT)) == (COMMIT, folder)


def test_a_dictionary_that_is_one_file_is_fetched_alone(hub, tmp_path):
    """Its path keeps the repository's name, which says k."""
    W = torch.linspace(-1, 1, 12).reshape(3, 4)
    torch.save({"W_enc": W, "b_enc": torch.ones(3), "W_dec": W.T, "b_dec": torch.ones(4)}, tmp_path / "x.pt")
    inside = "SAE-Res-Q-W1K-L0_2"
    hub.files |= {f"{inside}/layer{n}.sae.pt": (tmp_path / "x.pt").read_bytes() for n in (0, 1)}
    file = fetch_sae(REPO, f"{inside}/layer1.sae.pt", COMMIT)
    assert load_sae(file).activation == TopK(2)
    assert set(hub.asked) == {f"{inside}/layer1.sae.pt"}


@pytest.mark.parametrize(
    ("status", "code", "words"),
    [
        (404, "RepoNotFound", "Correct the name"),
        (404, "RevisionNotFound", "Correct the revision"),
        (403, "GatedRepo", "Accept its terms"),
    ],
)
def test_refusals_of_the_hub_say_what_to_do(hub, status, code, words):
    hub.refusal = (status, {"X-Error-Code": code})
    for ask in (lambda: sae_commit(REPO, "v1"), lambda: fetch_sae(REPO, INSIDE, COMMIT)):
        with pytest.raises(HubError, match=words) as caught:
            ask()
        assert REPO in str(caught.value)


def test_a_subfolder_without_a_dictionary_is_refused(hub):
    with pytest.raises(HubError, match=r"someone/saes/blocks\.9.*Correct the subfolder"):
        fetch_sae(REPO, "blocks.9", COMMIT)


def test_the_cache_answers_offline(cached):
    assert sae_commit(REPO, None) == sae_commit(REPO, "v1") == sae_commit(REPO, COMMIT) == COMMIT
    assert fetch_sae(REPO, INSIDE, COMMIT) == cached
    assert sae_commit("no/body", "f" * 40) == "f" * 40, "a commit needs no answer"


def test_offline_and_not_cached_is_said(cached):
    for ask in (
        lambda: sae_commit(REPO, "v2"),
        lambda: fetch_sae(REPO, INSIDE, "f" * 40),
        lambda: fetch_sae(REPO, "blocks.1.hook_mlp_out", COMMIT),
        lambda: sae_commit("no/body", None),
    ):
        with pytest.raises(HubError, match=r"none in the local cache\. HF_HUB_OFFLINE is set"):
            ask()


def planned(entry):
    loaded = f"comparisons.0.saes=[{{model: m0, {entry}}}]"
    return build_plan(load_recipe("tiny", [loaded, "comparisons.0.hook_point=blocks.0.hook_mlp_out"]))


def test_the_commit_is_in_the_key_whatever_the_revision_is_called(cached):
    by_branch, by_tag, by_commit = (
        planned(f"hub: {REPO}, subfolder: {INSIDE}{more}") for more in ("", ", revision: v1", f", revision: {COMMIT}")
    )
    node = by_branch["sae/main/m0"]
    assert node.step == "loaded_sae"
    assert node.params["commit"] == COMMIT
    assert sae_source(node.params) == f"{REPO}/{INSIDE}@{COMMIT[:12]}"
    assert by_branch.keys() == by_tag.keys() == by_commit.keys()
    other = planned(f"hub: {REPO}, subfolder: {INSIDE}, revision: {'f' * 40}")
    assert other.keys()["sae/main/m0"] != by_branch.keys()["sae/main/m0"]
    root = planned(f"hub: {REPO}")
    assert root.keys()["sae/main/m0"] != by_branch.keys()["sae/main/m0"]
    assert sae_source(root["sae/main/m0"].params) == f"{REPO}@{COMMIT[:12]}"


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ("path: x, hub: a/b", "either path or hub; got both"),
        ("revision: v1", "either path or hub; got neither"),
        ("path: x, subfolder: y", "belong to hub"),
        ("hub: just-a-name", "comparisons.0.saes.0.hub"),
    ],
)
def test_a_dictionary_has_one_place(entry, words):
    with pytest.raises(InputError) as caught:
        planned(entry)
    assert words in str(caught.value)
