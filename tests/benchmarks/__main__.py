"""``make bench``: all measurements, on the servers that the environment names."""

from __future__ import annotations

import secrets

from flows.storage import open_store
from tests.benchmarks import codec, flows, generator, loader, storage, training
from tests.benchmarks.table import show


def main() -> None:
    """Measure and print."""
    show("Codec, 178×218 JPEG, one core", codec.measure())
    show("Loader, 178×218 JPEGs to faces of 128 px", loader.measure())
    show("Generator alone, CPU, 128 px", generator.measure())
    show("Training steps, CPU", training.measure())
    bucket = f"s3://bench-{secrets.token_hex(4)}"
    open_store(bucket).make_bucket()
    show("Storage, drawn faces, S3 server on the same machine", storage.measure(bucket))
    show("Flows from end to end, S3 to S3", flows.measure(bucket))


if __name__ == "__main__":
    main()
