import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.corpus.corpus_config import SplitConfig
from pipelines.corpus.read import Corpus
from pipelines.corpus.split import PARTS, TRAIN_PARTS, fair_shares, split_corpus
from universality.errors import InputError

CONFIG = SplitConfig(fit_tokens=20_000, score_tokens=20_000, validation_tokens=5_000)


def corpus_of(units):
    """A corpus from (domain, documents of the unit, bytes of each document)."""
    rows = [
        (f"{domain}/{number}", domain, number, n_bytes, f"{number}:{i}")
        for number, (domain, count, n_bytes) in enumerate(units)
        for i in range(count)
    ]
    frame = pd.DataFrame(rows, columns=["source", "domain", "unit", "n_bytes", "digest"])
    return Corpus(frame.assign(document=range(len(frame))), {})


@pytest.fixture
def mixed():
    return corpus_of([("big", 3, 2_000)] * 300 + [("rare", 4, 2_000)] * 10 + [("contig", 200, 2_000)])


def share(frame, domain, part):
    mine = frame[frame["domain"] == domain]
    return mine.loc[mine["part"] == part, "n_bytes"].sum() / mine["n_bytes"].sum()


def test_every_document_is_in_one_part_and_every_domain_in_every_part(mixed):
    frame = split_corpus(mixed, CONFIG, 0)
    assert set(frame["part"]) == set(PARTS)
    for domain in ("big", "rare", "contig"):
        there = set(frame.loc[frame["domain"] == domain, "part"])
        assert there >= {"sae_a", "sae_b", "fit", "score"}


def test_a_unit_of_ordinary_size_stays_whole(mixed):
    frame = split_corpus(mixed, CONFIG, 0)
    big = frame[frame["domain"] == "big"]
    assert big.groupby("unit")["part"].nunique().eq(1).all()
    assert frame.groupby("group")["part"].nunique().eq(1).all()


def test_a_unit_larger_than_the_limit_is_split_in_stretches(mixed):
    contig = split_corpus(mixed, CONFIG, 0).query("domain == 'contig'")
    runs = (contig["part"] != contig["part"].shift()).sum()
    assert contig["part"].nunique() == len(PARTS)
    # 16 kB groups of eight documents: far fewer changes of part than documents.
    assert runs <= 25
    assert contig.groupby("group")["n_bytes"].sum().max() <= CONFIG.max_group_bytes + 2_000


def test_held_out_parts_keep_their_quotas(mixed):
    frame = split_corpus(mixed, CONFIG, 0)
    for part, tokens in (("fit", 20_000), ("score", 20_000), ("validation", 5_000)):
        got = frame.loc[frame["part"] == part, "n_bytes"].sum()
        assert got == pytest.approx(tokens * CONFIG.bytes_per_token, abs=9_000)
    for part in ("fit", "score", "validation"):
        assert share(frame, "rare", part) <= CONFIG.max_fraction * 1.3


def test_balance_moves_rows_to_small_domains(mixed):
    shares = [
        share(split_corpus(mixed, CONFIG.model_copy(update={"balance": balance}), 0), "contig", "fit")
        for balance in (0.0, 0.5, 1.0)
    ]
    assert shares == sorted(shares)
    assert shares[0] < shares[2]


def test_halves_are_equal_and_disjoint(mixed):
    frame = split_corpus(mixed, CONFIG, 0)
    for domain in ("big", "rare", "contig"):
        assert share(frame, domain, "sae_a") == pytest.approx(share(frame, domain, "sae_b"), abs=0.1)


def test_only_training_is_repeated(mixed):
    config = CONFIG.model_copy(update={"min_share": 0.1, "max_repeats": 3, "repeats": {"big": 2}})
    frame = split_corpus(mixed, config, 0)
    training = frame["part"].isin(TRAIN_PARTS)
    assert frame.loc[~training, "repeats"].eq(1).all()
    by_domain = frame[training].groupby("domain")["repeats"].unique().map(list).to_dict()
    # rare: about 80 of 1,980 kB, under a tenth; at most three times. big: as the config says.
    assert by_domain == {"big": [2], "contig": [1], "rare": [3]}


def test_the_seed_and_nothing_else_decides(mixed):
    first = split_corpus(mixed, CONFIG, 0)
    pd.testing.assert_frame_equal(first, split_corpus(mixed, CONFIG, 0))
    other = split_corpus(mixed, CONFIG, 1)
    assert (first["part"] != other["part"]).mean() > 0.1


def test_too_little_text_is_refused_with_a_remedy():
    with pytest.raises(
        InputError, match=r"parts .* filled with at least one document each.*lower max_document_bytes"
    ):
        split_corpus(corpus_of([("text", 3, 2_000)]), CONFIG, 0)


@given(
    st.lists(st.floats(0, 1e6), min_size=1, max_size=8),
    st.lists(st.floats(0.1, 100), min_size=8, max_size=8),
    st.floats(1, 2e6),
)
def test_fair_shares(available, weights, total):
    available = np.array(available)
    weights = np.array(weights[: len(available)])
    shares = fair_shares(available, weights, total)
    assert (shares >= 0).all()
    assert (shares <= available + 1e-6).all()
    assert shares.sum() == pytest.approx(min(total, available.sum()), rel=1e-6, abs=1e-6)
    limited = shares >= available - 1e-6
    rates = (shares / weights)[~limited]
    if len(rates):
        assert rates == pytest.approx(rates[0], rel=1e-6)
