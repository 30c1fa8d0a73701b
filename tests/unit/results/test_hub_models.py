"""Models from folders (and the refusals), on tiny GPT-2 and GPT-NeoX checkpoints made on the spot."""

import pytest
import torch
from tiny_models import D_VOCAB, save_model

from results.public.errors import HubError
from results.public.hub import describe_pretrained, load_pretrained


@pytest.fixture(scope="module", params=["gpt2", "neox"])
def saved(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    return folder, save_model(folder, request.param), request.param


def test_untrained_weights_follow_from_their_seed_alone(saved):
    folder, _, _ = saved
    torch.manual_seed(1)
    before = torch.random.get_rng_state()
    a = load_pretrained(str(folder), untrained_seed=3).state_dict()
    assert torch.equal(before, torch.random.get_rng_state())
    b = load_pretrained(str(folder), untrained_seed=3).state_dict()
    c = load_pretrained(str(folder), untrained_seed=4).state_dict()
    trained = load_pretrained(str(folder)).state_dict()
    name = next(n for n in a if n.endswith("mlp.in.weight"))
    assert torch.equal(a[name], b[name])
    assert not torch.equal(a[name], c[name])
    assert not torch.equal(a[name], trained[name])


def test_description_pins_the_weights(saved, tmp_path):
    folder, original, kind = saved
    facts = describe_pretrained(str(folder))
    assert facts["revision"] is None
    assert facts["d_vocab"] == D_VOCAB
    assert facts["architecture"] == type(original).__name__
    assert describe_pretrained(str(folder)) == facts
    load_pretrained(str(folder), digest=facts["digest"])
    changed = save_model(tmp_path, kind)
    with torch.no_grad():
        next(changed.parameters()).add_(1)
    changed.save_pretrained(tmp_path)
    assert describe_pretrained(str(tmp_path))["digest"] != facts["digest"]
    with pytest.raises(HubError, match="those the run was planned with"):
        load_pretrained(str(tmp_path), digest=facts["digest"])


@pytest.mark.parametrize("act", [load_pretrained, describe_pretrained])
def test_unreachable_names_say_what_to_do(act, tmp_path, monkeypatch):
    import huggingface_hub.constants

    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(HubError, match="HF_HUB_OFFLINE is set") as caught:
        act("nobody/no-such-model-at-all", "main")
    assert isinstance(caught.value, OSError)
    with pytest.raises(HubError, match="save_pretrained"):
        act(str(tmp_path))


def test_a_folder_without_weights_is_refused(saved, tmp_path):
    (tmp_path / "config.json").write_bytes((saved[0] / "config.json").read_bytes())
    with pytest.raises(HubError, match="holds none of the weight files"):
        describe_pretrained(str(tmp_path))
