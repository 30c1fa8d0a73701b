"""The tables that the science makes, as ``universality/tables.toml`` declares them.

Functions that build a frame take the order of its columns from here (``PAIRS.names``); steps check the frames that they
write; the data dictionary, the screens' help texts and the tests are read from here.
"""

from importlib.resources import files

from universality.schema import read_tables

#: By name, and ``shared``: columns that mean the same in every table that has no other column of that name.
TABLES = read_tables(files("universality") / "tables.toml")

HEADLINE = TABLES["headline"]
FEATURES = TABLES["features"]
#: The pairs that one matching assigned; ``pairs`` has them of all pairs of models, with what they read and write.
MATCHED = TABLES["matched"]
PAIRS = TABLES["pairs"]
#: What two assigned latents read and write; they chose no pair.
EFFECTS = PAIRS.pick("cos_procrustes r_logits r_attribution")
CLUSTERS = TABLES["clusters"]
VERDICTS = TABLES["verdicts"]
#: Each domain's best latents; those of one model are ``best_latents``.
DOMAINS = TABLES["domains"]
AGREEMENT = TABLES["agreement"]
INDICES = TABLES["indices"]
NEURON_PAIRS = TABLES["neuron_pairs"]
SPACE_MEANS = TABLES["space_means"]
SPACES = TABLES["spaces"]
K_OF_M = TABLES["k_of_m"]
SPLIT_TREE = TABLES["split_tree"]
SPLITS_BY_SIZE = TABLES["splits_by_size"]
SPLIT_AGREEMENT = TABLES["split_agreement"]
BASELINES = TABLES["baselines"]
SAME_INDEX = TABLES["same_index"]
UNSEEN_DOMAINS = TABLES["unseen_domains"]
STUDY = TABLES["study"]
STUDY_MEANS = TABLES["study_means"]
STUDY_LAYERS = TABLES["study_layers"]
STUDY_DOMAINS = TABLES["study_domains"]
STUDY_CONTRASTS = TABLES["study_contrasts"]
NULL_QUANTILES = TABLES["null_quantiles"]
NULL_RATES = TABLES["null_rates"]
#: Tables of a :class:`universality.compare.assembly.Comparison`, by name.
COMPARISON = {
    name: TABLES[name]
    for name in (
        "features", "pairs", "verdicts", "clusters", "indices", "headline", "agreement", "spaces", "baselines",
        "null_quantiles", "null_rates", "tau_curve", "k_of_m", "candidates", "domains",
    )
}  # fmt: skip
