"""Sources with very many keys that point to few objects: on a disk, on SeaweedFS, on a server that makes them up."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import struct
import subprocess
import tempfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import boto3

from flows.bench.faces import drawn_faces
from infra.local import lifecycle
from infra.local.service import program
from infra.local.stack import Stack

BUCKET = "many"
PAGE = 1000  # keys, as S3 has it
_LINKS = 50_000  # to one file: ext4 allows 65,000


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


# ── SeaweedFS ────────────────────────────────────────────────────────────────────────────────────────────────────


@contextlib.contextmanager
def on_seaweedfs(keys: int, folder: Path) -> Iterator[dict[str, str]]:
    """The environment of a SeaweedFS with a bucket of so many keys, whose entries all have one object's content.

    To put a million objects takes ten minutes on two cores. Its shell takes entries from a file, which is made here
    from the entry of a single object: three minutes.
    """
    stack = lifecycle.up(folder / "stack", ("s3",), report=lambda line: None)
    try:
        variables = lifecycle.client_environment(stack)
        client = boto3.client(
            "s3",
            endpoint_url=variables["AWS_ENDPOINT_URL"],
            aws_access_key_id=variables["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=variables["AWS_SECRET_ACCESS_KEY"],
            region_name=variables["AWS_REGION"],
        )
        client.create_bucket(Bucket=BUCKET)
        client.put_object(Bucket=BUCKET, Key=key(0), Body=drawn_faces(1)[0])
        with tempfile.TemporaryDirectory() as scratch:
            one, many = Path(scratch) / "one.meta", Path(scratch) / "many.meta"
            _shell(stack, f"fs.meta.save -o {one} /buckets/{BUCKET}")
            entry = next(entry for entry in _records(one.read_bytes()) if key(0).encode() in entry)
            with many.open("wb") as file:
                for number in range(1, keys):
                    record = _renamed(entry, key(number).encode())
                    file.write(struct.pack(">I", len(record)) + record)
            _shell(stack, f"fs.meta.load -concurrency=16 {many}")
        yield variables
    finally:
        lifecycle.down(folder / "stack")


def _shell(stack: Stack, command: str) -> None:
    ports = stack.ports
    servers = [f"-{part}=127.0.0.1:{ports[part]}.{ports[part + '-grpc']}" for part in ("master", "filer")]
    subprocess.run(
        [program("weed"), "shell", *servers],
        input=f"lock\n{command}\nunlock\n",
        text=True,
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def _records(data: bytes) -> Iterator[bytes]:
    """The entries in a file of the shell: each a protobuf message ``FullEntry`` after its length."""
    at = 0
    while at < len(data):
        (length,) = struct.unpack_from(">I", data, at)
        yield data[at + 4 : at + 4 + length]
        at += 4 + length


def _renamed(record: bytes, name: bytes) -> bytes:
    """A ``FullEntry`` (1: the folder, 2: the entry) whose entry (1: its name) is called otherwise."""
    entry = [(number, name if number == 1 else value) for number, value in _fields(dict(_fields(record))[2])]
    return _message(
        [(number, _message(entry) if number == 2 else value) for number, value in _fields(record)]
    )


def _fields(message: bytes) -> list[tuple[int, bytes | int]]:
    """The fields of a protobuf message that has numbers and bytes only."""
    found: list[tuple[int, bytes | int]] = []
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        value, at = _varint(message, at)
        if tag & 7 == 2:
            found.append((tag >> 3, message[at : at + value]))
            at += value
        else:
            found.append((tag >> 3, value))
    return found


def _message(fields: list[tuple[int, bytes | int]]) -> bytes:
    parts = []
    for number, value in fields:
        if isinstance(value, bytes):
            parts += [_bytes_of(number << 3 | 2), _bytes_of(len(value)), value]
        else:
            parts += [_bytes_of(number << 3), _bytes_of(value)]
    return b"".join(parts)


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 127) << shift
        shift, at = shift + 7, at + 1
        if byte < 128:
            return value, at


def _bytes_of(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)
