"""What is known of models of the hub before anything is computed: what it says, what was fetched, or nothing."""

import json

import pytest
from huggingface_hub import HfApi, constants
from huggingface_hub import errors as hub

from results.public import ahead
from results.public.ahead import check_model, check_tokenizer, config_ahead
from results.public.errors import HubError

CONFIG = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "num_hidden_layers": 2, "hidden_size": 8,
          "max_position_embeddings": 16}  # fmt: skip
COMMIT = "a" * 40


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    ahead._on_hub.cache_clear()
    return tmp_path / "models--no--body"


def answer(monkeypatch, error, *made):
    asked = []

    def model_info(self, name, **options):
        assert options["timeout"] < 10
        asked.append(name)
        raise error if not made else error.__new__(error, *made)

    monkeypatch.setattr(HfApi, "model_info", model_info)
    return asked


def test_a_hub_that_does_not_answer_is_no_error_now(cache, monkeypatch):
    asked = answer(monkeypatch, ConnectionResetError("no route to host"))
    assert config_ahead("no/body") == {}
    assert check_model("no/body", n_ctx=10**6, hook_points=["blocks.9.nothing"]) == ()
    check_tokenizer("no/body")
    assert len(asked) == 2, "for the model, and for the tokenizer"


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (hub.RepositoryNotFoundError, "no such repository, or a private one"),
        (hub.RevisionNotFoundError, "no such revision"),
        (hub.OfflineModeIsEnabled, "no such folder, and nothing fetched before"),
        (hub.HFValidationError, "no repository can have"),
    ],
)
def test_what_the_hub_surely_lacks_is_told(cache, monkeypatch, error, words):
    answer(monkeypatch, error, "said")
    for kind, act in (("model", lambda: check_model("no/body", "v1", n_ctx=8)),
                      ("tokenizer", lambda: check_tokenizer("no/body", "v1"))):  # fmt: skip
        with pytest.raises(HubError, match=f"{kind} 'no/body' at revision 'v1' of .*{words}"):
            act()


def test_what_was_fetched_before_is_looked_at_without_asking(cache, monkeypatch):
    answer(monkeypatch, SystemExit("asked"))
    folder = cache / "snapshots" / COMMIT
    folder.mkdir(parents=True)
    (cache / "refs").mkdir()
    (cache / "refs/main").write_text(COMMIT)
    (folder / "config.json").write_text(json.dumps(CONFIG))
    (folder / "tokenizer.json").write_text("{}")
    assert config_ahead("no/body") == CONFIG
    check_tokenizer("no/body")
    with pytest.raises(HubError, match=r"blocks 0 to 1; got blocks\.2"):
        check_model("no/body", n_ctx=8, hook_points=["blocks.2.hook_resid_post"])
    assert "longer than the 16 positions" in check_model("no/body", n_ctx=32)[0]


@pytest.mark.parametrize("name", ["./nowhere", "/no/where", "~/nowhere", "a/b/c", "a\\\\b"])
def test_a_path_is_never_asked_of_the_hub(cache, monkeypatch, name):
    answer(monkeypatch, SystemExit("asked"))
    for act in (lambda: check_model(name, n_ctx=8), lambda: check_tokenizer(name)):
        with pytest.raises(HubError, match=r"got no such folder\. Correct the path"):
            act()
