"""What is said of domains that a model never saw."""

import pandas as pd
import pytest

from results.unseen_frames import unseen_sentence, unseen_summary
from universality.table_schemas import UNSEEN_DOMAINS

NUMBERS = ["n_features", "n_partnered", "n_rearranged", "n_missing", "n_unstable", "n_undecided", "loss", "r"]


@pytest.fixture
def table():
    """Two models saw both domains, m2 only the first."""
    rows = [
        ("known", "m0", True, 20, 16, 2, 0, 2, 0, 3.0, 0.6), ("known", "m1", True, 20, 15, 2, 1, 2, 0, 3.1, 0.6),
        ("known", "m2", True, 40, 30, 4, 1, 5, 0, 3.2, 0.5), ("dna", "m0", True, 5, 4, 1, 0, 0, 0, 4.0, 0.7),
        ("dna", "m1", True, 15, 12, 1, 0, 2, 0, 5.0, 0.5), ("dna", "m2", False, 12, 1, 5, 4, 2, 0, 11.0, 0.2),
    ]  # fmt: skip
    frame = pd.DataFrame(rows, columns=["domain", "model", "seen", *NUMBERS])
    return UNSEEN_DOMAINS.typed(frame.reindex(columns=UNSEEN_DOMAINS.names))


def test_one_row_stands_for_a_domain_and_a_model_that_never_saw_it(table):
    (row,) = unseen_summary(table).to_dict("records")
    assert (row["domain"], row["model"], row["n_missing"], row["loss"]) == ("dna", "m2", 4, 11.0)
    assert row["loss_seen"] == 4.5
    assert row["r_seen"] == pytest.approx((5 * 0.7 + 15 * 0.5) / 20)


def test_the_sentence_has_its_floor_beside_it(table):
    assert unseen_sentence(table) == (
        "Of 10 stable features of a domain, asked for in a model that never saw it, 1 (10 %) have a partner there and "
        "4 (40 %) come out as missing; of 89 asked for in models that saw the domain 87 % have a partner and 2 % come "
        "out as missing."
    )
    assert unseen_sentence(table[table["seen"]]) == ""
    assert unseen_sentence(None) == ""
    assert unseen_sentence(table.assign(n_unstable=table["n_features"])) == ""
