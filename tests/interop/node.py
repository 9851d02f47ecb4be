"""Sockets inside one of the lab's namespaces, and the loop that waits on them: everything happens in until()."""
import contextlib
import ctypes
import os
import select
import socket
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path as File
from typing import Any

sys.path.insert(0, str(File(__file__).resolve().parents[2] / "lab"))

import inner  # noqa: E402
import wire  # noqa: E402
from jvpn_lab.run import Unanswered  # noqa: E402
from session import Arrival, Path, Session, now_us  # noqa: E402

_NEW_NET = 0x40000000  # CLONE_NEWNET
_libc = ctypes.CDLL(None, use_errno=True)


def _set_namespace(file: str) -> None:
    with open(file, "rb") as namespace:
        if _libc.setns(namespace.fileno(), _NEW_NET) != 0:
            raise OSError(ctypes.get_errno(), f"setns {file}")


@contextlib.contextmanager
def inside(host: str) -> Iterator[None]:
    """Sockets made here belong to jvpn-HOST."""
    with open("/proc/thread-self/ns/net", "rb") as home:
        _set_namespace(f"/run/netns/jvpn-{host}")
        try:
            yield
        finally:
            _set_namespace(f"/proc/self/fd/{home.fileno()}")


def udp_socket(host: str, address: str, port: int = 0) -> socket.socket:
    with inside(host):
        made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((address, port))
    made.setblocking(False)
    return made


class Node:
    """Either role. It answers heartbeats and echo requests by itself; the rest is its role's, or the scenario's."""

    def __init__(self) -> None:
        self.sockets: list[socket.socket] = []
        self.session: Session | None = None
        self.silent = False  # sends nothing by itself
        self.heartbeat_s = 0.5
        self._next_heartbeat = 0.0
        self._taken: Arrival | None = None

    def _receive(self, datagram: bytes, path: Path) -> None:
        if datagram[0] in (wire.DATA, wire.CONTROL):
            if self.session and (arrival := self.session.open(datagram, path)):
                self.session.arrived.append(arrival)
                self.handle(arrival)
            elif self.session is None:
                self.handle_unknown(wire.HEADER.unpack(datagram).receiver, path)
        else:
            self.handle_handshake(datagram, path)

    def handle_handshake(self, datagram: bytes, path: Path) -> None:
        raise NotImplementedError

    def handle_unknown(self, index: int, path: Path) -> None:
        """Data or control, while there is no session."""

    def handle(self, arrival: Arrival) -> None:
        assert self.session is not None
        message = arrival.message
        if self.silent:
            return
        if message.name == "HEARTBEAT":
            self.session.send("HEARTBEAT_ACK", echo_us=message.clock_us, clock_us=now_us(),
                              binding_version=self.session.binding_version)
        elif message.name == "DATA" and (reply := inner.echo_reply_to(message.packet)):
            self.session.send_packet(reply)

    def heartbeat(self) -> None:
        assert self.session is not None
        self._next_heartbeat = time.monotonic() + self.heartbeat_s
        self.session.send("HEARTBEAT", clock_us=now_us(), binding_version=self.session.binding_version)

    def _tick(self) -> None:
        if self.session and not self.silent and time.monotonic() >= self._next_heartbeat:
            self.heartbeat()

    def until(self, condition: Callable[[], Any], seconds: float = 5) -> Any:
        """Runs until the condition holds; returns its value, or None when the time is over."""
        deadline = time.monotonic() + seconds
        while True:
            with contextlib.suppress(Unanswered):
                if value := condition():
                    return value
            if time.monotonic() >= deadline:
                return None
            for ready in select.select(self.sockets, [], [], 0.02)[0]:
                datagram, source = ready.recvfrom(65536)
                self._receive(datagram, Path(ready, source))
            self._tick()

    def take(self, name: str, seconds: float = 5, **fields: Any) -> Arrival | None:
        """The oldest message of that name, with such fields, that wasn't taken yet; those before it are forgotten."""
        def found() -> Arrival | None:
            arrived = self.session.arrived if self.session else ()
            for arrival in arrived:
                if arrival.message.name == name and all(getattr(arrival.message, key) == value
                                                        for key, value in fields.items()):
                    return arrival
            return None
        if arrival := self.until(found, seconds):
            assert self.session is not None
            while self.session.arrived.popleft() is not arrival:
                pass
        return arrival

    # --- data ---------------------------------------------------------------------------------

    def ping(self, source: str, destination: str, count: int = 5) -> bool:
        """Echo requests through the tunnel, on all lanes in turn, all answered once."""
        assert self.session is not None
        first = int.from_bytes(os.urandom(2), "big")
        numbers = [(first + offset) & 0xFFFF for offset in range(count)]
        self.session.arrived.clear()
        for at, number in enumerate(numbers):
            self.session.send_packet(inner.echo(source, destination, number), at % self.session.current.lanes_out)

        def answered() -> list[int]:
            assert self.session is not None
            replies = (inner.echo_reply_number(arrival.message.packet) for arrival in self.session.arrived
                       if arrival.message.name == "DATA")
            return sorted(number for number in replies if number in numbers)
        return bool(self.until(lambda: answered() == sorted(numbers)))
