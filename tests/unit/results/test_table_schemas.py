"""Tables of a stored run against their schemas, and what notebooks read of them."""

from __future__ import annotations

import pytest
from synthetic_run import write_synthetic_run

from results.schema import INNER, TABLES, describe
from results.schema_figures import FIGURES
from storage import Run
from universality.errors import InputError

#: Tables that the synthetic run lacks; tests of their steps have them.
ELSEWHERE = {"sweeps", "matched", "neuron_pairs", "space_means", "raw_indices"}
ELSEWHERE |= {
    "study",
    "study_cells",
    "study_means",
    "study_contrasts",
    "study_domains",
    "study_layers",
    "study_partners",
}
ELSEWHERE |= {"model_vocabulary", "coverage", "same_index"}
ELSEWHERE |= {"split_tree", "splits_by_size", "split_agreement"}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return write_synthetic_run(str(tmp_path_factory.mktemp("store")), n_latents=60, n_documents=96)


@pytest.mark.parametrize("name", sorted(set(TABLES) - ELSEWHERE))
def test_a_stored_table_has_the_columns_declared_and_no_other(run: Run, name: str) -> None:
    table = run.table(name)
    assert len(table)
    TABLES[name].check(table)
    assert not table.duplicated(list(TABLES[name].key)).any()
    missing = {of.name for of in TABLES[name].columns if table[of.name].isna().any()}
    assert missing <= {of.name for of in TABLES[name].columns if of.nullable}


def test_every_table_says_its_unit_range_and_meaning() -> None:
    for schema in (*TABLES.values(), *FIGURES.values()):
        assert set(schema.key) <= set(schema.names), schema.name
        assert len(set(schema.names)) == len(schema.names), schema.name
        assert all(of.unit and of.range and of.meaning for of in schema.columns), schema.name
    assert set(TABLES) > INNER


def test_a_notebook_reads_what_columns_mean() -> None:
    frame = describe("features")
    assert list(frame["column"]) == TABLES["features"].names
    assert frame.set_index("column").loc["cluster", "missing"]
    assert frame.set_index("column").loc["firing_rate", "unit"] == "share"


def test_an_unknown_table_names_the_nearest() -> None:
    with pytest.raises(InputError, match="Try 'features'"):
        describe("feature")
