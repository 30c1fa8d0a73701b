"""Works that a report's text can cite: how prose names them, and their BibTeX entries."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple


class Work(NamedTuple):
    """A work that a text cites.

    Attributes:
        label: authors and year, as Markdown names it.
        kind: BibTeX entry type.
        fields: BibTeX fields in order; what is not known for sure is left out.
    """

    label: str
    kind: str
    fields: dict[str, str]


def _arxiv(label: str, author: str, title: str, year: int, number: str) -> Work:
    fields = {
        "author": author,
        "title": f"{{{title}}}",
        "journal": f"arXiv preprint arXiv:{number}",
        "year": str(year),
        "url": f"https://arxiv.org/abs/{number}",
    }
    return Work(label, "article", fields)


def _conference(label: str, author: str, title: str, venue: str, year: int, url: str) -> Work:
    fields = {"author": author, "title": f"{{{title}}}", "booktitle": venue, "year": str(year), "url": url}
    return Work(label, "inproceedings", fields)


def _journal(label: str, author: str, title: str, journal: str, where: str, year: int) -> Work:
    volume, number, pages = where.split(";")
    fields = {"author": author, "title": f"{{{title}}}", "journal": journal, "volume": volume}
    fields |= {"number": number} if number else {}
    return Work(label, "article", {**fields, "pages": pages, "year": str(year)})


def _thread(label: str, author: str, title: str, year: int, url: str) -> Work:
    fields = {"author": author, "title": f"{{{title}}}", "journal": "Transformer Circuits Thread"}
    return Work(label, "article", {**fields, "year": str(year), "url": url})


#: By BibTeX key. Sources: the works' own pages; a field that could not be checked is not given.
WORKS: dict[str, Work] = {
    "benjamini1995": _journal(
        "Benjamini & Hochberg, 1995",
        "Benjamini, Yoav and Hochberg, Yosef",
        "Controlling the False Discovery Rate: A Practical and Powerful Approach to Multiple Testing",
        "Journal of the Royal Statistical Society: Series B (Methodological)",
        "57;1;289--300",
        1995,
    ),
    "bricken2023": _thread(
        "Bricken et al., 2023",
        "Bricken, Trenton and Templeton, Adly and Batson, Joshua and Chen, Brian and Jermyn, Adam and Conerly, Tom "
        "and Turner, Nick and Anil, Cem and Denison, Carson and Askell, Amanda and Lasenby, Robert and Wu, Yifan and "
        "Kravec, Shauna and Schiefer, Nicholas and Maxwell, Tim and Joseph, Nicholas and Hatfield-Dodds, Zac and "
        "Tamkin, Alex and Nguyen, Karina and McLean, Brayden and Burke, Josiah E and Hume, Tristan and Carter, Shan "
        "and Henighan, Tom and Olah, Christopher",
        "Towards Monosemanticity: Decomposing Language Models With Dictionary Learning",
        2023,
        "https://transformer-circuits.pub/2023/monosemantic-features/index.html",
    ),
    "bussmann2024": _arxiv(
        "Bussmann et al., 2024",
        "Bussmann, Bart and Leask, Patrick and Nanda, Neel",
        "BatchTopK Sparse Autoencoders",
        2024,
        "2412.06410",
    ),
    "bussmann2025": _arxiv(
        "Bussmann et al., 2025",
        "Bussmann, Bart and Nabeshima, Noa and Karvonen, Adam and Nanda, Neel",
        "Learning Multi-Level Features with Matryoshka Sparse Autoencoders",
        2025,
        "2503.17547",
    ),
    "conerly2024": _thread(
        "Conerly et al., 2024",
        "Conerly, Tom and Templeton, Adly and Bricken, Trenton and Marcus, Jonathan and Henighan, Tom",
        "Update on How We Train SAEs",
        2024,
        "https://transformer-circuits.pub/2024/april-update/index.html",
    ),
    "cuturi2013": _conference(
        "Cuturi, 2013",
        "Cuturi, Marco",
        "Sinkhorn Distances: Lightspeed Computation of Optimal Transport",
        "Advances in Neural Information Processing Systems",
        2013,
        "https://arxiv.org/abs/1306.0895",
    ),
    "efron1979": _journal(
        "Efron, 1979",
        "Efron, Bradley",
        "Bootstrap Methods: Another Look at the Jackknife",
        "The Annals of Statistics",
        "7;1;1--26",
        1979,
    ),
    "gao2024": _arxiv(
        "Gao et al., 2024",
        "Gao, Leo and Dupr{\\'e} la Tour, Tom and Tillman, Henk and Goh, Gabriel and Troll, Rajan and Radford, Alec "
        "and Sutskever, Ilya and Leike, Jan and Wu, Jeffrey",
        "Scaling and Evaluating Sparse Autoencoders",
        2024,
        "2406.04093",
    ),
    "gurnee2024": _arxiv(
        "Gurnee et al., 2024",
        "Gurnee, Wes and Horsley, Theo and Guo, Zifan Carl and Kheirkhah, Tara Rezaei and Sun, Qinyi and Hathaway, "
        "Will and Nanda, Neel and Bertsimas, Dimitris",
        "Universal Neurons in GPT2 Language Models",
        2024,
        "2401.12181",
    ),
    "jonker1987": _journal(
        "Jonker & Volgenant, 1987",
        "Jonker, Roy and Volgenant, Anton",
        "A Shortest Augmenting Path Algorithm for Dense and Sparse Linear Assignment Problems",
        "Computing",
        "38;;325--340",
        1987,
    ),
    "kingma2015": _conference(
        "Kingma & Ba, 2015",
        "Kingma, Diederik P. and Ba, Jimmy",
        "Adam: A Method for Stochastic Optimization",
        "International Conference on Learning Representations",
        2015,
        "https://arxiv.org/abs/1412.6980",
    ),
    "kuhn1955": _journal(
        "Kuhn, 1955",
        "Kuhn, Harold W.",
        "The Hungarian Method for the Assignment Problem",
        "Naval Research Logistics Quarterly",
        "2;1--2;83--97",
        1955,
    ),
    "lan2024": _arxiv(
        "Lan et al., 2024",
        "Lan, Michael and Torr, Philip and Meek, Austin and Khakzar, Ashkan and Krueger, David and Barez, Fazl",
        "Sparse Autoencoders Reveal Universal Feature Spaces Across Large Language Models",
        2024,
        "2410.06981",
    ),
    "loshchilov2019": _conference(
        "Loshchilov & Hutter, 2019",
        "Loshchilov, Ilya and Hutter, Frank",
        "Decoupled Weight Decay Regularization",
        "International Conference on Learning Representations",
        2019,
        "https://arxiv.org/abs/1711.05101",
    ),
    "paulo2025": _arxiv(
        "Paulo & Belrose, 2025",
        "Paulo, Gon{\\c{c}}alo and Belrose, Nora",
        "Sparse Autoencoders Trained on the Same Data Learn Different Features",
        2025,
        "2501.16615",
    ),
    "rajamanoharan2024gated": _arxiv(
        "Rajamanoharan et al., 2024a",
        "Rajamanoharan, Senthooran and Conmy, Arthur and Smith, Lewis and Lieberum, Tom and Varma, Vikrant and "
        "Kram{\\'a}r, J{\\'a}nos and Shah, Rohin and Nanda, Neel",
        "Improving Dictionary Learning with Gated Sparse Autoencoders",
        2024,
        "2404.16014",
    ),
    "rajamanoharan2024jumprelu": _arxiv(
        "Rajamanoharan et al., 2024b",
        "Rajamanoharan, Senthooran and Lieberum, Tom and Sonnerat, Nicolas and Conmy, Arthur and Varma, Vikrant and "
        "Kram{\\'a}r, J{\\'a}nos and Nanda, Neel",
        "Jumping Ahead: Improving Reconstruction Fidelity with JumpReLU Sparse Autoencoders",
        2024,
        "2407.14435",
    ),
    "sennrich2016": _conference(
        "Sennrich et al., 2016",
        "Sennrich, Rico and Haddow, Barry and Birch, Alexandra",
        "Neural Machine Translation of Rare Words with Subword Units",
        "Annual Meeting of the Association for Computational Linguistics",
        2016,
        "https://arxiv.org/abs/1508.07909",
    ),
    "song2025": _arxiv(
        "Song et al., 2025",
        "Song, Xiangchen and Muhamed, Aashiq and Zheng, Yujia and Kong, Lingjing and Tang, Zeyu and Diab, Mona T. "
        "and Smith, Virginia and Zhang, Kun",
        "Position: Mechanistic Interpretability Should Prioritize Feature Consistency in SAEs",
        2025,
        "2505.20254",
    ),
}


def bibliography(keys: Iterable[str]) -> str:
    """BibTeX of the works cited, sorted by key; ASCII.

    Raises:
        KeyError: a key that :data:`WORKS` lacks.
    """
    return "\n".join(_entry(key, WORKS[key]) for key in sorted(set(keys)))


def _entry(key: str, work: Work) -> str:
    lines = [f"  {name} = {{{value}}}," for name, value in work.fields.items()]
    return "\n".join([f"@{work.kind}{{{key},", *lines, "}", ""])


def listed(keys: Iterable[str]) -> list[str]:
    """The works cited as lines of Markdown, sorted by key."""
    return [f"- {_plain(WORKS[key])}" for key in sorted(set(keys))]


def _plain(work: Work) -> str:
    fields = {name: _unbraced(value) for name, value in work.fields.items()}
    where = ", ".join(
        [
            fields.get("journal") or fields["booktitle"],
            *([f"{fields['volume']}, pp. {fields['pages'].replace('--', '–')}"] if "pages" in fields else []),
        ]
    )
    link = f" <{fields['url']}>" if "url" in fields else ""
    return (
        f"**{work.label}.** {_authors(fields['author'])}: {fields['title']}. {where}, {fields['year']}.{link}"
    )


def _authors(text: str) -> str:
    names = [" ".join(reversed(name.split(", ", 1))) for name in text.split(" and ")]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _unbraced(text: str) -> str:
    for tex, letter in (("{\\'e}", "é"), ("{\\'a}", "á"), ("{\\c{c}}", "ç")):
        text = text.replace(tex, letter)
    return text.replace("{", "").replace("}", "")
