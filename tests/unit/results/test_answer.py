"""The answer that a run ends with: five sentences, each number beside its floor."""

import numpy as np
import pandas as pd
import pytest
from synthetic_run import write_synthetic_run
from synthetic_study import add_studies

from results.answer import TABLES, answer, study_answer
from results.conclusions import TABLES as CONCLUDED
from results.stored_comparison import StoredComparison
from results.study_frames import study_sentence
from universality.table_schemas import INDICES

#: Of all and at level context: between models, of a second dictionary, of untrained models (none of these at context).
SHARES = [
    (name, kind, pair, value, 0.01, value - 0.02, value + 0.02, np.nan, np.nan, 60)
    for name, kind, pair, value in (
        ("shared_fraction", "features", "overall", 0.5), ("shared_fraction", "ceiling", "m0-m0r", 0.67),
        ("shared_fraction", "untrained", "untrained", 0.4), ("shared_fraction_context", "features", "overall", 0.1),
        ("shared_fraction_context", "ceiling", "m0-m0r", 0.3),
    )
]  # fmt: skip


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    sizes = {"n_models": 3, "n_latents": 60, "n_documents": 30, "n_ctx": 32, "comparisons": ("main",)}
    stored = StoredComparison(write_synthetic_run(str(tmp_path_factory.mktemp("answer")), "it", **sizes), "main")
    names = {*TABLES, *CONCLUDED} - {"unseen_domains"}
    tables = {name: table for name in names if (table := stored.optional(name)) is not None}
    return tables | {"indices": pd.DataFrame(SHARES, columns=INDICES.names)}


def _with(tables, **replaced):
    return {name: table for name, table in (tables | replaced).items() if table is not None}


def _overall(tables, kind, **values):
    agreement = tables["agreement"].copy()
    row = (agreement["kind"] == kind) & (agreement["pair"] == "overall")
    assert row.any()
    agreement.loc[row, list(values)] = list(values.values())
    return agreement


def test_the_answer_is_five_sentences_in_their_order(tables):
    said = answer(tables, 0.5, 40)
    assert [sentence.split()[0] for sentence in said] == ["Compared:", "Agreement", "Partners:", "Look", "How"]
    alive = (tables["features"]["status"] == "alive").sum()
    assert f"by {alive:,} of {len(tables['features']):,} SAE features" in said[0]
    assert "held-out text of 40 sources; beside them untrained models (the floor)" in said[0]
    assert "intervals resample 40 sources of text, not models" in said[4]


def test_agreement_is_above_the_floor_only_where_the_intervals_part(tables):
    near = {"mean_r_joint": 0.2, "mean_r_joint_low": 0.15, "mean_r_joint_high": 0.25}
    above = _overall(tables, "features", mean_r_joint=0.4, mean_r_joint_low=0.30, mean_r_joint_high=0.5)
    above = _overall({"agreement": above}, "untrained", **near)
    [sentence] = [s for s in answer(_with(tables, agreement=above, spaces=None), 0.5) if s.startswith("Agreement")]
    assert sentence.startswith("Agreement is above untrained models: beyond domain")
    assert "r = 0.40 on average (0.30 to 0.50), untrained models at 0.20" in sentence
    reaches = _overall({"agreement": above}, "features", mean_r_joint_low=0.25)
    [sentence] = [s for s in answer(_with(tables, agreement=reaches, spaces=None), 0.5) if s.startswith("Agreement")]
    assert sentence.startswith("Agreement is not above untrained models: ")


def test_agreement_of_no_more_than_random_directions_is_not_called_more(tables):
    spaces = tables["spaces"].copy()
    ours = (spaces["space"] == "features") & (spaces["measure"] == "r_joint")
    assert ours.any()
    spaces.loc[ours, ["haar", "above_haar", "above_haar_low", "floor", "haar_floor"]] = [0.6, -0.1, -0.2, 0.1, 0.1]
    [sentence] = [s for s in answer(_with(tables, spaces=spaces), 0.5) if s.startswith("Agreement")]
    assert "not above" in sentence.partition(":")[0]
    assert "random directions" in sentence.partition(":")[0].partition("not above")[2]
    assert "as many random directions of the same activations at 0.60" in sentence


def test_shares_stand_beside_floor_and_ceiling(tables):
    said = answer(tables, 0.5)[2]
    assert said.startswith(
        "Partners: 50 % of features match one of another model at r of at least 0.5 (untrained models 40 %"
    )
    assert said.endswith("(level context) 10 % (untrained models 0 %, a second dictionary of one model 30 %).")
    lower = tables["indices"].replace(0.1, 0.0)
    assert answer(_with(tables, indices=lower), 0.5)[2].endswith("; at no level more than between untrained models.")


def test_without_untrained_models_every_sentence_says_so(tables):
    agreement, indices, baselines = (
        tables[name][~tables[name]["kind"].str.startswith("untrained")]
        for name in ("agreement", "indices", "baselines")
    )
    said = answer(_with(tables, agreement=agreement, indices=indices, baselines=baselines, spaces=None), 0.5)
    assert "no untrained models, so without a floor" in said[0]
    assert said[1].startswith("The floor is not known: ")
    assert "floor not known" in said[2]
    assert said[3].endswith("without untrained models there is no floor for it.")
    assert "no interval" not in said[4]


def test_the_example_is_the_best_pair_beside_the_best_of_untrained_models(tables):
    pairs, baselines = tables["pairs"].copy(), tables["baselines"].copy()
    row = pairs.index[pairs["edge"] & ~pairs["few_sources"]][-1]
    pairs.loc[row, "r_token"] = 0.987
    baselines["r_token"] = np.where(baselines["kind"] == "untrained", 0.123, 0.99)
    [said] = [s for s in answer(_with(tables, pairs=pairs, baselines=baselines), 0.5) if s.startswith("Look")]
    best = pairs.loc[row]
    assert f"Look at {best['model_a']}/{best['latent_a']} and {best['model_b']}/{best['latent_b']}" in said
    assert "0.99 with token means taken away" in said
    assert said.endswith("pairs of untrained models is 0.12.")
    few = pairs.assign(few_sources=True)
    assert "none to show" in answer(_with(tables, pairs=few), 0.5)[3]


def test_several_dictionaries_of_one_model_are_called_so(tables):
    models = tables["models"].copy()
    models["model_seed"] = 0
    said = answer(_with(tables, models=models), 0.5)
    assert "dictionaries of one model (" in said[0]
    assert "features of one dictionary and their partners in another" in said[1]
    assert "match one of another dictionary" in said[2]
    assert said[4].endswith("dictionaries of one model say nothing of others.")


def test_each_study_has_its_sentence_and_what_its_intervals_rest_on(tmp_path):
    run = write_synthetic_run(str(tmp_path), "it", n_latents=60, n_documents=60)
    add_studies(run)
    contrasts, means = (run.table(name) for name in ("study_contrasts", "study_means"))
    said = study_answer(contrasts, means)
    assert len(said) == means["study_id"].nunique()
    own = means[means["study_id"] == "data"].drop(columns="study_id")
    assert said[0] == (
        f"Study data: {study_sentence(contrasts[contrasts['study_id'] == 'data'], own)} "
        f"How sure: intervals over {own['n_models'].max()} models and sources."
    )
    few = study_answer(contrasts, means.assign(low=float("nan")))
    assert few[0].endswith("models, no interval over models.")


def test_few_features_are_counted(tables):
    features = pd.concat([part.head(5) for _, part in tables["features"].query("status == 'alive'").groupby("model")])
    n = len(features)
    said = answer(_with(tables, features=features.assign(class_probability=1.0)), 0.5)
    assert f"{n} of {n} features keep their class" in said[4]


def test_where_models_lack_text_on_purpose_that_is_told_second(tables):
    unseen = pd.DataFrame(
        [("dna", "m0", False, 3.0, 10, 6, 1, 2, 1, 0.1), ("dna", "m1", True, 2.0, 10, 1, 1, 8, 0, 0.6)],
        columns=["domain", "model", "seen", "loss", "n_features", "n_missing", "n_rearranged", "n_partnered",
                 "n_unstable", "r"],
    )  # fmt: skip
    said = answer(tables | {"unseen_domains": unseen}, 0.5)
    assert said[1].startswith("Of 9 stable features of a domain, asked for in a model that never saw it, 2 (22 %)")
    assert said[2].startswith("Agreement is")


def test_runs_of_before_have_no_answer(tables):
    assert answer(_with(tables, agreement=None), 0.5) == []
