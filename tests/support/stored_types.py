"""What the files of a run's tables hold, against their schemas."""

import pyarrow.parquet as pq

from results.schema import TABLES

ARROW = {"large_string": "text", "string": "text", "double": "float64", "float": "float32"}


def assert_files_hold_the_declared_types(run, name):
    """What Parquet says, not what pandas makes of it."""
    schema = TABLES[name]
    artifacts = [run.artifact(node) for node in run.record["nodes"]]
    stored = [pq.read_table(one.table_file(name)) for one in artifacts if name in one.tables()]
    assert stored
    for part in stored:
        types = {field.name: ARROW.get(str(field.type), str(field.type)) for field in part.schema}
        assert types == {of.name: of.dtype for of in schema.columns}
        frame = part.to_pandas()
        assert not frame.duplicated(list(schema.key)).any()
        missing = {of.name for of in schema.columns if frame[of.name].isna().any()}
        assert missing <= {of.name for of in schema.columns if of.nullable}
