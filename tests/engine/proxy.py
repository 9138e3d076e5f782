"""A wire between us and PostgreSQL that a test can cut at a chosen moment."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from contextlib import suppress


class Wire:
    """Forwards 127.0.0.1:port to a server; `cut_after` says on which bytes to the server both ends are dropped.

    The bytes themselves still arrive: the server does what they ask, and nobody hears the answer.  From those bytes of
    the server on that `silent_from` names, nothing comes any more, and both ends stay open: as behind a router that
    has forgotten the connection.
    """

    def __init__(self, host: str, port: int) -> None:
        self._upstream = (host, port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open = [self._listener]
        self.port: int = self._listener.getsockname()[1]
        self.cut_after: Callable[[bytes], bool] = lambda _: False
        self.silent_from: Callable[[bytes], bool] = lambda _: False
        self.cuts = 0
        self._threads = [self._start(self._accept)]

    def close(self) -> None:
        """End every connection."""
        for end in self._open:
            with suppress(OSError):  # it has ended by itself
                end.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        for end in self._open:
            end.close()

    def _start(self, work: Callable[..., None], *ends: socket.socket) -> threading.Thread:
        thread = threading.Thread(target=work, args=ends, daemon=True)
        thread.start()
        return thread

    def _accept(self) -> None:
        with suppress(OSError):  # the listener was closed
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(self._upstream)
                self._open += [client, server]
                self._threads += [self._start(self._up, client, server), self._start(self._down, client, server)]

    def _up(self, client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError):
            while data := client.recv(65536):
                cut = self.cut_after(data)
                if cut:
                    self.cuts += 1
                    client.shutdown(socket.SHUT_RDWR)  # first: the answer must not slip through
                server.sendall(data)
                if cut:
                    break
        with suppress(OSError):
            server.shutdown(socket.SHUT_WR)

    def _down(self, client: socket.socket, server: socket.socket) -> None:
        # Reads until the server has done its work and closed, whether or not anybody still listens.
        with suppress(OSError):
            silent = False
            while data := server.recv(65536):
                silent = silent or self.silent_from(data)
                with suppress(OSError):
                    client.sendall(b"" if silent else data)
        with suppress(OSError):
            client.shutdown(socket.SHUT_RDWR)
