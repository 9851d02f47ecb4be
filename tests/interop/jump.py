"""Probing and moving to other paths, as the initiator does (docs/PROTOCOL.md, reattach)."""
from typing import Any

import wire
from initiator import Initiator
from session import Arrival, Binding, Path, new_index, now_us

DEAD, PLANNED, REBIND = 1, 2, 5


def open_path(client: Initiator, path: Path) -> Binding:
    """The lowest spare is that path's from now on."""
    assert client.session is not None
    generation = client.session.current
    number = min(generation.spares)
    return generation.add(number, new_index(), generation.spares.pop(number), path)


def ask_for_spares(client: Initiator, given_back: dict[int, int]) -> dict[int, int] | None:
    """NEW_INDICES; the answer is all that the responder offers now."""
    assert client.session is not None
    client.session.send("NEW_INDICES", spares=wire.pack_spares(given_back))
    answer = client.take("NEW_INDICES")
    if answer is None:
        return None
    client.session.current.tokens |= wire.parse_tokens(answer.message.spares)
    return wire.parse_spares(answer.message.spares)


def request(client: Initiator, binding: Binding, **changes: Any) -> bytes:
    """Sends REATTACH_REQUEST; returns the datagram."""
    session = client.session
    assert session is not None and binding.path is not None
    client.nonce += 1
    values = {"session_id": session.id, "nonce": client.nonce, "clock_ms": now_us() // 1000 + client.clock_ahead_ms,
              "binding_version": session.binding_version, "receiver": binding.local, "lanes": client.lanes,
              "retire_active": 1, "cause": PLANNED}
    return session.send("REATTACH_REQUEST", binding=binding, **values | changes)


def outcome(client: Initiator, seconds: float = 3) -> Arrival | None:
    """The next answer to a request."""
    def found() -> Arrival | None:
        assert client.session is not None
        while client.session.arrived:
            arrival = client.session.arrived.popleft()
            if arrival.message.name.startswith("REATTACH_"):
                return arrival
        return None
    return client.until(found, seconds)


def prove(client: Initiator, challenge: Arrival, binding: Binding, **changes: Any) -> bytes:
    assert client.session is not None
    values = {"nonce": challenge.message.nonce, "token": challenge.message.token}
    return client.session.send("REATTACH_RESPONSE", binding=binding, **values | changes)


def commit(client: Initiator, ack: Arrival, binding: Binding) -> None:
    """The binding carries everything from here on; lower spares are void."""
    session = client.session
    assert session is not None
    session.binding_version = ack.message.binding_version
    session.use(session.current, binding)
    session.current.tokens |= wire.parse_tokens(ack.message.spares)
    session.current.spares = {number: index for number, index in wire.parse_spares(ack.message.spares).items()
                              if number > binding.number}
    client.heartbeat()


def jump(client: Initiator, binding: Binding, **changes: Any) -> list[str]:
    """A whole jump; the names of the answers that came."""
    names = []
    request(client, binding, **changes)
    while answer := outcome(client):
        names.append(answer.message.name)
        if answer.message.name == "REATTACH_CHALLENGE":
            prove(client, answer, binding)
            continue
        if answer.message.name == "REATTACH_ACK":
            commit(client, answer, binding)
        break
    return names


def probe(client: Initiator, binding: Binding, length: int) -> bool:
    """PATH_PROBE, PATH_CHALLENGE, PATH_RESPONSE, all of that length: the path is warm at the responder."""
    session = client.session
    assert session is not None
    client.nonce += 1
    first = wire.control("PATH_PROBE", nonce=client.nonce, clock_us=now_us(), receiver=binding.local,
                         lanes=client.lanes)
    session.send_plaintext(wire.padded(first, length), binding=binding)
    challenge = client.take("PATH_CHALLENGE", nonce=client.nonce)
    if challenge is None or len(challenge.message.raw) != length or challenge.binding is not binding:
        return False
    last = wire.control("PATH_RESPONSE", nonce=client.nonce, token=challenge.message.token, receiver=binding.local)
    session.send_plaintext(wire.padded(last, length), binding=binding)
    return True


def mtu_probe(client: Initiator, binding: Binding, length: int, path_mtu: int = 0) -> bool:
    """One MTU_PROBE as long as an inner packet of that size, answered at the same length."""
    assert client.session is not None
    client.nonce += 1
    plaintext = wire.control("MTU_PROBE", nonce=client.nonce, receiver=binding.local, path_mtu=path_mtu)
    client.session.send_plaintext(wire.padded(plaintext, length), binding=binding)
    answer = client.take("MTU_ACK", nonce=client.nonce)
    return answer is not None and len(answer.message.raw) == length
