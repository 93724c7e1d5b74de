"""The ledger of a shard: one row for each input, written once, when the shard is done.

Only what a ledger records counts as done.
"""

from flows.edit.ledger.files import (
    LEDGER,
    finished_shards,
    ledger_key,
    read_rows,
    read_summaries,
    read_summary,
    write_ledger,
)
from flows.edit.ledger.summary import Failure, SampledImage, Summary, choose_sample, summarise
from flows.edit.ledger.table import SCHEMA, STAGES, STATUSES, FaceRow, Row, Status

__all__ = [
    "LEDGER",
    "SCHEMA",
    "STAGES",
    "STATUSES",
    "FaceRow",
    "Failure",
    "Row",
    "SampledImage",
    "Status",
    "Summary",
    "choose_sample",
    "finished_shards",
    "ledger_key",
    "read_rows",
    "read_summaries",
    "read_summary",
    "summarise",
    "write_ledger",
]
