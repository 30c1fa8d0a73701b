"""How each data package of the demo mix is read. Readers are lazy: they stop when nobody asks for more."""

import ast
import base64
import gettext
import gzip
import io
import json
import pickle
import re
from collections.abc import Iterator

from pipelines.corpus.documents import CHAPTER_BYTES, Unit, cut, hashed_order
from pipelines.corpus.packages import (
    ASV,
    BABEL,
    BOTOCORE,
    CERTIFI,
    DJANGO,
    GFLANGUAGES,
    IDENTIFY,
    PYHMMER,
    data_of,
    files_of,
    text_of,
)

# No single file or service may fill a domain.
_UNIT_BYTES = 100_000
_SERVICE_BYTES = 20_000
_ENCODED_BYTES = 6_000

# Base locales of the scripts that are thin elsewhere. Latin has enough text without word lists.
_LOCALES = (
    "am ar as be bg bn byn ckb el el_POLYTON fa gez hi he hy ja ka ko mk mn mr ne ps ru sd sr ta th ti tig uk ur "
    "uz_Cyrl wal yi yue zh zh_Hant"
)
_LOCALE_KEYS = (
    "languages",
    "territories",
    "currency_names",
    "unit_patterns",
    "time_zones",
    "variants",
    "scripts",
)


def english_prose() -> Iterator[Unit]:
    """American Standard Version (1901), one paragraph a line, in blocks of 16 kB.

    The file is one Python string literal without escapes; it is cut out, not evaluated.
    """
    text = text_of(ASV, "plain_text_readers_bible.py").split('"""')[1].strip("\n")
    blocks = {f"asv/{i:03}": block for i, block in enumerate(cut(text, CHAPTER_BYTES))}
    for name in hashed_order(blocks):
        yield Unit(name, "english_prose", blocks[name], ASV.name)


def tech_docs_html() -> Iterator[Unit]:
    """Documentation strings of cloud services: English with ``<p> <code> <a href>``. Newest API only."""
    newest = {path.split("/")[1]: path for path in files_of(BOTOCORE, "/service-2.json.gz", "data/")}
    seen: set[str] = set()
    for service in hashed_order(newest):
        model = json.loads(gzip.decompress(data_of(BOTOCORE, newest[service])))
        strings = [text for text in _documentation(model) if len(text) > 80 and _is_new(text, seen)]
        yield Unit(f"botocore/{service}", "tech_docs_html", _head("\n".join(strings), _SERVICE_BYTES), BOTOCORE.name)


def _documentation(node: object) -> Iterator[str]:
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "documentation" and isinstance(value, str):
                yield value
            else:
                yield from _documentation(value)
    elif isinstance(node, list):
        for value in node:
            yield from _documentation(value)


def _python_files() -> list[str]:
    files = [path for path in files_of(DJANGO, ".py") if "/locale/" not in path]
    return hashed_order(files)


def python() -> Iterator[Unit]:
    """Source files of Django."""
    return _files(_python_files(), "python")


def html() -> Iterator[Unit]:
    """Templates of Django."""
    return _files(hashed_order(files_of(DJANGO, ".html")), "html")


def js_css() -> Iterator[Unit]:
    """Scripts and style sheets of Django's admin, neither minified nor message catalogues."""
    files = [*files_of(DJANGO, ".js", "contrib/"), *files_of(DJANGO, ".css", "contrib/")]
    sources = [path for path in files if "/static/" in path and ".min." not in path and "/i18n/" not in path]
    return _files(hashed_order(sources), "js_css")


def _files(paths: list[str], domain: str) -> Iterator[Unit]:
    for path in paths:
        text = _head(text_of(DJANGO, path))
        if text.strip():
            yield Unit(f"django/{path}", domain, text, DJANGO.name)


def legal() -> Iterator[Unit]:
    """Open-source licences. A paragraph that an earlier licence has (GPL, LGPL, AGPL share most) is left out."""
    tree = ast.parse(text_of(IDENTIFY, "vendor", "licenses.py"))
    licences = next(ast.literal_eval(node.value) for node in tree.body if isinstance(node, ast.Assign))
    seen: set[str] = set()
    for name, text in licences:
        paragraphs = [part for part in re.split(r"(?<=\n)\n+", text) if _is_new(part, seen)]
        yield Unit(f"licence/{name}", "legal", "\n".join(paragraphs), IDENTIFY.name)


def dna() -> Iterator[Unit]:
    """Bacterial contigs in stretches of 16 kB, and genes; FASTA lines of 60 bases."""
    for path in files_of(PYHMMER, ".fna", "tests/data/seqs/"):
        for unit in _fasta(path, "dna"):
            stretches = cut(unit.text, CHAPTER_BYTES)
            for i, stretch in enumerate(stretches):
                name = f"{unit.source}/{i:03}" if len(stretches) > 1 else unit.source
                yield unit._replace(source=name, text=stretch)


def protein() -> Iterator[Unit]:
    """Protein sequences, FASTA lines of 60 amino acids, one unit each."""
    units = {
        unit.source: unit for path in files_of(PYHMMER, ".faa", "tests/data/seqs/") for unit in _fasta(path, "protein")
    }
    for name in hashed_order(units):
        yield units[name]


def _fasta(path: str, domain: str) -> Iterator[Unit]:
    """Records of a FASTA file. Headers keep their first word: the rest is English metadata."""
    for record in text_of(PYHMMER, path).split(">")[1:]:
        header, _, sequence = record.partition("\n")
        name = header.split()[0]
        yield Unit(f"{path.rsplit('/', 1)[1]}/{name}", domain, f">{name}\n{sequence}", PYHMMER.name)


def base64_text() -> Iterator[Unit]:
    """Certificates in PEM, then Python sources in base64 (from the far end of those that `python` takes)."""
    bundle = text_of(CERTIFI, "cacert.pem")
    for i, body in enumerate(re.findall(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----\n", bundle, re.S)):
        yield Unit(f"certificate/{i:03}", "base64", body, CERTIFI.name)
    for path in reversed(_python_files()):
        text = base64.encodebytes(data_of(DJANGO, path)[:_ENCODED_BYTES]).decode("ascii")
        if text:
            yield Unit(f"base64/{path}", "base64", text, DJANGO.name)


def hexadecimal() -> Iterator[Unit]:
    """The messages of compiled catalogues as hex dumps: 16 bytes a line, in groups of two."""
    for path in hashed_order(files_of(DJANGO, ".mo")):
        data = data_of(DJANGO, path)[-_ENCODED_BYTES:]
        lines = [data[i : i + 16].hex(" ", 2) for i in range(0, len(data), 16)]
        yield Unit(f"hex/{path}", "hex", "\n".join(lines) + "\n", DJANGO.name)


def running_i18n() -> Iterator[Unit]:
    """Sample texts of 700 languages, mostly the Universal Declaration of Human Rights; a line is kept once."""
    seen: set[str] = set()
    for path in hashed_order(files_of(GFLANGUAGES, ".textproto", "data/languages/")):
        sample = text_of(GFLANGUAGES, path).partition("sample_text {")[2]
        fields = re.findall(r'^\s+(?:specimen_\d+|tester|styles): "((?:[^"\\]|\\.)*)"', sample, re.M)
        lines = [line for field in fields for line in _unescape(field).split("\n") if line and _is_new(line, seen)]
        # Shorter samples are often the beginning of longer ones.
        lines = [line for line in lines if not any(other != line and other.startswith(line) for other in lines)]
        yield Unit(f"udhr/{path.rsplit('/', 1)[1].removesuffix('.textproto')}", None, _lines(lines), GFLANGUAGES.name)


def _unescape(field: str) -> str:
    """Text-format escapes that occur: backslash with n, quote or itself."""
    return re.sub(r"\\(.)", lambda match: {"n": "\n"}.get(match[1], match[1]), field)


def interface_i18n() -> Iterator[Unit]:
    """Message catalogues of 97 locales; a message that an earlier catalogue has is left out."""
    seen: set[str] = set()
    for path in hashed_order(files_of(DJANGO, ".mo")):
        catalogue = gettext.GNUTranslations(io.BytesIO(data_of(DJANGO, path)))
        # The only way to list a catalogue: gettext has no public iterator.
        messages: dict[object, str] = vars(catalogue)["_catalog"]
        lines = [text for key, text in messages.items() if key and text and _is_new(text, seen)]
        yield Unit(f"django/{path.replace('LC_MESSAGES/', '')}", None, _lines(lines), DJANGO.name)


def names_i18n() -> Iterator[Unit]:
    """Names of languages, places, currencies and units in the thin scripts: word lists, not prose, each its own."""
    seen: set[str] = set()
    for locale in hashed_order(_LOCALES.split()):
        tree = _Inert(io.BytesIO(data_of(BABEL, "locale-data", f"{locale}.dat"))).load()
        for key in _LOCALE_KEYS:
            names = [text for text in _strings(tree.get(key)) if _is_new(text, seen)]
            yield Unit(f"cldr/{locale}/{key}", None, _lines(names), BABEL.name)


class _Inert(pickle.Unpickler):
    """Reads locale data without importing or running anything: every class becomes an empty shell."""

    class _Shell:
        def __init__(self, *args: object) -> None: ...

        def __setstate__(self, state: object) -> None: ...

    def find_class(self, module: str, name: str) -> type:
        return self._Shell


def _strings(node: object) -> Iterator[str]:
    if isinstance(node, str):
        yield node
    elif isinstance(node, dict):
        for key, value in node.items():
            if key not in ("short", "narrow"):  # abbreviations
                yield from _strings(value)


def _is_new(text: str, seen: set[str]) -> bool:
    if text in seen:
        return False
    seen.add(text)
    return True


def _lines(lines: list[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


def _head(text: str, max_bytes: int = _UNIT_BYTES) -> str:
    """The beginning of a text, cut at a line end."""
    return cut(text, max_bytes)[0] if len(text.encode("utf-8")) > max_bytes else text
