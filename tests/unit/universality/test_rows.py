from __future__ import annotations

import numpy as np
import pytest

from universality.errors import InputError
from universality.rows import Rows, encode_domains, split_documents


def _documents(seed: int = 0, n: int = 60) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    lengths = rng.integers(5, 60, n)
    return np.repeat(rng.permutation(1000)[:n], lengths), np.repeat(rng.choice(["ar", "he", "py"], n), lengths)


def test_split_keeps_documents_whole_and_halves_every_domain() -> None:
    documents, domains = _documents()
    fit = split_documents(documents, 0, domains)
    assert not np.intersect1d(documents[fit], documents[~fit]).size
    longest = np.bincount(documents).max()
    for domain in np.unique(domains):
        inside = fit[domains == domain]
        assert abs(inside.sum() - (~inside).sum()) <= longest


def test_split_is_by_document_not_by_row_order() -> None:
    documents, _ = _documents()
    order = np.random.default_rng(1).permutation(documents.size)
    assert np.array_equal(split_documents(documents, 3)[order], split_documents(documents[order], 3))


def test_split_depends_on_the_seed_and_nothing_else() -> None:
    documents, domains = _documents()
    assert np.array_equal(split_documents(documents, 5, domains), split_documents(documents, 5, domains))
    assert not np.array_equal(split_documents(documents, 5, domains), split_documents(documents, 6, domains))


def test_two_documents_give_one_to_each_half() -> None:
    fit = split_documents(np.array([7, 7, 9]), 0)
    assert fit.any()
    assert not fit.all()


def _sources() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Documents of 3 to 8 a source, domains by source, one domain with a single source."""
    rng = np.random.default_rng(4)
    n_documents = rng.integers(3, 9, 40)
    source = np.repeat(np.arange(40) * 7, n_documents)
    lengths = rng.integers(5, 60, source.size)
    names = np.array(["el", *rng.choice(["ar", "he", "py"], 39)])
    domains = np.repeat(np.repeat(names, n_documents), lengths)
    return np.repeat(np.arange(source.size), lengths), domains, np.repeat(source, lengths)


def test_split_by_source_never_puts_a_source_in_both_halves() -> None:
    documents, domains, sources = _sources()
    for seed in range(20):
        fit = split_documents(documents, seed, domains, sources)
        assert not np.intersect1d(sources[fit], sources[~fit]).size
        for domain in ("ar", "he", "py"):
            inside = fit[domains == domain]
            longest = np.bincount(sources[domains == domain]).max()
            assert abs(inside.sum() - (~inside).sum()) <= longest
        assert fit[domains == "el"].all() or not fit[domains == "el"].any()


def test_split_by_source_balances_each_domain_of_a_mixed_source() -> None:
    sources = np.repeat(np.arange(30), 20)
    documents = np.arange(600) // 10
    domains = documents % 2  # every source has one document of each domain
    fit = split_documents(documents, 0, domains, sources)
    assert [fit[domains == code].sum() for code in (0, 1)] == [150, 150]


def test_rows_count_the_sources_behind_a_domain() -> None:
    documents, domains, sources = _sources()
    fit = split_documents(documents, 1, domains, sources)
    rows = Rows(documents, fit, domains=domains, sources=sources)
    assert rows.groups is rows.sources
    assert rows.domain_names == ("ar", "el", "he", "py")
    expected = [np.unique(sources[~fit & (domains == name)]).size for name in rows.domain_names]
    assert rows.n_sources.tolist() == expected
    assert expected[1] in (0, 1)
    assert expected[0] > 1
    assert Rows(documents, split_documents(documents, 1)).n_sources is None
    assert Rows(documents, split_documents(documents, 1)).groups.tolist() == documents.tolist()


def test_sources_that_cannot_be_are_refused() -> None:
    documents, fit = np.array([5, 5, 1, 1]), np.array([True, True, False, False])
    with pytest.raises(InputError, match=r"constant within each document; got document 1 of sources 0 and 3"):
        Rows(documents, fit, sources=np.array([0, 0, 0, 3]))
    with pytest.raises(InputError, match="source 2 in both halves"):
        Rows(documents, fit, sources=np.array([2, 2, 2, 2]))
    with pytest.raises(InputError, match="sources of rows must be of length 4"):
        Rows(documents, fit, sources=np.zeros(3, int))
    with pytest.raises(InputError, match="give the source of each row"):
        split_documents(documents, 0, None, np.zeros(4, int))
    with pytest.raises(InputError, match="document 5 of sources 0 and 1"):
        split_documents(documents, 0, None, np.array([0, 1, 2, 2]))


def test_one_document_is_refused() -> None:
    with pytest.raises(InputError, match="at least two different ids"):
        split_documents(np.zeros(5, int), 0)


def test_rows_name_what_is_wrong() -> None:
    documents, fit = np.array([0, 0, 1, 1]), np.array([True, True, False, False])
    with pytest.raises(InputError, match="tokens of rows must be of length 4"):
        Rows(documents, fit, tokens=np.zeros(3, int))
    with pytest.raises(InputError, match="constant within each document"):
        Rows(documents, np.array([True, False, False, False]))
    with pytest.raises(InputError, match="a boolean array"):
        Rows(documents, fit.astype(int))
    with pytest.raises(InputError, match="one-dimensional integer"):
        Rows(np.array([0.5, 1.0]), np.array([True, False]))
    with pytest.raises(InputError, match=r"codes in 0\.\.1"):
        Rows(documents, fit, domains=np.array([0, 0, 2, 2]), domain_names=("a", "b"))


def test_domains_may_be_names_or_codes() -> None:
    codes, names = encode_domains(np.array(["he", "ar", "he"]))
    assert names == ("ar", "he")
    assert codes.tolist() == [1, 0, 1]
    codes, names = encode_domains(np.array([4, 2, 4]))
    assert names == ("2", "4")
    assert encode_domains(np.array([0, 1]), ["x", "y"])[1] == ("x", "y")
