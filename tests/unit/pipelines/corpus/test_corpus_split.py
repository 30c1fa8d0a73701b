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
    return Corpus(frame.assign(document=range(len(frame)), source_group=frame["unit"]), {})


@pytest.fixture
def mixed():
    """Many files, a thin domain of ten files, and one long text of which every eight documents are a chapter."""
    corpus = corpus_of([("big", 3, 2_000)] * 300 + [("rare", 4, 2_000)] * 10 + [("contig", 200, 2_000)])
    frame = corpus.documents
    chapter = 1_000 + np.arange(len(frame)) // 8
    return Corpus(frame.assign(source_group=np.where(frame["domain"] == "contig", chapter, frame["unit"])), {})


def sources_of(frame, domain, part):
    return set(frame.loc[(frame["domain"] == domain) & (frame["part"] == part), "source_group"])


def share(frame, domain, part):
    mine = frame[frame["domain"] == domain]
    return mine.loc[mine["part"] == part, "n_bytes"].sum() / mine["n_bytes"].sum()


def test_every_document_is_in_one_part_and_every_domain_in_every_part(mixed):
    frame = split_corpus(mixed, CONFIG, 0)
    assert set(frame["part"]) == set(PARTS)
    for domain in ("big", "rare", "contig"):
        there = set(frame.loc[frame["domain"] == domain, "part"])
        assert there >= {"sae_a", "sae_b", "fit", "score"}


@pytest.mark.parametrize("seed", range(10))
def test_fit_and_score_never_share_a_source(mixed, seed):
    frame = split_corpus(mixed, CONFIG, seed)
    fit, score = (set(frame.loc[frame["part"] == part, "source_group"]) for part in ("fit", "score"))
    assert not fit & score


def test_a_part_has_as_many_sources_as_documents_where_there_are_so_many(mixed):
    frame = split_corpus(mixed, CONFIG, 0)
    for part in ("fit", "score"):
        n_documents = ((frame["domain"] == "big") & (frame["part"] == part)).sum()
        assert len(sources_of(frame, "big", part)) == n_documents > 10
    assert len(sources_of(frame, "contig", "fit") | sources_of(frame, "contig", "score")) >= 22  # of 26 chapters


def test_a_thin_domain_gets_the_sources_that_it_should_have():
    corpus = corpus_of([("big", 3, 2_000)] * 2_000 + [("rare", 4, 500)] * 40)
    for min_sources in (1, 5, 10):
        frame = split_corpus(corpus, CONFIG.model_copy(update={"min_sources": min_sources, "balance": 0.0}), 0)
        assert len(sources_of(frame, "rare", "score")) >= min_sources
    assert len(sources_of(frame, "big", "score")) > 20


def test_a_source_of_two_domains_is_tested_in_one_half():
    corpus = corpus_of([("a", 4, 2_000)] * 12 + [("b", 4, 2_000)] * 12)
    frame = corpus.documents
    mixed = Corpus(frame.assign(source_group=frame["unit"] % 12), {})
    split = split_corpus(mixed, CONFIG, 0)
    fit, score = (set(split.loc[split["part"] == part, "source_group"]) for part in ("fit", "score"))
    assert fit
    assert score
    assert not fit & score


def test_a_domain_of_one_source_is_in_one_half():
    corpus = corpus_of([("big", 3, 2_000)] * 60 + [("book", 60, 2_000)])
    frame = split_corpus(corpus, CONFIG, 0)
    assert (len(sources_of(frame, "book", "fit")), len(sources_of(frame, "book", "score"))) == (1, 0)
    assert sources_of(frame, "book", "sae_a") == sources_of(frame, "book", "sae_b")


def test_one_source_in_all_is_refused_with_a_remedy():
    with pytest.raises(InputError, match=r"parts \['score'\].* of 1 sources.*set group_by: chapter"):
        split_corpus(corpus_of([("book", 200, 2_000)]), CONFIG, 0)


def test_training_halves_take_long_stretches(mixed):
    contig = split_corpus(mixed, CONFIG, 0).query("domain == 'contig' and part in @TRAIN_PARTS")
    # 16 kB stretches of eight documents: far fewer changes of half than documents.
    assert (contig["part"] != contig["part"].shift()).sum() <= 25


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
    with pytest.raises(InputError, match=r"parts .* filled with at least one document each.*lower max_document_bytes"):
        split_corpus(corpus_of([("text", 1, 2_000)] * 3), CONFIG, 0)


@given(
    st.lists(st.floats(0, 1e6), min_size=1, max_size=8),
    st.lists(st.floats(0.1, 100), min_size=8, max_size=8),
    st.floats(1, 2e6),
    st.sampled_from([0.0, 10.0, 1e5]),
)
def test_fair_shares(available, weights, total, floor):
    available = np.array(available)
    weights = np.array(weights[: len(available)])
    shares = fair_shares(available, weights, total, floor)
    assert (shares >= np.minimum(np.minimum(floor, total / len(available)), available) - 1e-6).all()
    assert (shares <= available + 1e-6).all()
    assert shares.sum() == pytest.approx(min(total, available.sum()), rel=1e-6, abs=1e-6)
    limited = shares >= available - 1e-6
    rates = (shares / weights)[~limited]
    if len(rates) and not floor:
        assert rates == pytest.approx(rates[0], rel=1e-6)
