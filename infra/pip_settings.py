"""What pip is configured with, in the words of uv."""

from __future__ import annotations

import ast
from collections.abc import Mapping

# What pip's options are called for uv, which reads its environment.
UV_NAMES = {
    "index-url": ("UV_DEFAULT_INDEX",),
    "extra-index-url": ("UV_INDEX",),
    "find-links": ("UV_FIND_LINKS",),
    "no-index": ("UV_NO_INDEX",),
    "constraint": ("UV_CONSTRAINT",),
    "cert": ("SSL_CERT_FILE",),
    "client-cert": ("SSL_CLIENT_CERT",),
    "trusted-host": ("UV_INSECURE_HOST",),
    "proxy": ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"),
    "timeout": ("UV_HTTP_TIMEOUT",),
    "default-timeout": ("UV_HTTP_TIMEOUT",),
    "retries": ("UV_HTTP_RETRIES",),
}
# Options that change nothing of what is installed. With any other one uv might install something else than pip.
IRRELEVANT = frozenset(
    (
        "break-system-packages",
        "cache-dir",
        "config-file",
        "disable-pip-version-check",
        "log",
        "no-cache-dir",
        "no-color",
        "no-input",
        "no-warn-script-location",
        "prefer-binary",
        "progress-bar",
        "quiet",
        "require-virtualenv",
        "root-user-action",
        "upgrade-strategy",
        "verbose",
    )
)
_NO = ("0", "false", "no", "off", "n", "f")


def pip_options(listing: list[str]) -> dict[str, str]:
    """The options of `pip install` in the lines of `pip config list`, the environment's over a file's."""
    options: dict[str, str] = {}
    for section in ("global.", "install.", ":env:."):
        for line in listing:
            name, _, value = line.partition("=")
            if name.startswith(section) and value:
                options[name[len(section) :]] = str(ast.literal_eval(value))
    return options


def unknown_to_uv(options: Mapping[str, str]) -> list[str]:
    """The options among these that decide what is installed, and that uv does not have."""
    return sorted(set(options) - set(UV_NAMES) - set(IRRELEVANT))


def uv_variables(options: Mapping[str, str]) -> dict[str, str]:
    """The environment in which uv finds the packages that pip finds with these options."""
    # Else the first index that has a package hides what the others have of it.
    variables = {"UV_INDEX_STRATEGY": "unsafe-best-match"}
    for option in sorted(set(options) & set(UV_NAMES)):
        value = " ".join(options[option].split())
        if option == "find-links":
            value = value.replace(" ", ",")
        elif option == "no-index":
            value = "" if value.lower() in _NO else "1"
        if value:
            variables.update(dict.fromkeys(UV_NAMES[option], value))
    return variables
