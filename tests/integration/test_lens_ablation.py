"""A cluster taken out of a typed text, against a forward pass written by hand."""

import numpy as np
import pytest
import torch
from synthetic_run import write_synthetic_run

from results.lens_ablation import without_cluster
from results.stored_comparison import StoredComparison
from results.text_lens import agreement, open_lens, read_text, shared_members

TEXT = "hello there, hello"


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    small = {"n_models": 2, "n_latents": 40, "n_documents": 60, "n_ctx": 32, "n_untrained": 0, "replicates": False}
    run = write_synthetic_run(str(tmp_path_factory.mktemp("lens") / "store"), **small, loadable=True)
    return StoredComparison(run, "main")


def test_a_cluster_at_its_mean_changes_what_its_models_predict(stored):
    lens, members = open_lens(stored), shared_members(stored)
    reading = read_text(lens, TEXT)
    agreed = agreement(reading.firings, members, len(reading.tokens))
    cluster = int(agreed.clusters["cluster"].iloc[0])
    inside = members[members["cluster"] == cluster]
    changes = without_cluster(lens, TEXT, inside)
    fires = reading.firings.merge(inside, on=["model", "latent"])
    fires = fires[fires["position"] < len(reading.tokens) - 1]
    assert len(changes) > 0
    assert set(zip(changes["model"], changes["position"], strict=True)) == set(
        zip(fires["model"], fires["position"], strict=True)
    )
    context = next(iter(lens.models.values())).context(TEXT)
    tokens = torch.from_numpy(context.astype(np.int64))[None]
    for model, of_model in inside.groupby("model"):
        opened, latents = lens.models[model], of_model["latent"].to_numpy()
        means = stored.acts(model)[:, latents].toarray().mean(axis=0)

        def hold(value, hook, opened=opened, latents=latents, means=means):
            acts = opened.dictionary.encode(value[0])
            for latent, mean in zip(latents, means, strict=True):
                active = acts[:, latent] != 0
                active[0] = False
                change = torch.where(active, float(mean) - acts[:, latent], torch.zeros(()))
                value[0] += change[:, None] * opened.dictionary.W_dec[latent]
            return value

        with torch.no_grad():
            clean = torch.log_softmax(opened.transformer.forward(tokens)[0], -1)
            with opened.transformer.hooks(fwd_hooks=[(opened.hook_point, hold)]):
                held = torch.log_softmax(opened.transformer.forward(tokens)[0], -1)
        for row in changes[changes["model"] == model].itertuples():
            place = row.position + 1
            target = int(context[place + 1])
            assert row.change == pytest.approx(float(clean[place, target] - held[place, target]), abs=1e-4)


def test_a_cluster_that_does_not_fire_changes_nothing(stored):
    lens, members = open_lens(stored), shared_members(stored)
    silent = members[~members["cluster"].isin(members.merge(read_text(lens, "h").firings)["cluster"])]
    cluster = silent["cluster"].iloc[0]
    assert without_cluster(lens, "hh", members[members["cluster"] == cluster]).empty
