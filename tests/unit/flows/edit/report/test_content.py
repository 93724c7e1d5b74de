"""What a report says about a run that succeeded, but perhaps not as its user expects."""

from typing import Any

import pytest

from flows.edit.ledger import Summary
from flows.edit.report.content import build_report
from flows.edit.run import EditRun
from flows.settings import EditSettings

COPIED = "--on-present"
UNSURE = "--on-unsure"
NO_FACE = "--min-face"


def report(
    share: float = 0.05, unsure: int = 0, reasons: dict[str, int] | None = None, **counts: int
) -> dict[str, Any]:
    counts = {"edited": 0, "copied": 0, "skipped": 0, "failed": 0} | counts
    settings = EditSettings(source="/in", destination="/out", notice_share=share)
    run = EditRun.model_construct(
        run_id="r",
        settings=settings,
        fingerprint="",
        made_of={},
        inputs=sum(counts.values()),
        shards=1,
        unchanged=0,
        ignored={},
    )
    summary = Summary(0, 0, counts, reasons or {}, 0, 0, attributes_from={"unsure": unsure})
    return build_report(run, [summary], wall=1.0)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"edited": 94, "copied": 6}, [COPIED]),
        ({"edited": 96, "copied": 4}, []),
        ({"edited": 96, "copied": 4, "share": 0.01}, [COPIED]),
        ({"edited": 100, "unsure": 10}, [UNSURE]),
        ({"edited": 90, "skipped": 10, "reasons": {"skipped at find: no face found": 10}}, [NO_FACE]),
        (
            {"edited": 90, "failed": 10, "reasons": {"failed at decode: truncated": 10}},
            ["failed at decode: truncated"],
        ),
    ],
)
def test_a_share_worth_noticing_is_noted_with_what_changes_it(
    options: dict[str, Any], named: list[str]
) -> None:
    remarks = report(**options)["remarks"]
    assert len(remarks) == len(named)
    assert all(name in remark for name, remark in zip(named, remarks, strict=True))
