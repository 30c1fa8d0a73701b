"""The numbers behind the figures of a report, by file: what a row is, and what every column holds."""

from collections.abc import Mapping
from importlib.resources import files

from results.schema import MADE
from universality.schema import TableSchema, read_tables

#: By file below ``figures/``, without the comparison's name and the number of the page.
FIGURES: Mapping[str, TableSchema] = read_tables(files("results") / "figures.toml", MADE)
#: Columns of the figure "domains" that are medians over models.
MEDIANS = FIGURES["domains"].pick("mcc sensitivity specificity auroc r r_token neuron_r untrained_r")
