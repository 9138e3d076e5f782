"""A proxy before PostgreSQL that counts how often its clients wait for an answer.

It reads as much of the wire protocol as that takes (https://www.postgresql.org/docs/current/protocol-message-formats.html):
one wait is what a client sends, up to the server's ReadyForQuery.  A COPY from the client is two, since the client
must hear CopyInResponse before it sends rows, and so is a result that is asked for in the middle of a pipeline (Flush).
Connecting and authenticating are counted as a connection.
"""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

_READY, _COPY_IN, _FLUSH, _QUERY, _PARSE = b"Z", b"G", b"H", b"Q", b"P"
_ENCRYPTION_REQUESTS = (80877103, 80877104)  # SSLRequest, GSSENCRequest: one byte is the answer


@dataclass
class Waits:
    """What went over the wire since the counter was last asked."""

    waits: int = 0
    connections: int = 0
    bytes: int = 0
    """Both ways."""


class WaitCounter:
    """Forwards 127.0.0.1:port to a server, and counts."""

    def __init__(self, host: str, port: int) -> None:
        self._upstream = (host, port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.statements: list[str] = []
        """The text of what was sent, for people who look where the waits come from."""
        self.delay = 0.0
        """Seconds that every answer takes longer, as between a function and a database elsewhere."""
        self._lock = threading.Lock()
        self._counted = Waits()
        self._open: list[socket.socket] = []
        self._threads = [self._start(self._accept)]

    def take(self) -> Waits:
        """What was counted since the last call."""
        with self._lock:
            counted, self._counted = self._counted, Waits()
            self.statements.clear()
        return counted

    def close(self) -> None:
        """End every connection."""
        for end in (self._listener, *self._open):
            with suppress(OSError):  # it has ended by itself
                end.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        for end in (self._listener, *self._open):
            end.close()

    def _start(self, work: Callable[..., None], *arguments: object) -> threading.Thread:
        thread = threading.Thread(target=work, args=arguments, daemon=True)
        thread.start()
        return thread

    def _accept(self) -> None:
        with suppress(OSError):  # the listener was closed
            while True:
                client, _ = self._listener.accept()
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                server = socket.create_connection(self._upstream)
                server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                session = _Session(self._count, lambda: self.delay)
                self._open += [client, server]
                self._threads += [
                    self._start(_forward, client, server, session.from_client),
                    self._start(_forward, server, client, session.from_server),
                ]

    def _count(self, waits: int, connections: int, statement: str = "", length: int = 0) -> None:
        with self._lock:
            self._counted.bytes += length
            self._counted.waits += waits
            self._counted.connections += connections
            if statement:
                self.statements.append(statement)


def _forward(source: socket.socket, sink: socket.socket, look: Callable[[bytes], None]) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            look(data)  # before it is passed on: whoever has the answer finds it counted
            sink.sendall(data)
    with suppress(OSError):
        sink.shutdown(socket.SHUT_WR)


class _Session:
    """One connection: its messages are cut apart, and the ones that tell of a wait are counted."""

    def __init__(self, count: Callable[..., None], delay: Callable[[], float]) -> None:
        self._count = count
        self._delay = delay
        self._asked = False
        self._client = self._server = b""
        self._started = self._ready = False
        self._plain_answers = 0

    def from_client(self, data: bytes) -> None:
        self._count(0, 0, length=len(data))
        self._asked = self._ready
        self._client += data
        while not self._started and len(self._client) >= 8:
            length, code = struct.unpack("!ii", self._client[:8])
            if len(self._client) < length:
                return
            self._client = self._client[length:]
            if code in _ENCRYPTION_REQUESTS:
                self._plain_answers += 1
            else:
                self._started = True
        if self._started:
            for kind, body in self._messages("_client"):
                if kind == _FLUSH:
                    self._count(1, 0)
                elif kind in (_QUERY, _PARSE):
                    self._count(0, 0, body.decode("utf-8", "replace").strip("\0"))

    def from_server(self, data: bytes) -> None:
        self._count(0, 0, length=len(data))
        asked, self._asked = self._asked, False
        if asked and self._delay():
            time.sleep(self._delay())
        self._server += data
        while self._plain_answers and self._server:
            self._plain_answers -= 1
            self._server = self._server[1:]
        for kind, _ in self._messages("_server"):
            if kind == _READY and not self._ready:
                self._ready = True
                self._count(0, 1)
            elif kind in (_READY, _COPY_IN):
                self._count(1, 0)

    def _messages(self, side: str) -> list[tuple[bytes, bytes]]:
        """The whole messages that have arrived: a type byte, a length that counts itself, a body."""
        data: bytes = getattr(self, side)
        found, at = list[tuple[bytes, bytes]](), 0
        while len(data) - at >= 5:
            end = at + 1 + int.from_bytes(data[at + 1 : at + 5], "big")
            if end > len(data):
                break
            found.append((data[at : at + 1], data[at + 5 : end]))
            at = end
        setattr(self, side, data[at:])
        return found
