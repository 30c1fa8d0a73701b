"""Rules of text: planted ones are found by name, scores are numpy's over the whole matrix, clusters share one."""

from collections import Counter

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from universality.errors import InputError
from universality.labels.clusters import cluster_rules
from universality.labels.rules import learn_rules, nearest_latents, rule_r
from universality.labels.views import FAMILIES, text_views
from universality.rows import Rows

N_CONTEXTS, N_CTX, BOS = 240, 65, 0
LETTERS = ["abcdefgh", "αβγδεζηθ", "אבגדהוזח", "تثجحخدذر"]
STEMS = ["qu", "st", "ra", "lo", "mi", "ne", "TA", "Bo"]
#: Every stem with every ending; signs and digits; whole words of three scripts that share no bytes with them.
VOCABULARY = [
    b"",
    *(f"{space}{stem}{end}".encode() for stem in STEMS for end in ("ing", "ed", "x", "oof") for space in ("", " ")),
    *(sign.encode() for sign in "0123456789.,;(){}"),
    *(f"{a}{b}".encode() for letters in LETTERS for a in letters for b in letters[:3]),
]
DOMAINS = ("prose", "code", "hymns")


@pytest.fixture(scope="module")
def text():
    """Rows of a text whose domains, scripts and tokens are independent, with stretches copied from earlier."""
    rng = np.random.default_rng(0)
    weight = 1 / (1 + rng.permutation(len(VOCABULARY) - 1)) ** 0.9
    contexts = 1 + rng.choice(len(VOCABULARY) - 1, size=(N_CONTEXTS, N_CTX), p=weight / weight.sum())
    contexts[:, 0] = BOS
    for context in contexts:
        for start in rng.choice(np.arange(34, 58, 8), 2, replace=False):
            context[start : start + 6] = context[start - 30 : start - 24]
    special = np.zeros(len(VOCABULARY), bool)
    special[BOS] = True
    context, position = (of.ravel() for of in np.mgrid[:N_CONTEXTS, 1:N_CTX])
    rows = Rows(
        documents=context, fit=(context % 2 == 0), domains=rng.integers(3, size=N_CONTEXTS)[context],
        domain_names=DOMAINS, tokens=contexts[context, position], positions=position, n_ctx=N_CTX - 1,
    )  # fmt: skip
    return rows, text_views(rows, VOCABULARY, special, contexts, context, position), contexts


def some(view, tokens, rng, n):
    """So many parts of a view, neither rare nor nearly everything; those of affixes are not one token in the main."""
    counts = np.zeros((len(view.keys), len(VOCABULARY)), int)
    np.add.at(counts, (view.parts[view.parts >= 0], tokens[view.parts >= 0]), 1)
    n_rows = counts.sum(axis=1)
    there = (n_rows >= 40) & (n_rows < 0.4 * view.parts.size)
    if view.family in ("prefix", "suffix"):
        there &= counts.max(axis=1) < 0.5 * n_rows
    return rng.choice(np.flatnonzero(there), n, replace=False)


def plant(rng, fires):
    """A latent that fires nine times in ten where it should, by a gamma law, and now and then elsewhere."""
    n = fires.size
    on = np.where(rng.random(n) < 0.0005, True, fires & (rng.random(n) < 0.9))
    return np.where(on, rng.gamma(8.0, 1 / 8, n), 0.0)


N_PARTS = {"token": 1, "domain": 1, "script": 1, "class": 1, "position": 2, "repeat": 2, "prefix": 1, "suffix": 1,
           "tokens": 6, "previous": 2, "domain_token": 4, "bigram": 3}  # fmt: skip


def planted(text, family, n=25):
    """Latents of a family, and the rows that each of them is planted on."""
    rows, views, _ = text
    rng = np.random.default_rng(list(FAMILIES).index(family))
    of_family = [view for view in views if view.family == family][: 3 if family in ("prefix", "suffix") else 1]
    fires = []
    for number in range(n):
        view = of_family[number % len(of_family)]
        parts = [3, 4] if family == "repeat" else some(view, rows.tokens, rng, N_PARTS[family])
        fires.append(np.isin(view.parts, parts))
    return sparse.csc_matrix(np.stack([plant(rng, of) for of in fires], axis=1)), fires


def inside(rules, views, place):
    """Rows in which a rule foretells anything."""
    return np.isin(views[rules.view[place]].parts, rules.parts[place][rules.parts[place] >= 0])


def test_every_family_is_found_by_its_name(text):
    rows, views, _ = text
    right, n = Counter(), Counter()
    for family in FAMILIES:
        acts, fires = planted(text, family)
        rules = learn_rules(acts, rows, views, min_firings=10)
        # Another family that holds in the very same rows is as right: a prefix that is a whole script.
        right[family] += sum(
            views[rules.view[place]].family == family or np.array_equal(inside(rules, views, place), fires[latent])
            for place, latent in enumerate(rules.latents)
        )
        n[family] += rules.latents.size
        assert np.median(rules.r) > 0.8, family
        assert rules.explained.all()
    assert n == dict.fromkeys(FAMILIES, 25)
    assert sum(right.values()) >= 0.97 * sum(n.values())
    assert min(right.values()) >= 24, right


def test_what_follows_no_text_is_explained_by_no_rule(text):
    rows, views, _ = text
    rng = np.random.default_rng(0)
    acts = sparse.csc_matrix(
        np.where(rng.random((rows.n_rows, 40)) < 0.02, rng.gamma(8.0, 1 / 8, (rows.n_rows, 40)), 0)
    )
    rules = learn_rules(acts, rows, views, min_firings=10)
    assert rules.latents.size == 40
    assert not rules.explained.any()
    assert np.abs(rules.r).max() < 0.05


def simulated(rules, views, place):
    """(n_rows,) what a rule foretells, written out."""
    out = np.zeros(views[0].parts.size)
    for part, weight in zip(rules.parts[place], rules.weights[place], strict=True):
        if part >= 0:
            out[views[rules.view[place]].parts == part] = weight
    return out


def test_scores_are_numpys_over_the_whole_rule(text):
    rows, views, _ = text
    acts = sparse.hstack([planted(text, family, 4)[0] for family in FAMILIES]).tocsc()
    rules = learn_rules(acts, rows, views, min_firings=10)
    assert len(set(rules.view)) >= 10
    dense, score = acts.toarray(), rows.score
    for place, latent in enumerate(rules.latents):
        foretold = simulated(rules, views, place)
        assert rules.r[place] == pytest.approx(np.corrcoef(foretold[score], dense[score, latent])[0, 1], abs=1e-9)
        for part, weight in zip(rules.parts[place], rules.weights[place], strict=True):
            if part < 0:
                continue
            inside_fit = rows.fit & (views[rules.view[place]].parts == part)
            outside = rows.fit & (foretold == 0)
            total, mean = dense[inside_fit, latent].sum(), dense[rows.fit, latent].mean()
            expected = (total + 2 * mean) / (inside_fit.sum() + 2) - dense[outside, latent].mean()
            assert weight == pytest.approx(expected, abs=1e-9)
    other = sparse.csr_matrix(acts[:, ::-1])
    near = nearest_latents(rules, views, other, rows.fit)
    at = rule_r(rules, views, other, score, np.arange(near.size), near)
    full = np.nan_to_num(
        np.corrcoef(
            np.stack([simulated(rules, views, i)[rows.fit] for i in range(near.size)]), other[rows.fit].toarray().T
        )
    )[: near.size, near.size :]
    np.testing.assert_array_equal(near, full.argmax(axis=1))
    for place, latent in enumerate(near):
        expected = np.corrcoef(simulated(rules, views, place)[score], other[score].toarray()[:, latent])[0, 1]
        assert at[place] == pytest.approx(expected, abs=1e-9)


def test_any_number_of_threads_and_the_score_rows_change_no_rule(text):
    rows, views, _ = text
    acts = sparse.hstack([planted(text, family, 25)[0] for family in FAMILIES]).tocsc()
    one, two = (learn_rules(acts, rows, views, min_firings=10, threads=n) for n in (1, 2))
    shuffled = acts.toarray()
    shuffled[rows.score] = shuffled[rows.score][::-1]
    three = learn_rules(sparse.csc_matrix(shuffled), rows, views, min_firings=10)
    for name in ("latents", "view", "parts", "weights", "r_crossed"):
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name))
        np.testing.assert_array_equal(getattr(one, name), getattr(three, name))
    np.testing.assert_array_equal(one.r, two.r)
    assert np.median(three.r) < 0.2 < np.median(one.r)


def test_repeats_are_those_of_a_search(text):
    _, views, contexts = text
    (view,) = (view for view in views if view.family == "repeat")
    parts = view.parts.reshape(N_CONTEXTS, N_CTX - 1)
    for context, found in zip(contexts[:20], parts, strict=False):
        for place in range(1, N_CTX):
            longest = 0
            for n in range(1, 5):
                begin = place - n + 1
                if begin >= 1 and any(
                    (context[i : i + n] == context[begin : place + 1]).all() for i in range(1, begin)
                ):
                    longest = n
            assert found[place - 1] == longest


def test_a_special_token_ends_a_document(text):
    contexts = np.array([[0, 5, 6, 7, 0, 5, 6, 7]])
    rows = Rows(documents=np.array([0, 0, 0, 1, 1, 1]), fit=np.array([True] * 3 + [False] * 3))
    position = np.array([1, 2, 3, 5, 6, 7])
    special = np.arange(len(VOCABULARY)) == 0
    views = {
        view.family: view for view in text_views(rows, VOCABULARY, special, contexts, np.zeros(6, np.int64), position)
    }
    assert "domain" not in views
    assert [views["repeat"].keys[part] for part in views["repeat"].parts] == [(0,)] * 6
    before = [views["previous"].keys[part][0] for part in views["previous"].parts]
    assert before == [-1, 5, 6, -1, 5, 6]


@pytest.mark.parametrize(
    ("spelled", "scripts", "kinds"),
    [
        ([b" the", b"re", b"42", b" NASA"], ["Latin", "Latin", "no letters", "Latin"],
         ["lower-case letters", "lower-case letters", "digits", "capital letters"]),
        (["é".encode()[:1], "é".encode()[1:]], ["Latin", "Latin"], ["lower-case letters"] * 2),
        (["שלום".encode(), "中".encode(), b"\n\n", b" "], ["Hebrew", "Cjk", "no letters", "no letters"],
         ["letters without case", "letters without case", "line breaks", "spaces"]),
        ([b"\xff", b"a1", b"Hello", b"iPhone", b"+="], ["no letters", *["Latin"] * 3, "no letters"],
         ["parts of characters", "letters and digits", "capitalised letters", "letters of mixed case", "punctuation"]),
    ],
)  # fmt: skip
def test_scripts_and_classes(spelled, scripts, kinds):
    n = len(spelled)
    contexts = np.arange(n + 1)[None]
    rows = Rows(documents=np.arange(n), fit=np.arange(n) % 2 == 0)
    special = np.arange(n + 1) == 0
    views = text_views(rows, [b"", *spelled], special, contexts, np.zeros(n, np.int64), np.arange(1, n + 1))
    for family, expected in (("script", scripts), ("class", kinds)):
        view = next(view for view in views if view.family == family)
        assert [view.keys[part][0] for part in view.parts] == expected


def test_a_cluster_has_the_rule_that_says_most_of_its_members(text):
    rows, views, _ = text
    rng = np.random.default_rng(5)
    bigram = next(view for view in views if view.family == "bigram")
    token = next(view for view in views if view.family == "token")
    shared = some(bigram, rows.tokens, rng, 3)
    alone = some(token, rows.tokens, rng, 1)
    columns = [np.isin(bigram.parts, shared), np.isin(bigram.parts, shared), np.isin(token.parts, alone)]
    acts = {f"m{n}": sparse.csr_matrix(plant(rng, of)[:, None]) for n, of in enumerate(columns)}
    rules = {name: learn_rules(of, rows, views, min_firings=10) for name, of in acts.items()}
    members = pd.DataFrame({"cluster": [4, 4, 4], "model": ["m0", "m1", "m2"], "latent": [0, 0, 0]})
    found = cluster_rules(members, rules, views, acts, rows).iloc[0]
    assert (found["cluster"], found["n_models"], found["n_members"], found["n_explained"]) == (4, 3, 3, 2)
    assert found["model"] in ("m0", "m1")
    of = rules[found["model"]]
    r = [np.corrcoef(simulated(of, views, 0)[rows.score], a.toarray()[rows.score, 0])[0, 1] for a in acts.values()]
    assert found["r"] == pytest.approx(np.mean(r))
    assert found["r_least"] == pytest.approx(min(r))


def test_other_rows_are_refused(text):
    rows, views, _ = text
    with pytest.raises(InputError, match="rows"):
        learn_rules(sparse.csc_matrix((3, 2)), rows, views, min_firings=1)
