"""What version 0.1.0 wrote (``tests/fixtures/previous``), placed where a test may go on with it.

Its run files name the folder ``/previous`` and the bucket ``previous``. Here these become the test's own places. The
names of edit runs and of their state are hashes over the source's place, so they are made anew, as that version made
them: its formulas are repeated here and not imported, so that a change of today's is noticed.
"""

import hashlib
import json
import os
import tarfile
from pathlib import Path
from typing import Any

import boto3

ARCHIVE = Path(__file__).parents[1] / "fixtures" / "previous" / "written.tar.xz"
FOLDER, BUCKET = "/previous", "s3://previous"
_RUNS = ("finished", "unfinished")
_ASKED_FOR = (
    *("bundle", "edits", "faces", "min_face", "min_confidence", "paste"),
    *("output", "format", "on_present", "quality"),
)


def _extract(folder: Path) -> None:
    with tarfile.open(ARCHIVE) as archive:
        # The argument of the same name is missing in Python 3.11 before 3.11.4.
        archive.extraction_filter = getattr(tarfile, "data_filter", None)
        archive.extractall(folder)


def unpack(folder: Path) -> Path:
    """Unpack all of it; paths in JSON files are the folder's, and files have the times that they had."""
    _extract(folder)
    for name in _RUNS:
        _rename(folder / name, str(folder))
    for path in folder.rglob("*.json"):
        path.write_text(path.read_text().replace(f'"{FOLDER}/', f'"{folder}/'))
    for name, nanoseconds in json.loads((folder / "times.json").read_text()).items():
        path = folder / _renamed(name, folder)
        os.utime(path, ns=(nanoseconds, nanoseconds))
    return folder


def upload(folder: Path, bucket: str) -> str:
    """Put the images and the two runs of the bucket into another one, metadata included; returns its URL."""
    url, place = f"s3://{bucket}", folder / "s3"
    _extract(folder)
    metadata = json.loads((folder / "s3-metadata.json").read_text())
    # boto3's default session keeps the credentials of whichever test asked for it first.
    client = boto3.session.Session().client("s3")
    for path in sorted((folder / "images").iterdir()):
        client.put_object(Bucket=bucket, Key=f"images/{path.name}", Body=path.read_bytes())
    for name in _RUNS:
        _rename(place / name, url)
    for path in sorted(path for path in place.rglob("*") if path.is_file()):
        key = path.relative_to(place).as_posix()
        data = path.read_bytes()
        if path.suffix == ".json":
            data = data.replace(f'"{BUCKET}/'.encode(), f'"{url}/'.encode())
            data = data.replace(f'"{FOLDER}/'.encode(), f'"{folder}/'.encode())
        client.put_object(Bucket=bucket, Key=key, Body=data, Metadata=metadata.get(key, {}))
    return url


def processor() -> str:
    """A digest of the processor's kind, as the fixture's program took it."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    kinds = sorted({line for line in lines if line.startswith(("model name", "cache size", "flags"))})
    return hashlib.sha256("\n".join(kinds).encode()).hexdigest()[:16]


def _rename(destination: Path, place: str) -> None:
    """Give a destination's run and state the names that they have for images at another place."""
    (file,) = destination.glob("_runs/*/run.json")
    text = file.read_text()
    run = json.loads(text)
    lineage, run_id = names(run, f"{place}/images")
    for path in destination.rglob("*.json"):
        words = path.read_text().replace(run["lineage"], lineage).replace(run["run_id"], run_id)
        path.write_text(words)
    file.parent.rename(file.parent.parent / run_id)
    state = destination / "_state" / run["lineage"]
    if state.exists():
        state.rename(state.parent / lineage)


def names(run: dict[str, Any], source: str) -> tuple[str, str]:
    """The lineage and the id of a run with these settings over another source, as version 0.1.0 named them."""
    lineage = _hash([source, {name: run["made_of"][name] for name in _ASKED_FOR}])
    return lineage, f"{_hash([lineage, run['fingerprint'], None, False])}-0001"


def _renamed(name: str, folder: Path) -> str:
    """Where a file of the archive is after the renaming."""
    destination, *rest = name.split("/")
    for kind in ("_runs", "_state"):
        if rest[:1] == [kind] and len(rest) > 2:
            (there,) = (path.name for path in (folder / destination / kind).iterdir() if path.is_dir())
            return "/".join([destination, kind, there, *rest[2:]])
    return name


def _hash(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]
