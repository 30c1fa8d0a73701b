import subprocess
import sys
import zipfile

import pytest

from pipelines.corpus import demo, packages, pinned_digests
from pipelines.corpus.corpus_config import CorpusConfig, DemoMix
from pipelines.corpus.read import read_corpus
from pipelines.errors import SourceMissing
from pipelines.recipe import load_recipe
from universality.errors import InputError


def test_configs_are_light():
    code = (
        "import sys, pipelines.corpus, pipelines.tokens\n"
        "import pipelines.corpus.corpus_config, pipelines.tokens.tokenizer_config\n"
        "heavy = {'pandas', 'numpy', 'pyarrow', 'tokenizers', 'transformers', 'datasets', 'torch'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_an_unknown_domain_names_the_nearest():
    with pytest.raises(InputError, match="Did you mean 'hebrew'"):
        demo.caps(DemoMix(domains=("hebrw",)))
    with pytest.raises(InputError, match="got 'pythom'"):
        demo.caps(DemoMix(max_bytes={"pythom": 5}))


def test_caps_are_the_smallest_of_what_is_asked():
    caps = demo.caps(DemoMix(domains=("python", "dna"), max_bytes=50_000))
    assert {domain: cap for domain, cap in caps.items() if cap} == {"python": 50_000, "dna": 50_000}
    caps = demo.caps(DemoMix(max_bytes={"python": 7}))
    assert caps["python"] == 7
    assert caps["english_prose"] == 1_200_000


def test_every_domain_has_a_pin():
    default = CorpusConfig().max_document_bytes
    assert {("small", default), ("full", default)} < set(pinned_digests.PINS)
    assert all(set(pins) == set(demo.DOMAINS) for pins in pinned_digests.PINS.values())
    shipped = load_recipe("quickstart").corpus
    assert (shipped.sources[0].size, shipped.max_document_bytes) in pinned_digests.PINS


def test_a_wheel_that_is_missing_of_another_version_or_damaged_names_the_command(monkeypatch, tmp_path):
    monkeypatch.setenv("UNIVERSALITY_TEXT", str(tmp_path))
    (tmp_path / "django-5.2.18-py3-none-any.whl").write_bytes(b"")
    config = CorpusConfig(sources=(DemoMix(domains=("html",)),))
    with pytest.raises(ImportError, match=r"'django' 5\.2\.19 .*Run: universality fetch-text") as caught:
        read_corpus(config)
    assert isinstance(caught.value, SourceMissing)
    wheel = tmp_path / "django-5.2.19-py3-none-any.whl"
    wheel.write_bytes(b"no archive")
    with pytest.raises(SourceMissing, match=r"5\.2\.19-py3-none-any\.whl must be whole.*universality fetch-text"):
        read_corpus(config)


def test_text_is_read_from_the_wheel_as_it_is(monkeypatch, tmp_path):
    monkeypatch.setenv("UNIVERSALITY_TEXT", str(tmp_path))
    with zipfile.ZipFile(tmp_path / "django-5.2.19-py3-none-any.whl", "w", zipfile.ZIP_DEFLATED) as wheel:
        wheel.writestr("django/b/two.html", "<p>\r\nשלום")
        wheel.writestr("django/a.html", "one")
        wheel.writestr("django-5.2.19.dist-info/x.html", "not its")
    assert packages.files_of(packages.DJANGO, ".html") == ["a.html", "b/two.html"]
    assert packages.files_of(packages.DJANGO, ".html", "b/") == ["b/two.html"]
    assert packages.text_of(packages.DJANGO, "b", "two.html") == "<p>\r\nשלום"
    with pytest.raises(SourceMissing, match=r"'c\.html'"):
        packages.text_of(packages.DJANGO, "c.html")


def test_a_changed_text_is_refused():
    source = DemoMix()
    facts = {domain: {"sha256": digest} for domain, digest in pinned_digests.PINS["small", 2_048].items()}
    pinned_digests.check(source, CorpusConfig(sources=(source,)), facts)
    facts["hebrew"] = {"sha256": "0" * 64}
    with pytest.raises(InputError, match="domain 'hebrew' of the demo mix 'small' must be text with sha256"):
        pinned_digests.check(source, CorpusConfig(sources=(source,)), facts)
