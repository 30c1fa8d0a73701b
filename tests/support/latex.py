"""Compile the paper of a report, as its reader does."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

needs_latex = pytest.mark.skipif(
    shutil.which("pdflatex") is None or shutil.which("bibtex") is None,
    reason="pdflatex and bibtex are not installed (Debian: texlive-latex-recommended)",
)


#: What only says how text is set, or names a file or a part of the program: in LaTeX and in Markdown.
_UNSEEN = {
    ".tex": r"(?<!\\)%.*|\\(?:texttt|label|input|bibliography|cite|newcommand|includegraphics)(?:\[.*?\])?"
    r"\{(?:[^{}\\]|\\.|\\[a-z]+\{\})*\}",
    ".md": r"`+[^`]+`+|\]\([^)]*\)|(?<!\\)\$[^$]+\$",
}


def identifiers_in(folder: Path) -> list[str]:
    """Identifiers in what people read of a report: words with an underscore, outside of typewriter type."""
    files = [*folder.glob("*.tex"), *folder.glob("tables/*.tex"), folder / "report.md", folder / "methods.md"]
    texts = [re.sub(_UNSEEN[file.suffix], "", file.read_text(encoding="utf-8")) for file in files]
    return sorted({name for text in texts for name in re.findall(r"\w+\\?_\w+", text)})


def compiled(folder: Path) -> str:
    """Compile ``paper.tex`` of a report; returns the log.

    Asserts that nothing is undefined or wider than the page, that all floats fit, and that no font is a bitmap.
    """
    for step in (["pdflatex"], ["bibtex"], ["pdflatex"], ["pdflatex"]):
        options = ["-interaction=nonstopmode", "-halt-on-error"] if step[0] == "pdflatex" else []
        done = subprocess.run([*step, *options, "paper"], cwd=folder, capture_output=True, check=False)
        assert done.returncode == 0, done.stdout.decode(errors="replace")[-2000:]
    log = (folder / "paper.log").read_text(errors="replace")
    assert [words for words in ("undefined", "Overfull", "Float too large") if words in log] == []
    # The end of the log names every font file: outlines, or bitmaps of some resolution. Lines are broken anywhere.
    fonts = set(re.findall(r"[\w.]+\.(?:pfb|\d*pk)", log.replace("\n", "")))
    assert fonts
    assert [font for font in fonts if not font.endswith(".pfb")] == []
    assert [path.name for path in folder.rglob("figures/*.pdf") if b"/Type3" in path.read_bytes()] == []
    return log
