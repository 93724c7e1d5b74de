"""What is used of Ray and Prefect beyond their public interface is still there, and does what it is used for."""

import itertools
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from prefect.client.schemas.schedules import CronSchedule, IntervalSchedule

from flows.runtime.internals import next_dates, reason_of_prefect


def test_ray_still_has_the_client_that_knows_its_cluster() -> None:
    # A restarted head, whose identifier differs, is the subject of tests/faults/test_cluster_faults.py.
    from ray._raylet import GcsClient

    assert callable(GcsClient)


def test_the_next_dates_of_a_cron_expression_are_in_its_time_zone() -> None:
    zone = ZoneInfo("Europe/Berlin")
    dates = next_dates(CronSchedule(cron="30 3 * * *", timezone="Europe/Berlin"), 3)
    assert [(date.astimezone(zone).hour, date.astimezone(zone).minute) for date in dates] == [(3, 30)] * 3
    days = [date.astimezone(zone).date() for date in dates]
    assert [later - earlier for earlier, later in itertools.pairwise(days)] == [timedelta(days=1)] * 2
    assert datetime.now(UTC) < dates[0] < datetime.now(UTC) + timedelta(days=1, hours=1)


def test_the_next_dates_of_an_interval_are_that_far_apart() -> None:
    first, second = next_dates(IntervalSchedule(interval=timedelta(hours=6)), 2)
    assert second - first == timedelta(hours=6)


def test_the_reason_of_a_failed_command_is_the_servers_answer_or_the_last_line() -> None:
    answered = "Traceback …\nprefect.exceptions.PrefectHTTPStatusError: {'detail': 'No such pool.'}\n"
    assert reason_of_prefect(answered) == "No such pool."
    assert reason_of_prefect("one line\nthe last one\n\n") == "the last one"
    assert reason_of_prefect("") is None
