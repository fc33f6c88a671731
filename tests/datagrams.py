"""A server over UDP that answers as a test says: of names or of the time, late, damaged or forged."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tests.waiting import FAR


@contextmanager
def serving(answer: Callable[[bytes], list[bytes]]) -> Iterator[int]:
    """Answer each message to a port, which is returned, with some; the server ends with the context."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(0.1)
        ended = threading.Event()

        def work() -> None:
            while not ended.is_set():
                try:
                    asked, peer = server.recvfrom(1000)
                except TimeoutError:
                    continue
                for each in answer(asked):
                    server.sendto(each, peer)

        thread = threading.Thread(target=work)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            ended.set()
            thread.join(FAR)
