import json
from pathlib import Path
from typing import Any

import pytest

from flows.storage import PreconditionFailed, StorageError, open_store
from flows.storage.errors import CredentialsRefused
from flows.sweep.records import (
    RECORD,
    Kept,
    State,
    is_complete,
    kept_weights,
    new_record,
    patiently,
    read_metrics,
    read_record,
    read_validations,
    results_of,
    value_of,
    write_record,
)


def check(step: int, **numbers: float | None) -> dict[str, Any]:
    return {"kind": "check", "step": step, **numbers}


def test_a_record_is_read_as_it_was_written_and_only_its_writer_replaces_it(tmp_path: Path) -> None:
    store = open_store(str(tmp_path / "trials" / "003"))
    assert read_record(store) is None
    first = new_record(3, {"freeze_d": 4}, "FreezeD 4")
    mine = write_record(store, first)
    assert read_record(store) == first
    theirs = new_record(3, {"freeze_d": 4}, "FreezeD 4")
    theirs["attempts"] = 12
    write_record(store, theirs)
    with pytest.raises(PreconditionFailed):
        write_record(store, first, if_match=mine)
    assert read_record(store) == theirs


@pytest.mark.parametrize(
    ("state", "permanent", "complete"),
    [
        ("running", False, False),
        ("finished", False, True),
        ("stopped_early", False, True),
        ("failed", False, False),
        ("failed", True, True),
    ],
)
def test_what_another_command_resumes(state: State, permanent: bool, complete: bool) -> None:
    record = new_record(0, {}, "")
    record["state"], record["permanent"] = state, permanent
    assert is_complete(record) is complete
    assert not is_complete(None)


def test_metrics_are_read_up_to_a_line_that_a_kill_cut_off(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    assert read_validations(store) == []
    rows = [check(0, quality=0.1), {"kind": "step", "step": 1, "total": 3.0}, check(1, quality=None)]
    store.put("metrics.jsonl", "\n".join(map(json.dumps, rows)).encode() + b'\n{"kind": "che')
    assert read_metrics(store) == rows
    assert read_validations(store) == [rows[0], rows[2]]


def test_a_record_of_version_0_2_is_read(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    old = new_record(0, {}, "") | {"state": "failed", "mistake": True}
    store.put(
        RECORD, json.dumps({name: old[name] for name in old if name not in ("permanent", "command")}).encode()
    )
    assert is_complete(read_record(store))


def test_a_trial_is_worth_what_the_weights_are_that_it_keeps() -> None:
    checks = [check(0, quality=0.9, psnr=40), check(5, quality=0.5, psnr=20), check(9, quality=0.3, psnr=30)]
    # What it began with is not its merit.
    assert value_of(checks, "quality") == 0.5
    # The PSNR of the best step, not the best PSNR.
    assert value_of(checks, "psnr") == 20
    # Of two equal ones the later is kept.
    assert value_of([*checks, check(12, quality=0.5, psnr=21)], "psnr") == 21
    # Without an evaluator of edits the last one is kept.
    assert value_of([check(5, psnr=20), check(9, psnr=30)], "psnr") == 30
    assert value_of([check(5, quality=None, psnr=None)], "psnr") is None
    assert value_of([check(0, quality=0.9)], "quality") is None
    assert value_of([], "quality") is None


@pytest.mark.parametrize(
    ("state", "values"),
    [
        ("finished", [0.8, 20.0]),
        ("stopped_early", [0.8, 20.0]),
        ("diverged", [None, None]),
        ("failed", [None, None]),
    ],
)
def test_a_trial_that_failed_has_no_result_however_good_it_was_before(
    tmp_path: Path, state: State, values: list[float | None]
) -> None:
    store = open_store(str(tmp_path))
    store.put("metrics.jsonl", json.dumps(check(5, quality=0.8, psnr=20.0)).encode() + b"\n")
    record = new_record(0, {}, "") | {"state": state, "value": 0.8}
    assert results_of(store, record, ["quality", "psnr"]) == values


@pytest.mark.parametrize(
    ("files", "kept"),
    [
        ([], None),
        (["best/step-0000000090/generator.safetensors"], None),
        (
            [f"best/step-{step:010d}/config.json" for step in (90, 1000, 20)]
            + ["best/step-0000002000/README.md"],
            Kept("best/step-0000001000", 1000),
        ),
    ],
)
def test_of_another_trial_the_newest_whole_bundle_counts(
    tmp_path: Path, files: list[str], kept: Kept | None
) -> None:
    store = open_store(str(tmp_path))
    for key in files:
        store.put(key, b"{}")
    assert kept_weights(store) == kept


@pytest.mark.parametrize(
    ("errors", "stops", "calls"),
    [
        ([StorageError("503"), StorageError("503")], False, 3),
        ([StorageError("503")], True, 1),
        ([CredentialsRefused("a-rule", "403")], False, 1),
    ],
    ids=["an outage passes", "the sweep is to stop", "the credentials are refused"],
)
def test_an_action_of_the_driver_outlasts_an_outage(errors: list[Exception], stops: bool, calls: int) -> None:
    left, called = list(errors), []

    def action(value: int) -> int:
        called.append(value)
        if left:
            raise left.pop(0)
        return value

    if calls > len(errors):
        assert patiently(action, 7, unless=lambda: stops, every=0) == 7
    else:
        with pytest.raises(StorageError):
            patiently(action, 7, unless=lambda: stops, every=0)
    assert len(called) == calls
