"""Processes that are forked off one which has loaded what they need, so that each costs milliseconds.

Python has one such process for all, and what it loads is what was said last before it began: so all is said here.
Nothing of it may start a thread.
"""

import multiprocessing

FORKING = multiprocessing.get_context("forkserver")
FORKING.set_forkserver_preload(
    [
        "tests.faults.campaign.preload",
        "tests.support.sharing",
        "tests.support.small_training",
        "torch._dynamo",
    ]
)
