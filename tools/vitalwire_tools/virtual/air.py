"""The air that virtual boards with a radio and virtual centrals share: bumble's controllers on one local link.

A board's `bluetooth` module (virtual/modules/bluetooth.py) connects to it over a socket and gets a radio of its own
(radio.py). Real ATT and SMP; no radio waves, no loss. Needs bumble, which only the extra `test` installs.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Coroutine
from dataclasses import replace
from types import TracebackType
from typing import Any, TypeVar

from bumble import hci
from bumble.controller import Controller
from bumble.device import Device
from bumble.host import Host
from bumble.keys import MemoryKeyStore
from bumble.link import LocalLink
from bumble.ll import TerminateInd
from bumble.transport.common import AsyncPipeSink

from .radio import Radio

T = TypeVar("T")


class _Controller(Controller):
    """bumble's answers a scan by the advertisement once more; this one by what the advertiser has for who scans."""

    answer: Callable[[hci.Address], bytes]

    def send_hci_packet(self, packet: hci.HCI_Packet) -> None:
        """Give the host a packet."""
        kind = hci.HCI_LE_Extended_Advertising_Report_Event
        if isinstance(packet, kind):
            packet = kind(
                [
                    replace(report, data=self.answer(report.address))
                    if report.event_type & kind.EventType.SCAN_RESPONSE
                    else report
                    for report in packet.reports
                ]
            )
        super().send_hci_packet(packet)


class Air:
    """A local link in a thread of its own; a context manager."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, name="air", daemon=True)
        self._link = LocalLink()
        self._controllers: dict[Device, Controller] = {}
        self._boards: set[Radio] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.address = ""

    def __enter__(self) -> Air:
        self._thread.start()
        self._server = self.run(self._listen())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.run(self._close())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()

    def run(self, work: Coroutine[Any, Any, T], timeout: float = 30.0) -> T:
        """Run a coroutine among the devices and return what it does."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(timeout)

    async def device(self, name: str, address: hci.Address, mtu: int = 517) -> Device:
        """Return a new device on this link, powered."""
        controller = _Controller(name, link=self._link)
        controller.answer = self._scanned
        device = Device(name=name, address=address, host=Host(controller, AsyncPipeSink(controller)))
        self._controllers[device] = controller
        device.gatt_server.max_mtu = mtu
        device.keystore = MemoryKeyStore()
        await device.power_on()
        return device

    @property
    def radios(self) -> int:
        """How many boards have their radio on."""
        return sum(board.powered for board in self._boards)

    def vanish(self, device: Device) -> None:
        """Take a device off the link as a dead battery does: its peers see their connections time out."""
        controller = self._controllers.pop(device)
        for connection in list(controller.le_connections.values()):
            connection.send_ll_control_pdu(TerminateInd(hci.HCI_CONNECTION_TIMEOUT_ERROR))
        self._link.remove_controller(controller)
        controller.link = None  # whatever it is still asked to send goes nowhere

    def _scanned(self, address: hci.Address) -> bytes:
        return next(
            (device.scan_response_data for device in self._controllers if device.random_address == address), b""
        )

    async def _listen(self) -> asyncio.Server:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.address = "{}:{}".format(*server.sockets[0].getsockname())
        return server

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        board = Radio(self, writer)
        self._boards.add(board)
        try:
            while line := await reader.readline():
                board.program.receive(line)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self._boards.discard(board)
            board.end()
            writer.close()

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run a coroutine of the loop that nobody waits for."""
        task = self.loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _close(self) -> None:
        self._server.close()
        for board in list(self._boards):
            board.program.close()
        await asyncio.sleep(0.05)
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await task
