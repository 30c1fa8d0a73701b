"""Evaluation rows of models whose tokenizers differ: the bytes at which all of them end a token.

Every model reads the same text from the same first byte of each context, in tokens of its own; what lies between two
rows, a *segment*, is known to all, and takes the place of the token wherever models are compared.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from tokenizers import Tokenizer

from pipelines.tokens.build import TokenizerResult, row_facts
from pipelines.tokens.encode import encode_documents
from pipelines.tokens.evaluation_rows import choose_documents, one_of_each_first
from pipelines.tokens.identity import check_spells
from pipelines.tokens.tokenizer_config import SEPARATOR, TokensConfig
from pipelines.tokens.vocabulary import is_wordpiece, table_of
from universality.alignment import SharedContexts, segments, shared_boundaries, shared_contexts, token_ends
from universality.errors import InputError, refusal
from universality.seeds import generator
from universality.transformers.tokenizer import load_tokenizer

#: Share of a tokenizer's tokens that end at a row: below, the run says so; below, there is no comparison.
COVERAGE_DOUBTED, COVERAGE_REFUSED = 0.8, 0.6
#: Share of documents that may be left out since a tokenizer does not spell them as they are written.
MOST_LEFT_OUT = 0.1


class Evaluation(NamedTuple):
    """What the artifact ``tokens`` of a run with several tokenizers holds; segments stand in the place of tokens.

    Attributes:
        arrays: ``eval_contexts`` and ``row_*`` as of :func:`pipelines.tokens.evaluation_rows.evaluation_rows`, of
            segments; of tokenizer i its own as ``eval_contexts.t{i}``, …; and ``row_tokens``, a
            number for each choice of tokens, one of every tokenizer, that end at a row.
        vocabulary: of the segments, as of :func:`pipelines.tokens.vocabulary.vocabulary_table`.
        coverage: domain by domain and over all (""), how many tokens of each tokenizer end at a row.
        facts: what was read and left out, and warnings.
    """

    arrays: dict[str, np.ndarray]
    domains: list[str]
    vocabulary: pd.DataFrame
    coverage: pd.DataFrame
    facts: dict[str, object]


class _Documents(NamedTuple):
    """Documents of one half: their numbers, and of each the tokens and their ends under every tokenizer."""

    members: np.ndarray
    tokens: list[list[np.ndarray]]
    ends: list[list[np.ndarray]]
    rows: list[np.ndarray]


def evaluation_of(
    texts: pd.DataFrame,
    tokenizers: Sequence[TokenizerResult],
    names: Sequence[str],
    config: TokensConfig,
    root_seed: int,
) -> Evaluation:
    """Lay out the evaluation rows that all tokenizers share.

    Args:
        texts: table of :func:`pipelines.corpus.split.build_corpus`.
        tokenizers: of the models, each once.
        names: what each is called in messages.
        config: contexts and budgets; budgets count rows.
        root_seed: orders the documents.

    Raises:
        InputError: a tokenizer that changes the text, too little text, or tokenizers that share too few ends of tokens.
    """
    for made, name in zip(tokenizers, names, strict=True):
        check_spells(made.content, name)
    domains = sorted(str(domain) for domain in texts["domain"].unique())
    codes = pd.Categorical(texts["domain"], categories=domains).codes.astype(np.int16)
    sources = texts["source_group"].to_numpy()
    weights = np.bincount(codes, texts["n_bytes"], minlength=len(domains)) ** (1 - config.balance)
    read, halves, left_out = [], {}, np.zeros(len(tokenizers), np.int64)
    for half, n_rows in (("fit", config.fit_tokens), ("score", config.score_tokens)):
        members = generator(root_seed, f"{half}-documents").permutation(np.flatnonzero(texts["part"] == half))
        found, not_spelled = _spelled(texts, members[one_of_each_first(sources[members])], tokenizers)
        left_out += not_spelled
        lengths = np.array([len(rows) for rows in found.rows])
        _check_spelled(len(members), not_spelled, names)
        if not lengths.sum():
            raise refusal("rows", f"the part {half!r}", "at least one that all tokenizers share", 0, "Give more text.")
        chosen = choose_documents(lengths, codes[found.members], weights, n_rows, config.min_sources)
        kept = np.flatnonzero(chosen)
        tokens, ends, rows = ([of[i] for i in kept] for of in (found.tokens, found.ends, found.rows))
        found = _Documents(found.members[kept], tokens, ends, rows)  # pyright: ignore[reportArgumentType]
        sizes = [[len(ends) for ends in of] for of in found.ends]
        halves[half] = found, shared_contexts(found.rows, sizes, config.n_ctx)
        read.append(found)
    numbered, vocabulary = _segments(texts, read)
    arrays = _arrays(halves, tokenizers, numbered, codes, sources)
    coverage = _coverage(read, codes, domains)
    facts = {
        **row_facts(arrays, domains),
        "tokenizers": list(names),
        "documents_left_out": left_out.tolist(),
        "segments_left_out": sum(packed.n_left_out for _, packed in halves.values()),
    }
    _check_coverage(coverage, names, facts)
    return Evaluation(arrays, domains, vocabulary, coverage, facts)


def _spelled(
    texts: pd.DataFrame, members: np.ndarray, tokenizers: Sequence[TokenizerResult]
) -> tuple[_Documents, np.ndarray]:
    """Documents that every tokenizer spells byte for byte, and how many each of them does not."""
    written = [text.encode("utf-8") for text in texts["text"].iloc[members]]
    ends: list[list[np.ndarray | None]] = [[] for _ in written]
    tokens: list[list[np.ndarray]] = [[] for _ in written]
    missed = np.zeros(len(tokenizers), np.int64)
    for number, made in enumerate(tokenizers):
        tokenizer, own = load_tokenizer(made.content), texts["text"].iloc[members].tolist()
        lists = encode_documents(tokenizer, own)
        spelling = [bytes.fromhex(data) for data in made.vocabulary["bytes"]]
        settings = json.loads(made.content)
        unknown = settings["model"].get("unk_token")
        for place, text in enumerate(written):
            ids = lists[place]
            tokens[place].append(ids)
            of = (
                _ends_of_words(tokenizer, own[place], unknown)
                if is_wordpiece(settings)
                else _ends([spelling[i] for i in ids.tolist()], text)
            )
            ends[place].append(of)
            missed[number] += of is None
    kept = [place for place, of in enumerate(ends) if not any(one is None for one in of)]
    known = [[one for one in ends[place] if one is not None] for place in kept]
    rows = [shared_boundaries(of) for of in known]
    return _Documents(members[kept], [tokens[place] for place in kept], known, rows), missed


def _ends(pieces: list[bytes], text: bytes) -> np.ndarray | None:
    """Where tokens end in a text; None where they spell another one."""
    try:
        ends = token_ends(pieces, text)
    except InputError:
        return None
    return ends if (int(ends[-1]) if len(ends) else 0) == len(text) else None


def _ends_of_words(tokenizer: Tokenizer, text: str, unknown: str | None) -> np.ndarray | None:
    """The same of WordPiece, which loses spaces but tells places; None where it has no pieces for a word."""
    encoded = tokenizer.encode(text, add_special_tokens=False)
    if unknown in encoded.tokens:
        return None
    at = np.cumsum([0, *(len(character.encode("utf-8")) for character in text)], dtype=np.int64)
    return at[[end for _, end in encoded.offsets]] if encoded.offsets else np.empty(0, np.int64)


def _segments(texts: pd.DataFrame, read: Sequence[_Documents]) -> tuple[list[list[np.ndarray]], pd.DataFrame]:
    """Of every document the number of each segment, most frequent first, from 1; and what these spell."""
    spelled = [
        [segments(texts["text"].iloc[int(d)].encode("utf-8"), of[0][rows[:, 0]]) for d, of, rows in
         zip(found.members, found.ends, found.rows, strict=True)]
        for found in read
    ]  # fmt: skip
    counts = pd.Series([one for half in spelled for document in half for one in document], dtype=object).value_counts()
    # Ties in the order of their bytes, so that numbers depend on the text alone.
    order = sorted(counts.index, key=lambda piece: (-counts[piece], piece))
    number = {piece: i for i, piece in enumerate(order, start=1)}
    numbered = [[np.array([number[one] for one in of], np.int64) for of in half] for half in spelled]
    return numbered, table_of([b"<|separator|>", *order], {SEPARATOR})


def _arrays(
    halves: dict[str, tuple[_Documents, SharedContexts]],
    tokenizers: Sequence[TokenizerResult],
    numbered: list[list[np.ndarray]],
    codes: np.ndarray,
    sources: np.ndarray,
) -> dict[str, np.ndarray]:
    """Contexts and rows in segments, and in the tokens of each tokenizer."""
    n_fit = len(halves["fit"][1].contexts[0])
    packed = [of for _, of in halves.values()]
    context = np.concatenate([packed[0].context, n_fit + packed[1].context])
    document = np.concatenate([found.members[of.documents] for found, of in halves.values()])
    shared = {
        "row_context": context.astype(np.int32),
        "row_document": document.astype(np.int32),
        "row_source": sources[document].astype(np.int32),
        "row_domain": codes[document].astype(np.int16),
        "row_fit": context < n_fit,
    }
    arrays = dict(shared)
    starts = [made.facts["bos"] for made in tokenizers]
    for model, start in enumerate([*starts, SEPARATOR]):
        filled = []
        for half, (found, of) in enumerate(halves.values()):
            own = numbered[half] if model == len(starts) else [tokens[model] for tokens in found.tokens]
            flat = np.concatenate([*own, [start]])  # -1 is the start
            filled.append(flat[of.contexts[model]])
        contexts = np.concatenate(filled).astype(np.int32)
        position = np.concatenate([of.positions[:, model] for of in packed])
        following = np.full_like(contexts, -1)  # nothing follows the last token of a context
        following[:, :-1] = contexts[:, 1:]
        suffix = "" if model == len(starts) else f".t{model}"
        arrays |= {
            f"eval_contexts{suffix}": contexts,
            f"row_position{suffix}": position.astype(np.int16),
            f"row_token{suffix}": contexts[context, position],
            f"row_next_token{suffix}": following[context, position],
        }
    # What a model reads at a row is the token that ends there: equal tokens under every tokenizer, one number.
    read = np.stack([arrays[f"row_token.t{model}"] for model in range(len(starts))], axis=1)
    arrays["row_tokens"] = np.unique(read, axis=0, return_inverse=True)[1].ravel().astype(np.int32)
    return arrays


def _coverage(read: Sequence[_Documents], codes: np.ndarray, domains: Sequence[str]) -> pd.DataFrame:
    """Tokens of every tokenizer and rows, over all domains ("") and in each."""
    rows = []
    documents = [
        (int(codes[d]), of, rows)
        for found in read
        for d, of, rows in zip(found.members, found.ends, found.rows, strict=True)
    ]
    n_tokenizers = len(documents[0][1])
    for number in range(n_tokenizers):
        counts = np.zeros((len(domains), 3), np.int64)
        for code, of, shared in documents:
            spelling = int((np.diff(of[number], prepend=0) > 0).sum())
            counts[code] += [spelling, len(shared), int(of[number][-1]) if len(of[number]) else 0]
        for name, (n_tokens, n_shared, n_bytes) in [("", counts.sum(axis=0)), *zip(domains, counts, strict=True)]:
            if n_tokens:
                rows.append((f"t{number}", name, n_tokens, n_shared, n_shared / n_tokens, n_bytes / n_tokens))
    columns = ["tokenizer", "domain", "n_tokens", "n_rows", "coverage", "bytes_per_token"]
    return pd.DataFrame(rows, columns=columns)


def _check_spelled(n: int, missed: np.ndarray, names: Sequence[str]) -> None:
    worst = int(missed.argmax())
    if missed[worst] > MOST_LEFT_OUT * n:
        constraint = f"one that spells what it reads, of at least {1 - MOST_LEFT_OUT:.0%} of the documents"
        remedy = "It changes the text before it splits it; choose models whose tokenizers keep the bytes."
        raise refusal("tokenizer", names[worst], constraint, f"{missed[worst]} of {n} documents otherwise", remedy)


def _check_coverage(coverage: pd.DataFrame, names: Sequence[str], facts: dict[str, object]) -> None:
    """The tokenizer of the fewest tokens decides: a finer one ends many tokens inside those of another anyway."""
    whole = coverage[coverage["domain"] == ""].reset_index(drop=True)
    coarsest = int(whole["coverage"].to_numpy().argmax())
    share = float(whole["coverage"][coarsest])
    said = f"{share:.0%} of the tokens of {names[coarsest]}, the fewest"
    if share < COVERAGE_REFUSED:
        constraint = f"shared by all tokenizers, at least {COVERAGE_REFUSED:.0%}"
        remedy = "Compare fewer tokenizers at a time."
        raise refusal("ends of tokens", "the evaluation text", constraint, said, remedy)
    doubts = []
    if share < COVERAGE_DOUBTED:
        doubts.append(f"Only {said}, end where every other tokenizer ends one: rows are a choice of the text.")
    for place in np.flatnonzero(whole["coverage"] < COVERAGE_REFUSED).tolist():
        doubts.append(
            f"{1 - whole['coverage'][place]:.0%} of the tokens of {names[place]} end inside tokens of others: features "
            "that fire there alone are unseen."
        )
    left = [f"{n} of {name}" for n, name in zip(facts["documents_left_out"], names, strict=True) if n]  # type: ignore[arg-type]
    if left:
        doubts.append(
            f"Documents were left out that a tokenizer does not spell as they are written: {', '.join(left)}."
        )
    if doubts:
        facts["warnings"] = doubts
