import pandas as pd
import pytest

from pipelines.corpus.corpus_config import CorpusConfig, HubDataset
from pipelines.corpus.read import read_corpus
from pipelines.errors import SourceMissing
from universality.errors import InputError

ROWS = pd.DataFrame(
    {
        "text": [f"Row {i} of a dataset that has a good many words in it." for i in range(20)],
        "lang": ["a", "b"] * 10,
    }
)


def texts_of(**settings):
    return read_corpus(CorpusConfig(sources=(HubDataset(**settings),))).documents


@pytest.fixture
def datasets(monkeypatch, tmp_path):
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    return pytest.importorskip("datasets")


def test_a_folder_saved_to_disk(datasets, tmp_path):
    data = datasets.Dataset.from_pandas(ROWS)
    data.save_to_disk(str(tmp_path / "one"))
    documents = texts_of(name=str(tmp_path / "one"), domain_column="lang", group_column="lang", max_units=10)
    assert documents["text"].tolist() == ROWS["text"].tolist()[:10]
    assert documents["domain"].tolist() == ROWS["lang"].tolist()[:10]
    assert documents["source_group"].tolist() == [0, 1] * 5

    datasets.DatasetDict(train=data, test=data).save_to_disk(str(tmp_path / "two"))
    assert len(texts_of(name=str(tmp_path / "two"), split="test")) == 20
    with pytest.raises(InputError, match=r"one of \['test', 'train'\]; got 'tests'.*Did you mean 'test'"):
        texts_of(name=str(tmp_path / "two"), split="tests")


def test_a_folder_of_data_files_is_streamed(datasets, tmp_path):
    folder = tmp_path / "files"
    folder.mkdir()
    ROWS.to_parquet(folder / "train.parquet")
    assert texts_of(name=str(folder))["text"].tolist() == ROWS["text"].tolist()
    with pytest.raises(InputError, match=r"one of \['lang', 'text'\]; got 'texts'"):
        texts_of(name=str(folder), text_column="texts")


def test_an_unknown_dataset(datasets, tmp_path):
    with pytest.raises(InputError, match="must be a dataset of the hub"):
        texts_of(name=str(tmp_path / "nowhere"))


def test_without_the_package(monkeypatch):
    monkeypatch.setattr("pipelines.corpus.hub.find_spec", lambda name: None)
    with pytest.raises(SourceMissing, match=r'pip install -e "\.\[hub\]"'):
        texts_of(name="owner/name")
