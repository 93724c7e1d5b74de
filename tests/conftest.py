"""Real servers for the tests. Each starts when the first test asks for it, on free ports, and is always stopped.

A server is handed out as the dictionary of environment variables that lead to it:

    def test_it(s3_server, fresh_bucket):
        bucket = fresh_bucket(s3_server)      # made now, emptied and deleted after the test
        # … and until the end of this test the AWS_* variables of this process lead to that server

The whole stack (Prefect, S3, Ray) is one for the session, and this process's environment leads to it from the
first test that asks for it to the end:

    @pytest.mark.stack
    def test_that(stack, fresh_bucket):
        bucket = fresh_bucket()               # on the stack's S3 server

With ``--s3 moto`` that server, and the one alone, is moto's instead of SeaweedFS. With ``--database postgresql`` the
stack's Prefect server is on PostgreSQL.
"""

import contextlib
import os
import secrets
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import FrameType

import boto3
import hypothesis
import pytest

from infra.local import lifecycle, processes
from infra.local.prefect_server import prefect_server
from infra.local.service import Service
from infra.local.stack import SERVICES, Stack, load
from tests.support.servers.moto_service import moto_service
from tests.support.waiting import LIMIT

Variables = dict[str, str]
_PREFIX = "attgan-test-"
_TESTS = Path(__file__).parent
# After how long the Prefect server has written down, or has noticed, what it has heard of: 5 seconds by default.
_PROMPT = {
    "PREFECT_SERVER_EVENTS_PROACTIVE_GRANULARITY": "PT1S",
    "PREFECT_SERVER_SERVICES_EVENT_PERSISTER_FLUSH_INTERVAL": "1",
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_FLUSH_INTERVAL": "1",
}
_ENDING = (signal.SIGTERM, signal.SIGHUP)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--s3", choices=("seaweedfs", "moto"), default="seaweedfs", help="the S3 server of the stack"
    )
    parser.addoption(
        "--database", choices=("sqlite", "postgresql"), default="sqlite", help="of the stack's Prefect server"
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    # `make test` seeks the marked ones below integration and faults only.
    for item in items:
        marked = item.get_closest_marker("stack") or item.get_closest_marker("fault")
        if marked and item.path.is_relative_to(_TESTS / "unit"):
            raise pytest.UsageError(f"{item.nodeid}: a unit test needs no servers and kills nothing")
    # What breaks servers comes after what needs them whole.
    items.sort(key=lambda item: item.get_closest_marker("fault") is not None)
    if config.getoption("--s3") != "seaweedfs":
        for item in items:
            if mark := item.get_closest_marker("seaweedfs"):
                item.add_marker(
                    pytest.mark.skip(reason=f"holds for SeaweedFS alone: {mark.kwargs['reason']}")
                )


def pytest_configure() -> None:
    # What a shell runs in the background ignores Ctrl-C, and so would the commands that tests interrupt.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # The networks are tiny: several threads would wait for each other, and lanes of tests run side by side.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    # How long an example takes says how busy the machine is. A hundred of them, the usual number, take minutes in all.
    hypothesis.settings.register_profile("untimed", deadline=None, max_examples=40)
    hypothesis.settings.load_profile("untimed")
    # A time limit around the tests sends SIGTERM, and a terminal that is closed, or loses its `make`, SIGHUP:
    # end as after Ctrl-C, with every fixture torn down.
    for number in _ENDING:
        signal.signal(number, _interrupt)
    # Ray reads these once, when it is loaded, and anything that looks through all modules (inspect.getmodule does)
    # loads it, long before the stack is there. Without them it can never connect to a stack, and hangs trying.
    os.environ.update(RAY_AUTH_MODE="token", RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER="0")


def _interrupt(number: int, frame: FrameType | None) -> None:
    # The second of them would break off what the first has begun.
    for ending in _ENDING:
        signal.signal(ending, signal.SIG_IGN)
    signal.default_int_handler(number, frame)


@pytest.fixture(scope="session", autouse=True)
def face_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Decoded faces of the tests go with the tests, those of the stack's workers too."""
    os.environ["ATTGAN_CACHE_DIR"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session", autouse=True)
def chosen_s3_server(request: pytest.FixtureRequest) -> Iterator[None]:
    """What starts as a stack's S3 server is what ``--s3`` names."""
    with pytest.MonkeyPatch.context() as patch:
        if request.config.getoption("--s3") == "moto":
            patch.setitem(lifecycle._DESCRIBE, "s3", moto_service)  # type: ignore[arg-type]
        yield


@pytest.fixture(scope="session")
def stack(request: pytest.FixtureRequest) -> Iterator[Variables]:
    """Prefect server, S3 server and Ray head (2 CPUs, no GPU, no dashboard); the environment leads to them.

    Its workers' decoder dies of images that ask for it (``tests/faults/poison``).
    """
    services = SERVICES
    if request.config.getoption("--database") == "postgresql":
        services = ("postgresql", *SERVICES)
    options = {"cpus": 2, "gpus": 0, "dashboard": False, "report": _silent, "seconds": LIMIT}
    with _folder() as folder, contextlib.ExitStack() as cleanup:
        with pytest.MonkeyPatch.context() as patch:
            patch.setitem(lifecycle._DESCRIBE, "prefect", _prompt_prefect)  # type: ignore[arg-type]
            paths = [str(_TESTS / "faults" / "poison"), str(_TESTS.parent), os.environ.get("PYTHONPATH", "")]
            patch.setenv("PYTHONPATH", os.pathsep.join(filter(None, paths)))
            variables = cleanup.enter_context(lifecycle.running(folder, services, **options))
        cleanup.enter_context(_environment(variables))
        yield variables
        _assert_servers_live(folder)


@pytest.fixture(scope="session")
def s3_server() -> Iterator[Variables]:
    """The S3 server alone."""
    with _folder() as folder, lifecycle.running(folder, ("s3",), report=_silent) as variables:
        yield variables
        _assert_servers_live(folder)


@pytest.fixture(scope="session")
def moto_server() -> Iterator[Variables]:
    """moto's S3 server, a second implementation of the S3 API (any credentials are good)."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        yield {
            "AWS_ENDPOINT_URL": f"http://{host}:{port}",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }
    finally:
        server.stop()


@pytest.fixture
def fresh_bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., str]]:
    """A function that makes an empty bucket, on a server if one is given, to which this process then leads."""
    with contextlib.ExitStack() as cleanup:

        def make(server: Mapping[str, str] | None = None) -> str:
            if server is not None:
                for name in [name for name in os.environ if name.startswith("AWS_")]:
                    monkeypatch.delenv(name)
                for name, value in server.items():
                    monkeypatch.setenv(name, value)
            name = f"test-{secrets.token_hex(6)}"
            bucket = boto3.session.Session().resource("s3").Bucket(name)
            bucket.create()
            cleanup.callback(bucket.delete)
            cleanup.callback(bucket.objects.all().delete)
            return name

        yield make


def _assert_servers_live(folder: Path) -> None:
    """A server that has ended by itself fails many tests, and only its log, which goes with the folder, says why."""
    stack = load(folder)
    assert stack is not None
    for name, process in stack.processes.items():
        log = (stack.logs / f"{name}.log").read_text(errors="replace")
        assert processes.exists(process), f"the server {name} has ended; the end of its log:\n{log[-20_000:]}"


def _prompt_prefect(stack: Stack) -> Service:
    service = prefect_server(stack)
    return replace(service, environment={**service.environment, **_PROMPT})


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    # Tests that were killed could not stop their servers: the next ones do.
    for abandoned in lifecycle.clear_abandoned(Path(tempfile.gettempdir()), _PREFIX + "*"):
        shutil.rmtree(abandoned, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=_PREFIX) as folder:
        yield Path(folder)


@contextlib.contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(variables)
    _refresh_prefect()
    try:
        yield
    finally:
        ray = sys.modules.get("ray")
        if ray is not None and ray.is_initialized():
            # Otherwise Ray ends this whole process when its cluster goes away.
            ray.shutdown()
        if "prefect" in sys.modules:
            from prefect.events.worker import EventsWorker
            from prefect.logging.handlers import APILogWorker

            # Otherwise they seek the stopped server for a minute when Python exits.
            for worker in (APILogWorker, EventsWorker):
                worker.drain_all(timeout=10)
        os.environ.clear()
        os.environ.update(before)
        _refresh_prefect()


def _refresh_prefect() -> None:
    # Prefect reads its settings once, when it is imported: by the test module, before the stack had its ports.
    if "prefect" in sys.modules:
        from prefect.context import refresh_global_settings_context

        refresh_global_settings_context()


def _silent(line: str) -> None:
    del line
