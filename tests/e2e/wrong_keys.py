#!/usr/bin/env python3
"""A wrong public key, a key that the gateway doesn't know and a wrong preshared key are named by those who can mend
them.

  jvpn-client (three wrong profiles, one after the other) ══ jvpn-gw ── jvpn-lan    (jvpn_lab/topology.py)
"""
from e2e import CLIENT, GATEWAY, logged, program, run, scenario, start_gateway, step
from jvpn_lab.processes import LAB_DIR

KEYS = LAB_DIR / "keys"


def new_key(command: str, name: str) -> str:
    """A fresh key in a file of its own; its public key, when it has one."""
    path = KEYS / name
    path.touch(mode=0o600)
    text = run(program("jvpn"), command)
    path.write_text(text)
    return run(program("jvpn"), "pubkey", text=text).strip() if command == "genkey" else ""


def tried_with(old: str, new: str) -> None:
    profile = LAB_DIR / CLIENT.profile
    right = profile.read_text()
    assert old in right
    profile.write_text(right.replace(old, new))
    CLIENT.start()
    profile_restored.append((profile, right))


profile_restored: list = []


def put_right() -> None:
    CLIENT.stop()
    for profile, text in profile_restored:
        profile.write_text(text)
    profile_restored.clear()


with scenario(120) as s:
    s.prepare()
    start_gateway()
    gateway_key = (KEYS / "gateway.pub").read_text().strip()

    step("The gateway's public key is wrong")
    tried_with(gateway_key, new_key("genkey", "other-gateway.key"))
    s.expect("the client names the key", lambda: logged(CLIENT.name, "no answer from .*gateway.public_key"), within=20)
    s.expect("the gateway says what it dropped", lambda: logged(GATEWAY.name, "addressed to another key"), within=5)
    s.expect("and counts it", lambda: GATEWAY.drops("bad_mac") >= 3)
    put_right()

    step("The gateway doesn't know the client's key")
    new_key("genkey", "other-client.key")
    tried_with("client.key", "other-client.key")
    s.expect("the client says where to look", lambda: logged(CLIENT.name, "no answer from .*this client's public key"),
             within=20)
    s.expect("the gateway says so, too", lambda: logged(GATEWAY.name, "public key that no peer has"), within=5)
    s.expect("and its events", lambda: GATEWAY.told('"detail":"unknown_key"') >= 1, within=5)
    put_right()

    step("The preshared keys differ")
    new_key("genpsk", "other.psk")
    tried_with("shared.psk", "other.psk")
    s.expect("the client names it", lambda: logged(CLIENT.name, "the preshared key differs"), within=10)
    s.expect("the gateway names the peer", lambda: logged(GATEWAY.name, "peer 0: .* preshared key differs"), within=15)
    s.expect("and its events", lambda: GATEWAY.told('"detail":"not_confirmed"') >= 1, within=5)
    put_right()

    step("All right")
    CLIENT.start()
    s.expect("attached", lambda: CLIENT.attached() and GATEWAY.attached(), within=20)
    s.expect("nothing more is said", logged(CLIENT.name, "check that|differs") == 0)
