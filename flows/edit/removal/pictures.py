"""Remove what the folders of runs show of single images: the report's sample and picture, and the page of a preview."""

from __future__ import annotations

import contextlib
import html
import json
import re
from collections.abc import Collection, Iterable

from flows.edit.plan.runs import ListedRun
from flows.edit.run import PICTURE, PREVIEW, REPORT
from flows.storage import join

# A key on the page of `attgan preview`.
_KEY = re.compile(r"<figcaption><b>(.*?)</b>", re.DOTALL)


def remove_pictures(runs: Iterable[ListedRun], keys: Collection[str]) -> list[str]:
    """Remove what runs show of some inputs.

    A picture or page that shows one of them among others goes as a whole; `attgan preview` makes a new page.

    Returns:
        The URLs of what was removed.

    Raises:
        StorageError: the storage failed after its retries.
    """
    removed = []
    for listed in runs:
        folder = listed.run.run_id
        with contextlib.suppress(FileNotFoundError):
            report = json.loads(listed.runs.get(f"{folder}/{REPORT}").data)
            if any(image[0] in keys for image in report.get("sample", ())):
                listed.runs.delete(f"{folder}/{PICTURE}")
                removed.append(join(listed.runs.url, folder, PICTURE))
                report.pop("picture", None)
            shown = {
                "sample": [image for image in report.get("sample", ()) if image[0] not in keys],
                "failures": [failed for failed in report.get("failures", ()) if failed["key"] not in keys],
            }
            if report != (report := report | shown):
                text = json.dumps(report, indent=2).encode()
                listed.runs.put(f"{folder}/{REPORT}", text, content_type="application/json")
        with contextlib.suppress(FileNotFoundError):
            page = listed.runs.get(f"{folder}/{PREVIEW}").data.decode()
            if any(html.unescape(found) in keys for found in _KEY.findall(page)):
                listed.runs.delete(f"{folder}/{PREVIEW}")
                removed.append(join(listed.runs.url, folder, PREVIEW))
    return removed
