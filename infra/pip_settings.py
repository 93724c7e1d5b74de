"""Translates pip's configuration into environment variables for uv."""

from __future__ import annotations

import ast
from collections.abc import Mapping

# The environment variables of uv that correspond to pip's options.
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
# Options that do not influence what is installed. With any other option uv might install something else than pip.
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
    """The options of `pip install` in the output of `pip config list`. The environment overrides files."""
    options: dict[str, str] = {}
    for section in ("global.", "install.", ":env:."):
        for line in listing:
            name, _, value = line.partition("=")
            if name.startswith(section) and value:
                options[name[len(section) :]] = str(ast.literal_eval(value))
    return options


def unknown_to_uv(options: Mapping[str, str]) -> list[str]:
    """Those of the options that influence what is installed, and that uv does not have."""
    return sorted(set(options) - set(UV_NAMES) - set(IRRELEVANT))


def uv_variables(options: Mapping[str, str]) -> dict[str, str]:
    """The environment variables with which uv finds the same packages as pip with these options."""
    # By default uv ignores further versions of a package in all indexes after the first one that has it.
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
