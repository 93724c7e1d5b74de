"""Which ends of a training's worker are worth another attempt."""

from typing import Any

import pytest
from prefect.client.schemas.objects import TaskRun
from prefect.states import Failed

from attgan.errors import UserError
from flows.storage import StorageError
from flows.training.driver import may_retry
from flows.training.flow import training_task
from flows.training.trial import train_trial


@pytest.mark.parametrize(
    ("ended_with", "again"),
    [
        (StorageError("s3://bucket: no answer"), True),
        (UserError("a-rule", "--size 3"), False),
        (IndexError("a bug"), False),
    ],
)
def test_only_trouble_with_the_storage_is_tried_again(ended_with: Any, again: bool) -> None:
    run = TaskRun(task_key="train", dynamic_key="0")
    assert may_retry(training_task("train", train_trial), run, Failed(data=ended_with)) == again
