"""What the scenarios beside it share. They need Debian's own python3, for which the packages are."""
import base64
from collections.abc import Callable

from node import Node, inside, udp_socket  # noqa: F401  (first: it finds jvpn_lab)

from initiator import Initiator
from jvpn_lab.processes import LAB_DIR
from jvpn_lab.scenario import *  # noqa: F403
from jvpn_lab.scenario import GATEWAY, Scenario


def key_file(name: str) -> bytes:
    return base64.b64decode((LAB_DIR / "keys" / name).read_text())


def python_client(**changes: object) -> Initiator:
    """The lab's client as the gateway knows it, but for the changes."""
    keys = {"private": key_file("client.key"), "psk": key_file("shared.psk"), "gateway": key_file("gateway.pub")}
    return Initiator(**keys | changes)


def changed(message: bytes, at: int) -> bytes:
    """One bit of it is another."""
    other = bytearray(message)
    other[at] ^= 1
    return bytes(other)


def event(*words: str) -> Callable[[], int]:
    """How many events of the gateway have these words in that order."""
    return lambda: GATEWAY.told(".*".join(f'"{word}"' for word in words))


def drop(name: str) -> Callable[[], int]:
    return lambda: GATEWAY.drops(name)


def counter(name: str) -> Callable[[], int]:
    """Of the gateway's control core."""
    return lambda: GATEWAY.show()["control"][name]


def follows(s: Scenario, node: Node, what: str, count: Callable[[], int], act: Callable[[], object]) -> None:
    """That the count rises because of what is done."""
    before = count()
    act()
    s.expect(what, lambda: node.until(lambda: count() > before))
