"""The dialling end: handshake, rekey. Jumps are in jump.py."""
import hmac
import time
from dataclasses import dataclass, field
from typing import Any

from node import Node, udp_socket  # first: it finds jvpn_lab

import noise
import wire
from jvpn_lab.settings import LINKS, OUTSIDE4, PORT, gateway4
from session import Generation, Path, Session, new_index, now_us

RESPONSE_LENGTHS = range(372, 401)


@dataclass
class Dial:
    """One initiation and what came in answer."""

    sender: int
    path: Path
    handshake: noise.Handshake
    message: bytes
    answers: list[str] = field(default_factory=list)  # response, cookie, retry; bad_… when it isn't authentic
    cookie: bytes | None = None
    freshness: bytes = bytes(16)
    readiness: wire.Message | None = None


class Initiator(Node):
    def __init__(self, private: bytes, psk: bytes, gateway: bytes, suite: int = noise.AES_128_GCM,
                 lanes: int = 1) -> None:
        super().__init__()
        self.static, self.psk, self.gateway = noise.key_pair(private), psk, gateway
        self.suite, self.lanes = suite, lanes
        self.paths = {link: Path(udp_socket("client", OUTSIDE4[link]), (gateway4(link), PORT)) for link in LINKS}
        self.sockets = [path.socket for path in self.paths.values()]
        self.macs = noise.MacKeys(gateway)
        self.own_macs = noise.MacKeys(self.static.public.data)
        self.policy: wire.Message | None = None
        self.mtu = 0  # the responder's
        self.clock_ahead_ms = 0  # the responder's, of ours
        self.rekeys = self.nonce = 0
        self.dial: Dial | None = None
        self.resets: list[str] = []  # good; or why not

    # --- handshake ----------------------------------------------------------------------------

    def initiation(self, link: str = "wan0", cookie: bytes | None = None, head: dict[str, Any] | None = None,
                   **changes: Any) -> Dial:
        """A message that isn't sent yet; the changes are of its payload."""
        clear = {"type": wire.INITIATION, "sender": new_index(), "suite": self.suite} | (head or {})
        head_bytes = wire.INITIATION_HEAD.pack(**clear)
        handshake = noise.Handshake(self.suite, b"JVP/1" + head_bytes, self.static, self.psk, remote=self.gateway)
        payload = {"version": 1, "suite": self.suite, "lanes": self.lanes, "timestamp": wire.tai64n(time.time_ns())}
        message = head_bytes + handshake.write(wire.INITIATION_PAYLOAD.pack(**payload | changes))
        return Dial(clear["sender"], self.paths[link], handshake, self.macs.add_macs(message, cookie))

    def initiate(self, link: str = "wan0", **changes: Any) -> Dial:
        return self.submit(self.initiation(link, **changes))

    def inquire(self, link: str = "wan0", **changes: Any) -> wire.Message | None:
        """What the gateway says of itself; None: nothing."""
        self.submit(self.initiation(link, head={"type": wire.INQUIRY}, timestamp=bytes(12), **changes))
        return self.dial.readiness if self.answer() == "readiness" else None

    def submit(self, dial: Dial) -> Dial:
        """Sends it; from here on answers to it are taken."""
        self.dial = dial
        dial.path.send(dial.message)
        return dial

    def answer(self, seconds: float = 2) -> str | None:
        """How the latest initiation was answered first; None: not at all."""
        dial = self.dial
        assert dial is not None
        return dial.answers[0] if self.until(lambda: dial.answers, seconds) else None

    def attach(self, link: str = "wan0", **changes: Any) -> bool:
        """A handshake, confirmed."""
        self.initiate(link, **changes)
        return self.answer() == "response" and self.confirm()

    def confirm(self, seconds: float = 5) -> bool:
        """Heartbeats until one is answered under the newest keys."""
        self.heartbeat()
        assert self.session is not None
        newest = self.session.current
        return bool(self.until(lambda: self._acknowledged(newest), seconds))

    def _acknowledged(self, generation: Generation) -> bool:
        assert self.session is not None
        return any(arrival.generation is generation and arrival.message.name == "HEARTBEAT_ACK"
                   for arrival in self.session.arrived)

    def handle_handshake(self, datagram: bytes, path: Path) -> None:
        if datagram[0] == wire.RESET:
            self.resets.append(self._judge_reset(datagram, path))
            return
        dial = self.dial
        receiver = int.from_bytes(datagram[8:12] if datagram[0] == wire.RESPONSE else datagram[4:8], "little")
        if dial is None or receiver != dial.sender or "response" in dial.answers:
            return  # nothing waits for it
        if datagram[0] == wire.RESPONSE:
            dial.answers.append(self._read_response(dial, datagram))
        elif datagram[0] == wire.COOKIE_REPLY:
            dial.cookie = noise.open_reply(self.macs.cookie, datagram, dial.message)
            dial.answers.append("cookie")
        elif datagram[0] == wire.RETRY:
            dial.freshness = noise.open_reply(noise.retry_key(dial.handshake.chaining_key), datagram, dial.message)
            dial.answers.append("retry")
        elif datagram[0] == wire.READINESS:
            key = noise.readiness_key(dial.handshake.chaining_key, self.psk)
            dial.readiness = wire.READINESS_VALUE.unpack(noise.open_reply(key, datagram, dial.message))
            dial.answers.append("readiness")

    def _judge_reset(self, datagram: bytes, path: Path) -> str:
        session = self.session
        if len(datagram) != wire.RESET_MESSAGE.size or session is None:
            return "bad_length"
        message = wire.RESET_MESSAGE.unpack(datagram)
        binding = next((each for each in session.current.bindings.values() if each.remote == message.receiver), None)
        if binding is None or binding.path is None or binding.path.remote != path.remote:
            return "unknown_index"
        token = session.current.tokens[message.receiver]
        good = any([hmac.compare_digest(token, each) for each in (message.token, message.earlier)])
        return "good" if good else "bad_token"

    def _read_response(self, dial: Dial, datagram: bytes) -> str:
        if len(datagram) not in RESPONSE_LENGTHS:
            return "bad_length"
        if not self.own_macs.good_mac1(datagram):
            return "bad_mac1"
        head_bytes = datagram[:wire.RESPONSE_HEAD.size]
        dial.handshake.mix_hash(head_bytes)
        try:
            payload_bytes = dial.handshake.read(datagram[wire.RESPONSE_HEAD.size:-32])
        except noise.DecryptFailedException:
            return "bad_response"
        head, payload = wire.RESPONSE_HEAD.unpack(head_bytes), wire.RESPONSE_PAYLOAD.unpack(payload_bytes)
        if (payload.version, payload.suite) != (1, self.suite):
            return "bad_version"
        self.policy, self.mtu = wire.POLICY.unpack(payload.policy), payload.mtu
        self.clock_ahead_ms = payload.clock_ms - now_us() // 1000
        self.rekeys = self.nonce = 0
        self.session = Session(self.suite, payload.session_id, self.psk)
        self.session.binding_version = payload.binding_version
        indices = wire.Layout("a:I b:I c:I d:I").unpack(payload.spare_indices)
        spares = {number: index for number, index in enumerate(vars(indices).values(), 1) if index}
        told = [payload.reset_token, *(payload.spare_tokens[at:at + 16] for at in range(0, 64, 16))]
        self._found(dial.handshake, 1, payload.lanes, (dial.sender, head.sender), dial.path, spares,
                    dict(zip((head.sender, *vars(indices).values()), told)))
        return "response"

    def _found(self, handshake: noise.Handshake, number: int, lanes: int, indices: tuple[int, int], path: Path,
               spares: dict[int, int], tokens: dict[int, bytes]) -> None:
        """A key generation, on which we send from now on."""
        assert self.session is not None
        there, back, chain = handshake.split()
        generation = Generation(number, chain, noise.DirectionKeys(self.suite, there),
                                noise.DirectionKeys(self.suite, back), self.lanes, lanes, spares=spares,
                                tokens=tokens)
        self.session.add_generation(generation)
        self.session.use(generation, generation.add(0, *indices, path))

    # --- rekey --------------------------------------------------------------------------------

    def start_rekey(self, **changes: Any) -> tuple[noise.Handshake, int]:
        """Sends REKEY_INITIATION; the changes are of its payload."""
        session = self.session
        assert session is not None
        self.rekeys += 1
        sender = new_index()
        head = wire.control("REKEY_INITIATION", wire.CRITICAL_MESSAGE, sender=sender)[:12]
        old = session.current
        handshake = noise.Handshake(self.suite, noise.rekey_prologue(session.id, old.number, head), self.static,
                                    noise.rekey_psk(old.chain, self.psk), remote=self.gateway)
        payload = {"version": 1, "suite": self.suite, "lanes": self.lanes, "number": self.rekeys}
        message = handshake.write(wire.REKEY_INITIATION_PAYLOAD.pack(**payload | changes))
        session.send("REKEY_INITIATION", wire.CRITICAL_MESSAGE, sender=sender, noise=message)
        return handshake, sender

    def rekey(self) -> bool:
        """New keys, confirmed."""
        handshake, sender = self.start_rekey()
        arrival = self.take("REKEY_RESPONSE", receiver=sender)
        session = self.session
        if arrival is None or session is None:
            return False
        message = arrival.message
        handshake.mix_hash(message.raw[:16])
        payload = wire.REKEY_RESPONSE_PAYLOAD.unpack(handshake.read(message.noise))
        path = session.binding.path
        assert path is not None
        self._found(handshake, session.current.number + 1, payload.lanes, (sender, message.sender), path,
                    wire.parse_spares(payload.spares),
                    {message.sender: payload.reset_token} | wire.parse_tokens(payload.spares))
        return self.confirm()

    def close(self, reason: int = 15, detail: int = 3) -> None:
        """Tells the gateway that the session has ended."""
        assert self.session is not None
        self.session.send("TERMINATE", wire.CRITICAL_MESSAGE, reason=reason, detail=detail)
        self.session = None
