"""Text from Hugging Face datasets, streamed: from the hub, or from a local folder without network."""

from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import Any

from pipelines.corpus.corpus_config import HubDataset
from pipelines.corpus.documents import Unit
from pipelines.corpus.files import reading
from pipelines.corpus.notes import Notes
from pipelines.corpus.rows import row_unit
from pipelines.errors import SourceMissing, nearest
from results.public.no_processes import no_processes
from universality.errors import refusal

INSTALL = 'pip install -e ".[hub]"'


def hub_units(config: HubDataset, notes: Notes | None = None) -> Iterator[Unit]:
    """Rows of a dataset, in its order; numbers of class labels become their names.

    Args:
        config: the source.
        notes: takes what was passed over or mended.

    Raises:
        SourceMissing: the package ``datasets`` is not installed.
        InputError: no such dataset, split or column, or a row that cannot be read, with its number.
    """
    notes = Notes() if notes is None else notes
    check_installed(config)
    import datasets

    with no_processes(config.name):
        rows = _saved(config) if _is_saved(config) else _streamed(config, datasets)
    names = _class_names(rows, config.domain_column)
    with reading(Path(config.name)) as place:
        place.row = f", {config.split} row 0"
        for number, row in enumerate(islice(rows, config.max_units)):
            source = f"{config.split}:{number}"
            unit = row_unit(config, dict(row), source, str(place), config.name, None, notes, names)
            place.row = f", {config.split} row {number + 1}"  # the one that is read next
            if unit is not None:
                yield unit


def check_installed(config: HubDataset) -> None:
    """Refuse a source for which the package ``datasets`` is wanting.

    Raises:
        SourceMissing: says the command that mends it.
    """
    if find_spec("datasets") is None:
        where, remedy = f"the source '{config.name}'", f"Run: {INSTALL}"
        raise SourceMissing.worded("package 'datasets'", where, "installed", "not installed", remedy)


def _class_names(rows: Any, column: str | None) -> list[str] | None:
    """Names of a class label's numbers; None for other columns, and where a stream does not know its features."""
    names = getattr((getattr(rows, "features", None) or {}).get(column), "names", None)
    return None if names is None else [str(name) for name in names]


def _is_saved(config: HubDataset) -> bool:
    folder = Path(config.name).expanduser()
    return any((folder / name).is_file() for name in ("state.json", "dataset_dict.json"))


def _saved(config: HubDataset) -> Iterable[Any]:
    """A folder written by ``save_to_disk``: memory-mapped, so as good as streamed."""
    from datasets import DatasetDict, load_from_disk

    with reading(Path(config.name)):
        dataset = load_from_disk(str(Path(config.name).expanduser()))
    if not isinstance(dataset, DatasetDict):
        return dataset
    if config.split not in dataset:
        constraint = f"one of {sorted(map(str, dataset))}"
        remedy = f"Set split.{nearest(config.split, map(str, dataset))}"
        raise refusal("split", config.name, constraint, repr(config.split), remedy)
    return dataset[config.split]


def _streamed(config: HubDataset, datasets: Any) -> Iterable[Any]:
    try:
        return datasets.load_dataset(
            config.name, config.config, split=config.split, revision=config.revision, streaming=True
        )
    except Exception as error:  # of every kind, by dataset and file
        constraint = (
            "a dataset of the hub, a save_to_disk folder, or a folder of data files, with that config and split"
        )
        got = str(error).split("\n", maxsplit=1)[0]
        remedy = (
            "Check name, config and split, the network and HF_HUB_OFFLINE; datasets that need a loading script "
            "no longer run."
        )
        raise refusal("dataset", config.name, constraint, got, remedy) from error
