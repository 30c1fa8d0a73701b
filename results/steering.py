"""The models of a finished run, opened to be steered, and what they are steered by.

The models, and torch with them, are loaded when somebody first steers them, never before.
"""

from __future__ import annotations

import difflib
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from results.ids import FEATURE_ID, feature_id
from results.stored_comparison import StoredComparison
from results.tokenizers import several_tokenizers
from universality.errors import refusal, require

if TYPE_CHECKING:
    from universality.effects import DomainJudge, Push

#: Longest prompt that is taken, in characters; it must fit an address.
MAX_CHARACTERS = 500
#: Strengths beyond this only break models.
MOST = 100.0


@dataclass(frozen=True)
class Member:
    """A feature to steer: a latent of a model."""

    model: str
    latent: int

    @property
    def id(self) -> str:
        """As addresses and reports write it."""
        return feature_id(self.model, self.latent)


@dataclass(frozen=True)
class Sampling:
    """How continuations are sampled.

    Attributes:
        tokens: of each continuation.
        samples: continuations with the push, and as many without.
        temperature: 0 for the likeliest token.
        seed: of the noise, which is the same with and without.
    """

    tokens: int = 40
    samples: int = 4
    temperature: float = 1.0
    seed: int = 0


class Steering:
    """The models of a comparison, opened one by one when they are steered.

    Attributes:
        stored: the comparison.
        open_model: a model's id to its transformer; default from the store, public ones from where the run had them.
            A run whose models have several tokenizers is an InputError: what they write is judged in tokens of the run.
        lock: held while a model is run: what is added to one visitor's pass must not reach another's.
    """

    def __init__(self, stored: StoredComparison, open_model: Callable[[str], Any] | None = None) -> None:
        if several_tokenizers(stored):
            got, remedy = "several", "Steer a run of one of these models with others of its tokenizer."
            raise refusal("tokenizers", f"steering of run {stored.name!r}", "one that all models share", got, remedy)
        self.stored, self.open_model = stored, open_model or stored.transformer
        self.lock = threading.RLock()
        self._models: dict[str, Any] = {}
        self._scripts: dict[str, str | None] = {}
        self._dictionaries: dict[str, tuple[Any, str]] = {}

    def model(self, name: str) -> tuple[Any, Any, str]:
        """Transformer, dictionary and hook point of a model.

        Raises:
            StoreError: weights or dictionary are missing or damaged.
        """
        if name not in self._models:
            self._models[name] = self.open_model(name)
        return self._models[name], *self._dictionary(name)

    def _dictionary(self, name: str) -> tuple[Any, str]:
        """Dictionary and hook point of a model, for which its transformer need not be opened."""
        if name not in self._dictionaries:
            hook_point = str(self.stored.table("models").set_index("model")["hook_point"][name])
            self._dictionaries[name] = self.stored.dictionary(name), hook_point
        return self._dictionaries[name]

    def push(self, member: Member) -> Push:
        """What strength 1 adds: the 95th percentile of the latent's activations on fit rows times its decoder row.

        Raises:
            InputError: the latent never fires on fit rows, or its direction is unusable.
        """
        from universality.effects import latent_push

        dictionary, hook_point = self._dictionary(member.model)
        found = self.stored.firing(member.model, member.latent)
        of_fit = found.values[~self.stored.score_rows[found.rows]]
        return latent_push(dictionary, member.latent, hook_point, of_fit)

    @cached_property
    def judge(self) -> DomainJudge | None:
        """What tells the domain of a token; None for a corpus without labels of several domains."""
        from universality.effects import fit_judge

        text, fit = self.stored.text, ~self.stored.score_rows
        if len(np.unique(text.row_domain[fit])) < 2:
            return None
        piece = np.stack([text.row_context, text.row_document])
        segments = np.concatenate([[0], np.cumsum((np.diff(piece) != 0).any(axis=0))])
        return fit_judge(self.row_tokens, text.row_domain, segments, fit, text.domains, len(text.token_bytes))

    @cached_property
    def row_tokens(self) -> np.ndarray:
        """Token id of each evaluation row."""
        return np.asarray(self.stored.text.contexts)[self.stored.text.row_context, self.stored.text.row_position]

    def script(self, domain: str | None) -> str | None:
        """The script that a domain is written in, unless that is Latin; found in its fit rows.

        Raises:
            InputError: the run has no such domain.
        """
        if domain is None or self.judge is None:
            return None
        if domain not in self._scripts:
            self._scripts[domain] = self._script(domain, self.judge)
        return self._scripts[domain]

    def _script(self, domain: str, judge: DomainJudge) -> str | None:
        from universality.effects.domain_judge import script_of

        rows = ~self.stored.score_rows & (np.asarray(self.stored.text.row_domain) == judge.code(domain))
        return script_of(self.spelled(self.row_tokens[rows]))

    def spelled(self, ids: Sequence[int] | np.ndarray) -> str:
        """The text of token ids; bytes that make no character become U+FFFD."""
        pieces = self.stored.text.token_bytes
        return b"".join(pieces[int(i)] for i in ids).decode("utf-8", "replace")

    @cached_property
    def _tokenizer(self) -> Any:
        return self.stored.tokenizer()

    def encode(self, prompt: str) -> list[int]:
        """Token ids of a prompt, the token that starts every context in front.

        Raises:
            InputError: an empty prompt, or one with pieces that the tokenizer has no token for.
        """
        text = prompt.encode("utf-8", "replace").decode("utf-8")
        encoded = self._tokenizer.encode(text, add_special_tokens=False)
        special = self.stored.text.special
        # Text never spells a special token here (load_tokenizer): one that stands there is the one for the unknown.
        unknown = [text[slice(*encoded.offsets[i])] for i, token in enumerate(encoded.ids) if special[token]]
        remedy = "Leave it out."
        require(not unknown, "prompt", "steering", "text that the tokenizer has tokens for", unknown[:5], remedy)
        remedy = "Write at least one character that it knows."
        require(encoded.ids, "prompt", "steering", "of at least one token", repr(prompt), remedy)
        return [int(self.stored.text.contexts[0, 0]), *encoded.ids]

    def options(self, model: str, sampling: Sampling) -> dict[str, Any]:
        """How a model continues prompts: within the run's context, and without tokens that spell nothing."""
        text, d_vocab = self.stored.text, int(self.model(model)[0].cfg.d_vocab)
        unspelt = np.concatenate([np.flatnonzero(text.special), np.arange(len(text.special), d_vocab)])
        return {
            "n_tokens": sampling.tokens, "n_samples": sampling.samples, "temperature": sampling.temperature,
            "seed": sampling.seed, "n_ctx": text.n_ctx, "never": unspelt,
        }  # fmt: skip


def members_of(stored: StoredComparison, subject: str) -> list[Member]:
    """The features that a person means: the members of a cluster by its number, or one latent such as ``m0:297``.

    Returns:
        In the order of the run's models.

    Raises:
        InputError: no such cluster, model or latent.
    """
    features, models = stored.table("features"), stored.models()
    match = FEATURE_ID.match(subject)
    if match is None:
        legal, remedy = "the number of a cluster or a latent", "A latent is written as m0:297."
        require(subject.isascii() and subject.isdecimal(), "CLUSTER", "steering", legal, repr(subject), remedy)
        rows = features[features["cluster"] == int(subject[:9])]
        legal, remedy = f"one of its {features['cluster'].nunique()}", "The screen of clusters lists them."
        require(len(rows), "cluster", f"run {stored.name!r}, comparison {stored.comparison!r}", legal, subject, remedy)
        found = [Member(str(model), int(latent)) for model, latent in zip(rows["model"], rows["latent"], strict=True)]
        return sorted(found, key=lambda member: models.index(member.model))
    if match["model"] not in models:
        near = difflib.get_close_matches(match["model"], models, n=1)
        remedy = f"Did you mean {near[0]}?" if near else "Take one of them."
        raise refusal("model", f"run {stored.name!r}", f"one of {', '.join(models)}", repr(match["model"]), remedy)
    n = int((features["model"] == match["model"]).sum())
    latent = int(match["latent"][:9])
    require(latent < n, "latent", f"model {match['model']}", f"below {n}", match["latent"], "Take one of them.")
    return [Member(match["model"], latent)]


def domain_of(stored: StoredComparison, members: Sequence[Member]) -> str | None:
    """The domain that most of the features fire most on, the first of the alphabet where several are; None without."""
    features = stored.table("features")
    index = features.set_index(["model", "latent"])["top_domain"].dropna()
    found = [str(index[member.model, member.latent]) for member in members if (member.model, member.latent) in index]
    return min(sorted(set(found)), key=lambda name: -found.count(name)) if found else None


def strengths_of(members: Sequence[Member], given: str) -> dict[str, float]:
    """Strengths by model from text: ``2`` for all, or ``m0=2,m1=4`` for those that are to be steered.

    Raises:
        InputError: no number, a model that has not the feature, or a strength beyond :data:`MOST`.
    """
    models = [member.model for member in members]
    strengths: dict[str, float] = {}
    for part in given.split(","):
        model, equals, value = part.strip().rpartition("=")
        legal = f"numbers from {-MOST:g} to {MOST:g}, one for all or one for each model"
        remedy = "Write 2, or m0=2,m1=4."
        strength = _number(value)
        usable = strength is not None and abs(strength) <= MOST and not (equals and not model)
        if not usable or strength is None:
            raise refusal("strength", "steering", legal, repr(given), remedy)
        legal = f"one that has the feature: {', '.join(models)}"
        require(not model or model in models, "model of a strength", "steering", legal, repr(model), remedy)
        strengths |= dict.fromkeys([model] if model else models, strength)
    return strengths


def strengths_text(strengths: Mapping[str, float]) -> str:
    """What :func:`strengths_of` reads."""
    if len(set(strengths.values())) == 1 and len(strengths) > 1:
        return f"{next(iter(strengths.values())):g}"
    return ",".join(f"{model}={strength:g}" for model, strength in strengths.items())


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
