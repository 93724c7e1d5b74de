"""Sources with very many keys that point to few objects: on a disk, on a server that makes them up."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from flows.bench.faces import drawn_faces

BUCKET = "many"
# Keys of one page, as with S3.
PAGE = 1000
# Hard links to one file: ext4 allows 65,000.
_LINKS = 50_000


def key(number: int) -> str:
    """Sorted as the numbers are."""
    return f"{number:08d}.jpg"


@contextlib.contextmanager
def on_disk(keys: int, folder: Path) -> Iterator[str]:
    """A folder with so many names of a few files; its path."""
    (folder / "many").mkdir()
    for number in range(keys):
        path = folder / "many" / key(number)
        if number % _LINKS == 0:
            path.write_bytes(drawn_faces(1)[0])
            original = path
        else:
            os.link(original, path)
    yield str(folder / "many")


# ── a server that makes its keys up ──────────────────────────────────────────────────────────────────────────────


@contextlib.contextmanager
def on_listing_server(keys: int) -> Iterator[dict[str, str]]:
    """The environment of an S3 server with a bucket of so many keys, all of them one face, listed as S3 does.

    It answers what an edit asks of its source, and costs next to nothing: what is measured is the client.
    """
    ready, port = multiprocessing.get_context("spawn").Pipe()
    server = multiprocessing.get_context("spawn").Process(target=_serve, args=(keys, port), daemon=True)
    server.start()
    try:
        yield {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{ready.recv()}",
            "AWS_ACCESS_KEY_ID": "any",
            "AWS_SECRET_ACCESS_KEY": "any",
            "AWS_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }
    finally:
        server.kill()
        server.join()


def _serve(keys: int, port: Any) -> None:
    face = drawn_faces(1)[0]

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self._answer(b"", head=True)

        def do_GET(self) -> None:
            url = urlsplit(self.path)
            if url.path.strip("/") != BUCKET:
                self._answer(face, "image/jpeg")
                return
            asked = {name: values[0] for name, values in parse_qs(url.query).items()}
            self._answer(_page(keys, asked))

        def _answer(self, body: bytes, content_type: str = "application/xml", *, head: bool = False) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Content-Type", content_type)
            self.send_header("ETag", '"0123456789abcdef0123456789abcdef"')
            self.send_header("Last-Modified", "Mon, 06 May 2024 07:08:09 GMT")
            self.end_headers()
            if not head:
                self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    port.send(server.server_address[1])
    server.serve_forever()


def _page(keys: int, asked: dict[str, str]) -> bytes:
    start = int(asked.get("continuation-token", 0))
    end = min(keys, start + int(asked.get("max-keys", PAGE)))
    entries = "".join(
        f"<Contents><Key>{key(number)}</Key><LastModified>2024-05-06T07:08:09.000Z</LastModified>"
        "<ETag>&quot;0123456789abcdef0123456789abcdef&quot;</ETag><Size>10000</Size>"
        "<StorageClass>STANDARD</StorageClass></Contents>"
        for number in range(start, end)
    )
    more = "true" if end < keys else "false"
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>{BUCKET}</Name><Prefix></Prefix>'
        f"<EncodingType>url</EncodingType><KeyCount>{end - start}</KeyCount><IsTruncated>{more}</IsTruncated>"
        f"<NextContinuationToken>{end}</NextContinuationToken>{entries}</ListBucketResult>"
    ).encode()
