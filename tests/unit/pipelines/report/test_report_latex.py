"""LaTeX that compiles whatever the tokens are."""

from __future__ import annotations

import re
import shutil
import subprocess
from importlib.resources import files
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from synthetic_text import HOSTILE, WORDS

from pipelines.report.latex import Column, booktabs, number, tex_escape, tex_token

#: What may stand in the body of a token: plain characters, a character by number, a visible space.
TOKEN = re.compile(r"\\texttt\{(?:[A-Za-z0-9()\[\]:;./=+*@]|\\symbol\{\d+\}|\\textvisiblespace\{\})*\}")


@pytest.mark.parametrize(
    ("token", "shown"),
    [
        (b" a", r"\texttt{\textvisiblespace{}a}"),
        (b"\n", r"\texttt{\symbol{92}n}"),
        (b"$_{", r"\texttt{\symbol{36}\symbol{95}\symbol{123}}"),
        ("日".encode(), r"\texttt{\symbol{92}u\symbol{123}65E5\symbol{125}}"),
        (b"\xff", r"\texttt{\symbol{92}xFF}"),
        ("abc", r"\texttt{abc}"),
    ],
)
def test_token_shows_every_byte(token: bytes | str, shown: str) -> None:
    assert tex_token(token) == shown


@given(st.binary(max_size=30) | st.text(max_size=20))
def test_token_is_plain_ascii_without_a_live_command(token: bytes | str) -> None:
    assert TOKEN.fullmatch(tex_token(token))


def test_long_token_is_cut() -> None:
    assert tex_token(b"a" * 300, limit=3) == r"\texttt{aaa...}"
    assert tex_token(b"a" * 300 + b"bc", limit=3, tail=True) == r"\texttt{...abc}"
    assert tex_token("aa日本", limit=10) == rf"{tex_token('aa日', limit=10)[:-1]}...}}"


def test_running_text_is_escaped() -> None:
    assert tex_escape("50 % of A_1 & B") == r"50~\% of A\_1 \& B"
    assert tex_escape("日é\n") == r"\textbackslash{}u\{65E5\}\textbackslash{}u\{00E9\}\textbackslash{}u\{000A\}"
    assert tex_escape("τ ≥ 0") == r"\ensuremath{\tau} \ensuremath{\geq} 0"


def test_captions_use_no_sign_that_latex_would_spell_out() -> None:
    captions = (files("pipelines.report.templates") / "exhibits.yaml.j2").read_text(encoding="utf-8")
    signs = {character for character in captions if ord(character) > 126}
    assert "†" in signs
    assert not [sign for sign in signs if "textbackslash" in tex_escape(sign)]


@pytest.mark.parametrize(
    ("value", "shown"), [(0.456, "0.46"), (-0.5, r"\ensuremath{-}0.50"), (-0.001, "0.00"), (12.0, "12.00")]
)
def test_numbers(value: float, shown: str) -> None:
    assert number(value, 2) == shown


def _table(tokens: list[bytes]) -> str:
    n = len(tokens)
    frame = pd.DataFrame(
        {
            "token": tokens,
            "r": np.where(np.arange(n) % 2, np.nan, -0.25),
            "n": np.arange(n) * 1000,
            "word": [None, *["a_b {%}"] * (n - 1)],
        }
    )
    columns = [
        Column("token", "token", token=True),
        Column("r", "r", 2),
        Column("n", "n"),
        Column("word", "word & co"),
    ]
    return booktabs(frame, columns, caption="Share in %", label="tab:x", groups={0: "first", 1: "m0_m1"})


def test_table_has_one_line_per_row_and_group() -> None:
    source = _table([b"a", b"b"])
    body = source.split("\\midrule\n")[1].split("\\bottomrule")[0].splitlines()
    assert body == [
        r"\multicolumn{4}{@{}l}{\emph{first}} \\",
        r"\texttt{a} & \ensuremath{-}0.25 & 0 & -- \\",
        r"\addlinespace",
        r"\multicolumn{4}{@{}l}{\emph{m0\_m1}} \\",
        r"\texttt{b} & -- & 1{,}000 & a\_b \{\%\} \\",
    ]
    assert r"\begin{tabular}{@{}lrrl@{}}" in source
    assert r"\caption{Share in \%}" in source


def test_columns_of_a_wide_table_stand_closer() -> None:
    def gap(length: int) -> float:
        frame = pd.DataFrame({str(n): ["m" * length] for n in range(8)})
        source = booktabs(frame, [Column(name, name) for name in frame], caption="", label="tab:x")
        return float(re.findall(r"tabcolsep\}\{([\d.]+)pt", source)[0])

    assert [gap(6), gap(40)] == [6, 2]
    assert 2 < gap(13) < 6


def test_text_of_any_length_has_several_lines_that_end_between_written_out_characters() -> None:
    frame = pd.DataFrame({"id": ["m0:12"], "note": ["أر " + "long " * 80]})
    tex = booktabs(frame, [Column("id", "id"), Column("note", "note", share=0.4)], caption="c", label="l")
    assert r"\begin{tabular}{@{}lp{0.4\linewidth}@{}}" in tex
    assert r"\textbackslash{}u\{0623\}\allowbreak{}\textbackslash{}u\{0631\}\allowbreak{} long" in tex
    assert r"\tabcolsep}{6.0pt}" in tex, "the share counts, not the length of the text"


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no pdflatex here")
def test_hostile_tables_compile(tmp_path: Path) -> None:
    tokens = [
        *HOSTILE,
        *(w.encode() for words in WORDS.values() for w in words),
        *(bytes([i]) for i in range(256)),
    ]
    tables = "\n".join(_table(tokens[i : i + 30]) for i in range(0, len(tokens), 30))
    source = f"\\documentclass{{article}}\n\\usepackage{{booktabs}}\n\\begin{{document}}\n{tables}\n\\end{{document}}\n"
    (tmp_path / "t.tex").write_text(source, encoding="ascii")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "t.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout.decode("latin-1")[-2000:]
