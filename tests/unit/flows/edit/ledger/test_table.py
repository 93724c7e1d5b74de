"""The ledger as a table for other engines: the README names its columns, and the query in it counts each input once."""

import re
from pathlib import Path

import duckdb
import pyarrow as pa

import flows.edit
from flows.edit.ledger import SCHEMA, Row, Status, summarise, write_ledger
from flows.storage import open_store

README = (Path(flows.edit.__path__[0]) / "README.md").read_text().split("## The ledger as a table")[1]


def documented_type(field: pa.Field) -> str:
    if not pa.types.is_list(field.type):
        return str(field.type)
    return "list of " + {"float": "float", "bool": "bool"}.get(str(field.type.value_type), "struct")


def test_the_columns_are_documented_with_their_types() -> None:
    documented = [
        (name, kind)
        for names, kind in re.findall(r"^\| (`.+?`) \| (.+?) \|", README, flags=re.MULTILINE)
        for name in re.findall(r"`(\w+)`", names)
    ]
    assert sorted(documented) == sorted((field.name, documented_type(field)) for field in SCHEMA)


def test_the_query_counts_each_input_once(tmp_path: Path) -> None:
    def row(key: str, status: Status, generation: int = 0) -> Row:
        reason = "archived" if status == "failed" else None
        return Row(key, key, "1", status, reason=reason, generation=generation)

    store = open_store(str(tmp_path / "_runs" / "RUN"))
    for shard, generation, rows in (
        (0, 0, [row("a", "edited"), row("b", "failed")]),
        (1, 0, [row("c", "edited"), row("d", "failed")]),
        (1, 1, [row("c", "edited"), row("d", "edited", 1)]),
    ):
        write_ledger(store, rows, summarise(shard, generation, rows))
    (query,) = re.findall(r"```sql\n-- DuckDB.*?\n(.+?)```", README, flags=re.DOTALL)
    found = duckdb.sql(query.replace("s3://BUCKET/edited", str(tmp_path))).fetchall()
    assert found == [("edited", None, 3), ("failed", "archived", 1)]
