"""A session's keys, bindings and counters, the same for both roles (docs/PROTOCOL.md, bindings)."""
import os
import socket
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any

import wire
from cryptography.exceptions import InvalidTag
from noise import DirectionKeys

CONTROL_WINDOW, DATA_WINDOW = 256, 8192
_LANE_SHIFT = 48


@dataclass(frozen=True)
class Path:
    """A socket of ours and the address it talks to."""

    socket: socket.socket
    remote: tuple[Any, ...]

    def send(self, datagram: bytes) -> None:
        self.socket.sendto(datagram, self.remote)


class Window:
    """Tells counters seen before, and those too old to tell."""

    def __init__(self, size: int) -> None:
        self.size, self.top = size, -1
        self._seen: set[int] = set()

    def take(self, counter: int) -> bool:
        if counter <= self.top - self.size or counter in self._seen:
            return False
        self._seen.add(counter)
        self.top = max(self.top, counter)
        if len(self._seen) > 2 * self.size:
            self._seen = {seen for seen in self._seen if seen > self.top - self.size}
        return True


@dataclass
class Binding:
    """A number under a key generation, with an index of each end; each direction counts for itself."""

    number: int
    local: int  # receiver index that we chose
    remote: int
    path: Path | None = None
    control_sent: int = 0
    data_sent: int = 0
    control_seen: Window = field(default_factory=lambda: Window(CONTROL_WINDOW))
    data_seen: dict[int, Window] = field(default_factory=dict)


@dataclass
class Generation:
    """What one handshake or rekey has founded."""

    number: int
    chain: bytes
    out: DirectionKeys
    into: DirectionKeys
    lanes_out: int
    lanes_in: int
    bindings: dict[int, Binding] = field(default_factory=dict)
    spares: dict[int, int] = field(default_factory=dict)  # number → index, issued by the responder, not used yet
    tokens: dict[int, bytes] = field(default_factory=dict)  # of each index that the responder has told

    def add(self, number: int, local: int, remote: int, path: Path | None = None) -> Binding:
        self.bindings[number] = Binding(number, local, remote, path)
        return self.bindings[number]


@dataclass(frozen=True)
class Arrival:
    """An authentic control message or inner packet; `message.name` is DATA for a packet."""

    message: wire.Message
    path: Path
    generation: Generation
    binding: Binding


def now_us() -> int:
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1000


def new_index() -> int:
    return int.from_bytes(os.urandom(4), "little") or 1


class Session:
    def __init__(self, suite: int, session_id: bytes, psk: bytes) -> None:
        self.suite, self.id, self.psk = suite, session_id, psk
        self.binding_version = 0
        self.generations: list[Generation] = []  # oldest first; the last two receive
        self.current: Generation  # that we send under
        self.binding: Binding  # that data goes on
        self.arrived: deque[Arrival] = deque(maxlen=512)
        self.refused: deque[str] = deque(maxlen=64)

    def add_generation(self, generation: Generation) -> None:
        self.generations = [*self.generations[-1:], generation]

    def use(self, generation: Generation, binding: Binding) -> None:
        self.current, self.binding = generation, binding

    # --- sending ------------------------------------------------------------------------------

    def seal_control(self, plaintext: bytes, generation: Generation, binding: Binding) -> bytes:
        counter = binding.number << _LANE_SHIFT | binding.control_sent
        header = wire.HEADER.pack(type=wire.CONTROL, receiver=binding.remote,
                                  counter=generation.out.masked(wire.CONTROL, binding.remote, counter))
        binding.control_sent += 1
        return generation.out.control.seal(header, plaintext)

    def seal_data(self, packet: bytes, lane: int = 0) -> bytes:
        """On a lane of the active binding, whose lanes share one count."""
        first = self.binding.number * self.current.lanes_out
        counter = (first + lane) << _LANE_SHIFT | self.binding.data_sent
        header = wire.HEADER.pack(type=wire.DATA, receiver=self.binding.remote,
                                  counter=self.current.out.masked(wire.DATA, self.binding.remote, counter))
        self.binding.data_sent += 1
        return self.current.out.traffic.seal(header, packet)

    def send(self, name: str, flags: int = 0, tail: bytes = b"", on: Arrival | None = None,
             generation: Generation | None = None, binding: Binding | None = None, **values: Any) -> bytes:
        """A control message: an answer to the source of an arrival, or on some binding of a generation, or on the
        active one. Returns the datagram."""
        return self.send_plaintext(wire.control(name, flags, tail, **values), on, generation, binding)

    def send_plaintext(self, plaintext: bytes, on: Arrival | None = None, generation: Generation | None = None,
                       binding: Binding | None = None) -> bytes:
        generation = on.generation if on else generation or self.current
        binding = on.binding if on else binding or self.binding
        path = on.path if on else binding.path
        assert path is not None
        datagram = self.seal_control(plaintext, generation, binding)
        path.send(datagram)
        return datagram

    def send_packet(self, packet: bytes, lane: int = 0) -> bytes:
        assert self.binding.path is not None
        datagram = self.seal_data(packet, lane)
        self.binding.path.send(datagram)
        return datagram

    # --- receiving ----------------------------------------------------------------------------

    def _owner(self, index: int) -> tuple[Generation, Binding] | None:
        for generation in self.generations:
            for binding in generation.bindings.values():
                if binding.local == index:
                    return generation, binding
        return None

    def open(self, datagram: bytes, path: Path) -> Arrival | None:
        """None, with the reason in `refused`, when it isn't authentic and new."""
        head = wire.HEADER.unpack(datagram)
        owner = self._owner(head.receiver)
        if owner is None:
            self.refused.append("unknown_index")
            return None
        generation, binding = owner
        counter = generation.into.masked(head.type, head.receiver, head.counter)
        lane, sequence = counter >> _LANE_SHIFT, counter & ((1 << _LANE_SHIFT) - 1)
        is_data = head.type == wire.DATA
        lanes = range(binding.number * generation.lanes_in, (binding.number + 1) * generation.lanes_in)
        if lane not in lanes if is_data else lane != binding.number:
            self.refused.append("lane_unknown")
            return None
        keys = generation.into.traffic if is_data else generation.into.control
        try:
            plaintext = keys.open(datagram)
        except InvalidTag:
            self.refused.append("bad_tag")
            return None
        window = binding.data_seen.setdefault(lane, Window(DATA_WINDOW)) if is_data else binding.control_seen
        if not window.take(sequence):
            self.refused.append("replay")
            return None
        message = wire.Message(name="DATA", packet=plaintext) if is_data else wire.parse_control(plaintext)
        return Arrival(message, path, generation, binding)
