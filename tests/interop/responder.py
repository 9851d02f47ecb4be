"""The gateway's end of one session: it admits one client, gives out spares, lets it jump or not."""
import ipaddress
import os
import time
from collections.abc import Collection

from node import Node, udp_socket  # first: it finds jvpn_lab

import noise
import wire
from jvpn_lab.settings import CLIENT4, CLIENT6, LINKS, PORT, gateway4
from session import Arrival, Binding, Generation, Path, Session, new_index, now_us

POLICY = {"version": 1, "max_lifetime": 28_800_000, "transport_loss_ttl": 15_000, "idle_max": 25_000,
          "heartbeat_interval": 500, "heartbeat_volatile": 1_000, "transport_dead": 2_000, "stability_window": 1_000,
          "max_switches_per_min": 8, "switch_cooldown": 0, "max_recovery_window": 10_000, "max_recovery_attempts": 5,
          "recovery_attempt": 2_000, "drain": 500, "max_candidate_count": 3, "candidate_validation_ttl": 4_000}
SPARES = 4
MTU = 1400
FRESHNESS_INVALID, POLICY_DENY = 66, 71
STALE_VERSION, CANDIDATE_REFUSED = 32, 52


class Responder(Node):
    def __init__(self, private: bytes, psk: bytes, client: bytes, demands: Collection[str] = (),
                 lanes: int = 1) -> None:
        super().__init__()
        self.static, self.psk, self.client, self.lanes = noise.key_pair(private), psk, client, lanes
        self.tokens = noise.ResetTokens(private)
        self.macs, self.client_macs = noise.MacKeys(self.static.public.data), noise.MacKeys(client)
        self.sockets = [udp_socket("gw", gateway4(link), PORT) for link in LINKS]
        self.demands = demands  # of an initiation: cookie, retry
        self.told: list[str] = []  # how initiations were answered, or why not
        self.resets = 0  # that were sent
        self.fields = b""  # behind the response's payload
        self.flags = 0  # of the response
        self.reports: dict[int, dict[int, tuple[int, int]]] | None = None  # of the latest request to jump
        self.refuses_jumps = False
        self.secret, self.freshness = os.urandom(16), os.urandom(16)
        self.rekeyed_to = 0  # highest number of a call
        self.highest_nonce = 0
        self.warm: set[tuple[object, int]] = set()

    # --- handshake ----------------------------------------------------------------------------

    def cookie_of(self, path: Path) -> bytes:
        return noise.cmac(self.secret, repr(path.remote).encode())

    def handle_handshake(self, datagram: bytes, path: Path) -> None:
        if datagram[0] not in (wire.INITIATION, wire.INQUIRY) or len(datagram) != 400 or not self.macs.good_mac1(datagram):
            self.told.append("no initiation for us")
            return
        head = wire.INITIATION_HEAD.unpack(datagram)
        handshake = noise.Handshake(head.suite, b"JVP/1" + datagram[:16], self.static, self.psk)
        payload = wire.INITIATION_PAYLOAD.unpack(handshake.read(datagram[16:-32]))
        if handshake.remote != self.client or (payload.version, payload.suite) != (1, head.suite):
            self.told.append("another key, version or suite")
            return
        if datagram[0] == wire.INQUIRY:
            self._tell_readiness(datagram, handshake, path)
        elif not self._demanded(datagram, payload, handshake, path):
            self._respond(handshake, head, payload, path)

    def _tell_readiness(self, datagram: bytes, handshake: noise.Handshake, path: Path) -> None:
        value = wire.READINESS_VALUE.pack(availability=wire.TAKES_SESSIONS, ask_again_s=15, cookie=self.cookie_of(path),
                                          freshness=self.freshness)
        key = noise.readiness_key(handshake.chaining_key, self.psk)
        path.send(noise.seal_reply(wire.READINESS, key, os.urandom(24), value, datagram))
        self.told.append("readiness")

    def _demanded(self, datagram: bytes, payload: wire.Message, handshake: noise.Handshake, path: Path) -> bool:
        """Something was still missing in the initiation, and was asked for."""
        cookie = self.cookie_of(path)
        if "cookie" in self.demands and datagram[-16:] != noise.cmac(cookie, datagram[:-16]):
            path.send(noise.seal_reply(wire.COOKIE_REPLY, self.macs.cookie, os.urandom(24), cookie, datagram))
            self.told.append("cookie")
            return True
        if "retry" in self.demands and payload.freshness != self.freshness:
            key = noise.retry_key(handshake.chaining_key)
            path.send(noise.seal_reply(wire.RETRY, key, os.urandom(24), self.freshness, datagram))
            self.told.append("retry")
            return True
        return False

    def _respond(self, handshake: noise.Handshake, head: wire.Message, payload: wire.Message, path: Path) -> None:
        session = Session(head.suite, os.urandom(16), self.psk)
        session.binding_version = 2
        index, spares = new_index(), [new_index() for _ in range(SPARES)]
        addresses = b"".join(bytes([4 if "." in text else 6, 32 if "." in text else 128, 0, 0])
                             + ipaddress.ip_address(text).packed.ljust(16, b"\0") for text in (CLIENT4, CLIENT6))
        plaintext = wire.RESPONSE_PAYLOAD.pack(
            version=1, suite=head.suite, lanes=self.lanes, mtu=MTU, flags=self.flags, session_id=session.id,
            binding_version=session.binding_version, clock_ms=now_us() // 1000, addresses=addresses,
            policy=wire.POLICY.pack(**POLICY), spare_indices=b"".join(each.to_bytes(4, "little") for each in spares),
            reset_token=self.token(index), spare_tokens=b"".join(map(self.token, spares)))
        clear = wire.RESPONSE_HEAD.pack(type=wire.RESPONSE, sender=index, receiver=head.sender)
        handshake.mix_hash(clear)
        path.send(self.client_macs.add_macs(clear + handshake.write(plaintext + self.fields)))
        self.told.append("response")
        generation = self._found(session, handshake, 1, payload.lanes, index, head.sender, spares)
        generation.bindings[0].path = path
        session.use(generation, generation.bindings[0])
        self.session = session
        self.rekeyed_to = self.highest_nonce = 0

    def _found(self, session: Session, handshake: noise.Handshake, number: int, lanes: int, local: int, remote: int,
               spares: list[int]) -> Generation:
        there, back, chain = handshake.split()
        generation = Generation(number, chain, noise.DirectionKeys(session.suite, back),
                                noise.DirectionKeys(session.suite, there), self.lanes, lanes)
        generation.add(0, local, remote)
        for spare, index in enumerate(spares, 1):
            generation.add(spare, index, 0)
        session.add_generation(generation)
        return generation

    # --- what is left of a session that was lost ------------------------------------------------

    def token(self, index: int) -> bytes:
        """As it is told with an index."""
        return self.tokens.of(index, self._period())

    def _period(self) -> int:
        return wire.reset_period(wire.tai64n(time.time_ns()))

    def handle_unknown(self, index: int, path: Path) -> None:
        path.send(self.tokens.message(index, self._period()))
        self.resets += 1

    # --- control messages ---------------------------------------------------------------------

    def handle(self, arrival: Arrival) -> None:
        session, newest = self.session, arrival.generation
        assert session is not None
        if arrival.message.name != "DATA" and newest is session.generations[-1] is not session.current:
            newest.bindings[0].path = session.binding.path  # confirmed: we send with the new key, too
            session.use(newest, newest.bindings[0])
        super().handle(arrival)
        if answer := getattr(self, f"_on_{arrival.message.name.lower()}", None):
            answer(session, arrival, arrival.message)

    def _offered(self, generation: Generation) -> dict[int, int]:
        """Spares with numbers above that of the binding in use, filled up to SPARES."""
        assert self.session is not None
        used = self.session.binding.number if generation is self.session.current else 0
        for number in range(max(generation.bindings) + 1, used + SPARES + 1):
            generation.add(number, new_index(), 0)
        return {number: each.local for number, each in generation.bindings.items() if number > used}

    def _packed(self, generation: Generation) -> bytes:
        return wire.pack_spares(self._offered(generation), self.token)

    def _on_rekey_initiation(self, session: Session, arrival: Arrival, message: wire.Message) -> None:
        old = arrival.generation
        handshake = noise.Handshake(session.suite, noise.rekey_prologue(session.id, old.number, message.raw[:12]),
                                    self.static, noise.rekey_psk(old.chain, self.psk))
        payload = wire.REKEY_INITIATION_PAYLOAD.unpack(handshake.read(message.noise))
        if old is not session.current or payload.number <= self.rekeyed_to:
            return
        self.rekeyed_to = payload.number
        index, spares = new_index(), [new_index() for _ in range(SPARES)]
        plaintext = wire.REKEY_RESPONSE_PAYLOAD.pack(
            version=1, suite=session.suite, lanes=self.lanes, clock_ms=now_us() // 1000,
            reset_token=self.token(index), spares=wire.pack_spares(dict(enumerate(spares, 1)), self.token))
        clear = wire.control("REKEY_RESPONSE", wire.CRITICAL_MESSAGE, sender=index, receiver=message.sender)[:16]
        handshake.mix_hash(clear)
        noise_message = handshake.write(plaintext)
        self._found(session, handshake, old.number + 1, payload.lanes, index, message.sender, spares)
        session.send_plaintext(clear + noise_message)

    def _on_new_indices(self, session: Session, arrival: Arrival, message: wire.Message) -> None:
        for number in wire.parse_spares(message.spares):
            if number != arrival.binding.number:
                arrival.generation.bindings.pop(number, None)
        session.send("NEW_INDICES", spares=self._packed(arrival.generation))

    def _on_idle(self, session: Session, _: Arrival, message: wire.Message) -> None:
        session.send("IDLE", binding_version=message.binding_version,
                     interval_ms=min(message.interval_ms, POLICY["idle_max"]))

    def _on_mtu_probe(self, session: Session, arrival: Arrival, message: wire.Message) -> None:
        arrival.binding.remote = message.receiver
        answer = wire.control("MTU_ACK", nonce=message.nonce)
        session.send_plaintext(wire.padded(answer, len(message.raw)), on=arrival)

    # --- paths --------------------------------------------------------------------------------

    def _token(self, arrival: Arrival, nonce: int) -> bytes:
        return noise.cmac(self.secret, repr((arrival.path.remote, arrival.binding.local, nonce)).encode())

    def _on_path_probe(self, session: Session, arrival: Arrival, message: wire.Message) -> None:
        arrival.binding.remote = message.receiver
        answer = wire.control("PATH_CHALLENGE", nonce=message.nonce, echo_us=message.clock_us,
                              token=self._token(arrival, message.nonce))
        session.send_plaintext(wire.padded(answer, len(message.raw)), on=arrival)

    def _on_path_response(self, _: Session, arrival: Arrival, message: wire.Message) -> None:
        if message.token == self._token(arrival, message.nonce):
            self.warm.add((arrival.path.remote, arrival.binding.local))

    def _on_reattach_request(self, session: Session, arrival: Arrival, message: wire.Message) -> None:
        fresh = message.nonce > self.highest_nonce and message.session_id == session.id
        if arrival.binding is session.binding or arrival.generation is not session.current or not fresh:
            return
        self.highest_nonce = message.nonce
        reported = wire.fields_behind(message).get(wire.RECEIVED_FIELD)
        self.reports = None if reported is None else wire.parse_reports(reported)
        arrival.binding.remote = message.receiver
        if message.binding_version != session.binding_version:
            self._reject(session, arrival, FRESHNESS_INVALID, STALE_VERSION)
        elif self.refuses_jumps:
            self._reject(session, arrival, POLICY_DENY, CANDIDATE_REFUSED)
        elif (arrival.path.remote, arrival.binding.local) in self.warm:
            self._commit(session, arrival)
        else:
            session.send("REATTACH_CHALLENGE", on=arrival, nonce=message.nonce,
                         token=self._token(arrival, message.nonce))

    def _on_reattach_response(self, session: Session, arrival: Arrival, message: wire.Message) -> None:
        if message.token == self._token(arrival, message.nonce) and arrival.binding is not session.binding:
            self._commit(session, arrival)

    def _reject(self, session: Session, arrival: Arrival, reason: int, detail: int) -> None:
        session.send("REATTACH_REJECT", on=arrival, nonce=arrival.message.nonce, reason=reason, detail=detail,
                     binding_version=session.binding_version, clock_ms=now_us() // 1000,
                     spares=self._packed(arrival.generation))

    def _commit(self, session: Session, arrival: Arrival) -> None:
        binding: Binding = arrival.binding
        binding.path = arrival.path
        session.use(session.current, binding)
        session.binding_version += 2
        session.send("REATTACH_ACK", nonce=arrival.message.nonce, binding_version=session.binding_version,
                     clock_ms=now_us() // 1000, sender=binding.local,
                     spares=self._packed(session.current))
