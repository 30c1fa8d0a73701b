"""What was passed over or mended while text was read: counted, so that nothing is lost or mislabelled in silence."""

import math
import re
from collections import defaultdict

_HALVES = re.compile("[\ud800-\udfff]")
_WORDS = {
    "hidden": "{n} hidden files were passed over ({some}): name them in the pattern to read them.",
    "beside": "{n} files that other programs put beside data were passed over ({some}).",
    "nowhere": "{n} links that lead nowhere were passed over ({some}).",
    "no_file": "{n} pipes, sockets or devices were passed over ({some}).",
    "twice": "{n} folders that are reached by two ways were read once ({some}).",
    "halves": "{n} texts or labels held halves of characters (lone surrogates), which became U+FFFD ({some}).",
    "no_text": "{n} rows without text were passed over ({some}).",
    "unlabelled": "{n} rows without a label got that of their source ({some}).",
    "ungrouped": "{n} rows without a value in the group column are sources of their own ({some}).",
}


class Notes:
    """Counts by kind, with the first few examples of each."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = defaultdict(int)
        self._examples: dict[str, list[str]] = defaultdict(list)

    def add(self, kind: str, example: str) -> None:
        """One more of a kind; ``example`` says where."""
        self.counts[kind] += 1
        if len(self._examples[kind]) < 3:
            self._examples[kind].append(printable(example))

    def clean(self, text: str, where: str) -> str:
        """A text that has UTF-8: halves of characters become U+FFFD, and are counted."""
        if _HALVES.search(text) is None:
            return text
        self.add("halves", where)
        return _HALVES.sub("\ufffd", text)

    def sentences(self) -> list[str]:
        """One sentence for each kind, with its count."""
        return [
            words.format(n=self.counts[kind], some=", ".join(self._examples[kind]) + more)
            for kind, words in _WORDS.items()
            if self.counts[kind]
            for more in ["" if self.counts[kind] <= len(self._examples[kind]) else ", …"]
        ]


def printable(name: str) -> str:
    """A file name as text that has UTF-8: bytes that are none stand as ``\\xNN``."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def is_blank(value: object) -> bool:
    """Whether a cell holds nothing: null, white space, or not a number."""
    return (
        value is None
        or (isinstance(value, str) and not value.strip())
        or (isinstance(value, float) and math.isnan(value))
    )
