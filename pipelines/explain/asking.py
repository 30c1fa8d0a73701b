"""One feature from its material to its scores, and a list of features with everything answered kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from pipelines.explain.endpoint import MAX_TOKENS, Endpoint
from pipelines.explain.material import Material, gather
from pipelines.explain.prompts import (
    SYSTEM,
    Malformed,
    Prompt,
    again,
    detection_prompt,
    digest_of,
    explanation_prompt,
    fuzzing_prompt,
    intruder_prompt,
)
from results.explained import Explanation, Tally
from results.ids import feature_id
from universality.errors import refusal, require
from universality.seeds import derive_seed, generator

if TYPE_CHECKING:
    from results.stored_comparison import StoredComparison

#: Raised when prompts or their reading change: what was answered to others is asked again.
VERSION = 1
#: A reply that is not as asked is asked for so many times altogether.
TRIES = 3
#: Requests of a feature where every reply is as asked; one fewer where the control's words are known already.
N_REQUESTS = 7
#: What words are judged by; ``_other``: another feature's.
_JUDGED = ("detection", "fuzzing", "detection_other", "fuzzing_other")
#: Other features that are looked at for one with enough contexts.
_OTHERS = 20


class Subject(NamedTuple):
    """A feature to put into words."""

    kind: Literal["matched", "untrained"]
    model: str
    latent: int


@dataclass(frozen=True)
class Task:
    """A feature with all that is to be asked about it.

    Attributes:
        subject: the feature.
        material: its contexts.
        other: the feature whose words are the control, of the same model.
        other_material: its contexts.
        digest: of all prompts, explanations left open.
    """

    subject: Subject
    material: Material
    other: int
    other_material: Material
    digest: str

    def prompts(self, own: str = "", other: str = "") -> dict[str, Prompt]:
        """Every prompt by its name, given the words of both features."""
        return {
            "explanation": explanation_prompt(self.material),
            "other_explanation": explanation_prompt(self.other_material),
            "detection": detection_prompt(self.material, own),
            "fuzzing": fuzzing_prompt(self.material, own),
            "detection_other": detection_prompt(self.material, other),
            "fuzzing_other": fuzzing_prompt(self.material, other),
            "intruder": intruder_prompt(self.material),
        }


def choose(stored: StoredComparison, which: str, most: int, n_floor: int, seed: int) -> list[Subject]:
    """The features that a person means, those in most models first.

    Args:
        stored: the comparison.
        which: ``no-rule``, ``all``, or ids joined by commas.
        most: at most so many of ``no-rule`` and ``all``.
        n_floor: alive latents of untrained models, drawn at random, behind them.
        seed: of that draw.

    Raises:
        InputError: no such feature, no labels, or no untrained models with labels.
    """
    from results.feature_lists import find_feature
    from results.ids import feature_ids

    labels, features = stored.optional("labels"), stored.table("features")
    if which in ("no-rule", "all"):
        alive = features[(features["status"] == "alive").to_numpy()]
        alive = alive.sort_values(["n_models", "best_r"], ascending=False, kind="stable")
        if which == "no-rule":
            where = f"run {stored.name!r}"
            remedy = "Give --features all, or run the recipe again."
            require(labels is not None, "labels by rule", where, "there", "none", remedy)
            assert labels is not None
            left = set(feature_ids(labels[~labels["explained"].to_numpy(bool)]))
            alive = alive[feature_ids(alive).isin(left).to_numpy()]
        rows = alive.head(most)
        chosen = [Subject("matched", str(m), int(i)) for m, i in zip(rows["model"], rows["latent"], strict=True)]
    else:
        chosen = []
        for name in dict.fromkeys(part.strip() for part in which.split(",")):
            row = find_feature(stored, name)
            if row is None:
                constraint, remedy = "all, no-rule, or ids such as m0:12,m1:7", "See: universality show."
                raise refusal("--features", f"run {stored.name!r}", constraint, name, remedy)
            chosen.append(Subject("matched", str(row["model"]), int(row["latent"])))
    if n_floor:
        untrained = stored.models("untrained")
        of = None if labels is None else labels[labels["model"].isin(untrained).to_numpy()]
        require(of is not None and len(of), "--floor", f"run {stored.name!r}", "0, since no untrained model has labels",
                n_floor, "Leave it out.")  # fmt: skip
        assert of is not None
        rows = of.iloc[generator(seed, "explain floor", stored.name, stored.comparison).permutation(len(of))[:n_floor]]
        chosen += [Subject("untrained", str(m), int(i)) for m, i in zip(rows["model"], rows["latent"], strict=True)]
    return chosen


def task_of(stored: StoredComparison, subject: Subject, language_model: str, seed: int) -> Task | None:
    """All that is to be asked about a feature; None where it, or any other, has too few contexts."""
    material = gather(stored, subject.model, subject.latent, seed)
    if material is None:
        return None
    firing = (stored.acts(subject.model).indptr[1:] - stored.acts(subject.model).indptr[:-1]).nonzero()[0]
    rng = generator(seed, "explain other", stored.name, stored.comparison, subject.model, subject.latent)
    for other in rng.permutation(firing[firing != subject.latent])[:_OTHERS].tolist():
        other_material = gather(stored, subject.model, other, seed)
        if other_material is not None:
            task = Task(subject, material, other, other_material, "")
            said = [[name, prompt.user] for name, prompt in task.prompts().items()]
            digest = digest_of(VERSION, MAX_TOKENS, language_model, seed, SYSTEM, said)
            return Task(subject, material, other, other_material, digest)
    return None


@dataclass
class Asker:
    """Asks about features, and remembers what it has put into words.

    Attributes:
        stored: the comparison.
        endpoint: who is asked.
        seed: of contexts, of their order, and of what is sent.
        words: explanations by the digest of their prompt.
    """

    stored: StoredComparison
    endpoint: Endpoint
    seed: int
    words: dict[str, str] = field(default_factory=dict)
    _spent: list[int] = field(default_factory=lambda: [0, 0, 0])
    _failed: list[str] = field(default_factory=list)
    _sent: dict[str, str] = field(default_factory=dict)

    def explain(self, task: Task) -> Explanation:
        """Ask everything about one feature.

        Raises:
            InputError, EndpointFailed: as :meth:`Endpoint.ask`; nothing is known of the feature then.
        """
        self._spent, self._failed, self._sent = [0, 0, 0], [], {}
        prompts = task.prompts()
        own, other = (self._words(name, prompts[name]) for name in ("explanation", "other_explanation"))
        prompts = task.prompts(own or "", other or "")
        judged = [name for name in _JUDGED if (other if name.endswith("_other") else own) is not None]
        answers = {name: self._asked(name, prompts[name]) for name in [*judged, "intruder"]}
        m, subject, tallies = task.material, task.subject, {}
        for name in _JUDGED:
            truth = _truth(m, name.removesuffix("_other"))
            tallies[name] = None if answers.get(name) is None else tally(truth, answers[name])
        rights = None
        if answers["intruder"] is not None:
            rights = sum(given == right + 1 for given, (_, right) in zip(answers["intruder"], m.questions, strict=True))
        return Explanation(
            run=self.stored.name, comparison_id=self.stored.comparison, kind=subject.kind, model=subject.model,
            latent=subject.latent, language_model=self.endpoint.model, host=self.endpoint.host, seed=self.seed,
            digest=task.digest, prompts=self._sent, other=feature_id(subject.model, task.other), explanation=own,
            other_explanation=other, **tallies, intruder_right=rights, n_intruder=len(m.questions),
            failed="; ".join(self._failed), n_requests=self._spent[0], prompt_tokens=self._spent[1],
            completion_tokens=self._spent[2],
        )  # fmt: skip

    def _words(self, name: str, prompt: Prompt) -> str | None:
        self._sent[name] = prompt.digest
        if prompt.digest not in self.words:
            said = self._asked(name, prompt)
            if said is None:
                return None
            self.words[prompt.digest] = said
        return self.words[prompt.digest]

    def _asked(self, name: str, prompt: Prompt) -> Any:
        """What is read from the reply; None where no reply was as asked."""
        self._sent[name], messages, why = prompt.digest, prompt.messages, ""
        for attempt in range(TRIES):
            seed = derive_seed(self.seed, "explain ask", prompt.digest, attempt) >> 32  # servers take 31 bits
            reply = self.endpoint.ask(messages, seed)
            self._spent = [
                self._spent[0] + 1,
                self._spent[1] + reply.prompt_tokens,
                self._spent[2] + reply.completion_tokens,
            ]
            try:
                if reply.text is None:
                    raise Malformed("no text")
                return prompt.read(reply.text)
            except Malformed as error:
                why = f"cut off at {MAX_TOKENS} tokens" if reply.cut else str(error)
                messages = again(prompt, why)
        self._failed.append(f"{name}: {why}")
        return None


def tally(truth: Sequence[bool], chosen: Sequence[int]) -> Tally:
    """Which of some texts are chosen, against those that are right.

    Args:
        truth: of each text, whether choosing it is right; of both kinds.
        chosen: numbers of the texts chosen, from 1.
    """
    said = [number in chosen for number in range(1, len(truth) + 1)]
    right = [given == true for given, true in zip(said, truth, strict=True)]
    yes = sum(truth)
    yes_right = sum(ok for ok, true in zip(right, truth, strict=True) if true)
    return Tally(yes=yes, yes_right=yes_right, no=len(truth) - yes, no_right=sum(right) - yes_right)


def _truth(material: Material, name: str) -> list[bool]:
    if name == "fuzzing":
        return [right for _, right in material.fuzzing]
    return [place < len(material.scored_firing) for place in material.detection]


def remember_words(asker: Asker, kept: Sequence[Explanation]) -> None:
    """Make an asker know what a file has of the same language model."""
    for one in kept:
        if one.language_model == asker.endpoint.model and one.seed == asker.seed:
            for name, words in (("explanation", one.explanation), ("other_explanation", one.other_explanation)):
                if words is not None:
                    asker.words[one.prompts[name]] = words


def tasks_left(
    stored: StoredComparison, subjects: Sequence[Subject], kept: Sequence[Explanation], language_model: str, seed: int,
    tell: Callable[[str, Subject], None],
) -> Iterator[Task]:  # fmt: skip
    """Tasks that no kept line answers, one after another; of the others is told ``kept`` or ``skipped``."""
    known = {one.digest for one in kept}
    for subject in subjects:
        task = task_of(stored, subject, language_model, seed)
        if task is None or task.digest in known:
            tell("skipped" if task is None else "kept", subject)
        else:
            yield task
