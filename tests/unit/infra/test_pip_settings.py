"""uv is given what pip is configured with, as pip itself says it."""

import functools
import http.server
import os
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.pip_settings import UV_NAMES, pip_options, unknown_to_uv, uv_variables

NAME = "only-pips-configuration-knows-me"
WHEEL = "only_pips_configuration_knows_me-1.0-py3-none-any.whl"


def listing(tmp_path: Path, configuration: str, **environment: str) -> list[str]:
    """What `pip config list` prints with this file, whose words count more than those of this machine's own files."""
    file = tmp_path / "pip.conf"
    file.write_text(configuration)
    bare = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
    bare |= {"PIP_CONFIG_FILE": str(file), "PIP_NO_INDEX": "0"}
    return subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"],
        env=bare | environment,
        capture_output=True,
        text=True,
    ).stdout.splitlines()


def test_pips_own_words_are_understood_and_the_nearer_one_wins(tmp_path: Path) -> None:
    configuration = """
[global]
index-url = https://far/simple
timeout = 5
[install]
index-url = https://near/simple
extra-index-url =
    https://one/simple
    https://two/simple
[download]
index-url = https://not-for-us/simple
"""
    options = pip_options(listing(tmp_path, configuration, PIP_TIMEOUT="9", PIP_FIND_LINKS="/a /b"))
    variables = uv_variables(options)
    expected = {
        "UV_INDEX_STRATEGY": "unsafe-best-match",
        "UV_DEFAULT_INDEX": "https://near/simple",
        "UV_INDEX": "https://one/simple https://two/simple",
        "UV_FIND_LINKS": "/a,/b",
        "UV_HTTP_TIMEOUT": "9",
    }
    assert variables | expected == variables


@pytest.mark.parametrize(
    ("option", "value", "expected"),
    [
        ("cert", "/etc/ours.pem", {"SSL_CERT_FILE": "/etc/ours.pem"}),
        ("no-index", "true", {"UV_NO_INDEX": "1"}),
        ("proxy", "http://proxy:3128", dict.fromkeys(UV_NAMES["proxy"], "http://proxy:3128")),
    ],
)
def test_each_option_gets_uvs_name(option: str, value: str, expected: dict[str, str]) -> None:
    assert unknown_to_uv({option: value}) == []
    assert uv_variables({option: value}) == expected | {"UV_INDEX_STRATEGY": "unsafe-best-match"}


@pytest.fixture
def index(tmp_path: Path) -> Iterator[str]:
    """The URL of a package index with one package."""
    folder = tmp_path / "index" / NAME
    folder.mkdir(parents=True)
    with zipfile.ZipFile(folder / WHEEL, "w") as wheel:
        metadata = WHEEL.partition("-py3")[0] + ".dist-info/"
        wheel.writestr(metadata + "METADATA", f"Metadata-Version: 2.1\nName: {NAME}\nVersion: 1.0\n")
        wheel.writestr(metadata + "WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(metadata + "RECORD", "")
    (folder / "index.html").write_text(f'<a href="{WHEEL}">{WHEEL}</a>')
    handler = functools.partial(_Silent, directory=str(tmp_path / "index"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("option", ["extra-index-url"])
def test_uv_installs_from_an_index_that_only_pips_configuration_names(
    index: str, option: str, tmp_path: Path
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    # An index without the package is passed over, as pip does.
    other = {"index-url": "extra-index-url", "extra-index-url": "index-url"}[option]
    lines = listing(tmp_path, f"[global]\n{option} = {index}\n{other} = {empty.as_uri()}\n")
    bare = {name: value for name, value in os.environ.items() if not name.startswith("UV_")}
    uv = Path(sys.executable).parent / "uv"
    if not uv.exists():
        pytest.skip("pip has installed this environment, because uv could not be had")
    command = [str(uv), "pip", "install", "--python", sys.executable]
    target = tmp_path / "target"
    done = subprocess.run(
        [*command, "--no-config", "--target", str(target), NAME],
        env=bare | uv_variables(pip_options(lines)) | {"UV_CACHE_DIR": str(tmp_path / "cache")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert list(target.glob("only_pips*.dist-info"))


class _Silent(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments: object) -> None:
        """Nobody wants to know."""
