"""Tables ingested from and to S3, and batches read from there."""

import itertools
from collections.abc import Callable
from pathlib import Path

import torch
from pyarrow import fs

from attgan.data.loading.loader import open_faces
from attgan.data.shards import open_dataset
from flows.dataset.ingest import ingest
from flows.settings import IngestSettings
from flows.storage import open_store
from tests.support.data.foreign_tables import pictures, write_table


def test_batches_from_s3_are_those_from_disk(
    s3_server: dict[str, str], fresh_bucket: Callable[..., str], tmp_path: Path
) -> None:
    bucket = fresh_bucket(s3_server)
    path = write_table(tmp_path / "faces.parquet", {"image": pictures(40), "Bald": [0, 1] * 20})
    open_store(f"s3://{bucket}/in").put("faces.parquet", path.read_bytes())
    for source, destination in ((f"s3://{bucket}/in", f"s3://{bucket}/out"), (path, tmp_path / "out")):
        ingest(IngestSettings(source=str(source), destination=str(destination), rows_per_part=9))
    there = open_dataset(*open_store(f"s3://{bucket}/out").filesystem())
    here = open_dataset(fs.LocalFileSystem(), str(tmp_path / "out"))
    assert there.manifest == here.manifest
    for keep in (0, 10**7):
        options = {"size": 64, "attributes": ["Bald"], "window": 2}
        with open_faces(there, cache_bytes=keep, **options) as far, open_faces(here, **options) as near:
            streams = [faces.batches(faces.training, 6, seed=0, name="x") for faces in (far, near)]
            for one, other in itertools.islice(zip(*streams, strict=True), 15):
                assert torch.equal(one.images, other.images)
                assert torch.equal(one.labels, other.labels)
