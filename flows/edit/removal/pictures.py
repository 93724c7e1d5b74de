"""Remove what the folders of runs show of single images: the report's sample and picture, and the page of a preview."""

from __future__ import annotations

import contextlib
import html
import re
from collections.abc import Collection

from flows.edit.plan.runs import ListedRun
from flows.edit.run import PICTURE, PREVIEW, read_report, write_report
from flows.storage import has, join, open_store

# A key on the page of `attgan preview`.
_KEY = re.compile(r"<figcaption><b>(.*?)</b>", re.DOTALL)


def remove_pictures(listed: ListedRun, keys: Collection[str]) -> list[str]:
    """Remove what a run shows of some inputs.

    A picture or page that shows one of them among others goes as a whole; `attgan preview` makes a new page.

    Returns:
        The URLs of what was removed.

    Raises:
        StorageError: the storage failed after its retries.
    """
    removed = []
    folder = open_store(join(listed.runs.url, listed.run.run_id), option="--destination")
    with contextlib.suppress(FileNotFoundError):
        report = read_report(folder)
        shown = {
            "sample": [image for image in report.get("sample", ()) if image[0] not in keys],
            "failures": [failed for failed in report.get("failures", ()) if failed["key"] not in keys],
        }
        if len(shown["sample"]) < len(report.get("sample", ())) and has(folder.url, PICTURE):
            folder.delete(PICTURE)
            removed.append(join(folder.url, PICTURE))
        if report != report | shown:
            write_report(folder, report | shown)
    with contextlib.suppress(FileNotFoundError):
        page = folder.get(PREVIEW).data.decode()
        if any(html.unescape(found) in keys for found in _KEY.findall(page)):
            folder.delete(PREVIEW)
            removed.append(join(folder.url, PREVIEW))
    return removed
