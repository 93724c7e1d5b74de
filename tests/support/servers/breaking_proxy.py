"""A tiny HTTP proxy that breaks chosen requests on purpose, always the same ones.

    with BreakingProxy(endpoint) as proxy:
        proxy.plan("503", "reset")     # the next request, and the one after it; then all is well
        proxy.plan("503", forever=True)

Faults: an HTTP status, with the XML that S3 sends (``403``, or ``403 InvalidObjectState`` for a code that is not the
usual one), ``reset`` (the connection is reset before the request is passed on), ``lost`` (the request is carried out,
its answer is not delivered), ``truncate`` (the answer ends in the middle of its body), ``slow`` (it comes, after a
second) and ``hang`` (no answer).
"""

import contextlib
import re
import socket
import socketserver
import ssl
import struct
import threading
import time
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

CODES = {
    "403": "AccessDenied",
    "409": "ConditionalRequestConflict",
    "500": "InternalError",
    "503": "SlowDown",
}


class BreakingProxy:
    """Passes requests on to an endpoint, but for those that are to fail.

    Attributes:
        drop: a header that is not passed on.
        url: its own endpoint.
        seen: the first lines of all requests.
        heads: their headers, in lower case.
        struck: how many of them were broken.
    """

    SLOW_SECONDS = 1.0

    def __init__(self, endpoint: str, tls: ssl.SSLContext | None = None, drop: str = "") -> None:
        parts = urlsplit(endpoint)
        self.upstream = (parts.hostname, parts.port)
        self.drop = drop
        self.seen: list[str] = []
        self.heads: list[str] = []
        self.struck = 0
        self._faults: list[str] = []
        self._forever = False
        self._only = ""
        self._skip = 0
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._server = _Server(self, tls)
        self.url = f"{'https' if tls else 'http'}://localhost:{self._server.server_address[1]}"

    def plan(self, *faults: str, forever: bool = False, only: str = "", skip: int = 0) -> None:
        """Break the next requests in whose first line the pattern ``only`` is found, one fault each.

        The first ``skip`` of these pass. The last fault stays for ever, if asked.
        """
        with self._lock:
            self._faults, self._forever, self._only, self._skip = list(faults), forever, only, skip
            self.seen, self.heads, self.struck = [], [], 0

    def next_fault(self, head: str) -> str | None:
        line = head.splitlines()[0]
        with self._lock:
            self.seen.append(line)
            self.heads.append(head.lower())
            if not self._faults or not re.search(self._only, line):
                return None
            if self._skip:
                self._skip -= 1
                return None
            self.struck += 1
            return self._faults[0] if self._forever and len(self._faults) == 1 else self._faults.pop(0)

    def wait(self) -> None:
        self._closing.wait(60)

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, proxy: BreakingProxy, tls: ssl.SSLContext | None) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.proxy = proxy
        if tls is not None:
            self.socket = tls.wrap_socket(self.socket, server_side=True)

    def handle_error(self, request: object, client_address: object) -> None:
        """Broken connections are what this is about."""


class _Handler(socketserver.StreamRequestHandler):
    server: _Server

    def handle(self) -> None:
        while head := self._read_head():
            body = self.rfile.read(_content_length(head))
            fault = self.server.proxy.next_fault(head.decode())
            if fault is not None and fault[:3].isdigit():
                self._refuse(fault, head.startswith(b"HEAD"))
            elif fault == "reset":
                return self._reset()
            elif fault == "hang":
                return self.server.proxy.wait()
            else:
                if fault == "slow":
                    time.sleep(BreakingProxy.SLOW_SECONDS)
                answer = self._pass_on(head, body)
                if fault == "lost":
                    return self._reset()
                if fault == "truncate":
                    headers, end, content = answer.partition(b"\r\n\r\n")
                    self.wfile.write(headers + end + content[: len(content) // 2])
                    return None
                self.wfile.write(answer)
                if b"\r\nconnection: close" in answer.lower():
                    return None
        return None

    def _read_head(self) -> bytes:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            line = self.rfile.readline()
            if not line:
                return b""
            head += line
            if line.lower().startswith(b"expect: 100"):
                self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        return head

    def _pass_on(self, head: bytes, body: bytes) -> bytes:
        unwanted = "|".join(filter(None, ["expect", "connection", self.server.proxy.drop]))
        head = re.sub(rf"(?i)\r\n({unwanted}):[^\r]*".encode(), b"", head)
        with socket.create_connection(self.server.proxy.upstream) as upstream:
            upstream.sendall(head[:-2] + b"Connection: close\r\n\r\n" + body)
            return b"".join(iter(lambda: upstream.recv(65536), b""))

    def _refuse(self, fault: str, head_only: bool) -> None:
        status, _, code = fault.partition(" ")
        code = code or CODES[status]
        xml = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>on purpose</Message></Error>"
        body = b"" if head_only else xml.encode()
        head = f"HTTP/1.1 {status} X\r\nContent-Type: application/xml\r\nContent-Length: {len(body)}\r\n\r\n"
        self.wfile.write(head.encode() + body)

    def _reset(self) -> None:
        with contextlib.suppress(OSError):
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()


def _content_length(head: bytes) -> int:
    found = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
    return int(found.group(1)) if found else 0
