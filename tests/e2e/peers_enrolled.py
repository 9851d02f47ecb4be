#!/usr/bin/env python3
"""`jvpn peer add` enrols a client while another one's traffic runs: it imports its bundle and gets through. Disabled or
removed it is refused. 100 peers come and go, `jvpn sync` and `jvpn reload` run, and the first client loses no packet.

  jvpn-client  laptop ─┐
  jvpn-client2 comer  ─┴─ wan0 ── jvpnd ── lan      (jvpn_lab/topology.py); the second one's network is 10.98.0.0/24
"""
import json
import re
import time

from e2e import (GATEWAY, LAB_DIR, Program, bounded, info, numbered_loss, pings, program, require_within, run, scenario,
                 spawn, start_dialler, start_gateway, start_numbered, start_transfer, step, transfer_finishes,
                 transfer_summary)

RATE = 1000  # numbered datagrams a second, each way
MANY = 100
COMER = Program("jvpn-client2", "client", "etc/comer.yaml")
INSIDE4 = "10.98.0.1"  # the gateway's own, in a network that the second client alone routes into its tunnel
BUNDLE = LAB_DIR / "comer.jvpn"


def write_profile() -> None:
    path = LAB_DIR / GATEWAY.profile
    text = path.read_text().replace('addresses: [10.99.0.1/24,', f'addresses: [10.99.0.1/24, {INSIDE4}/24,')
    text = text.replace("sessions: 64", f"sessions: {MANY + 64}")
    path.write_text(text + 'enrolment: {pool: [10.77.0.0/24, "fd77::/64"], routes: [10.98.0.0/24]}\n')


def peer(*words: object) -> dict:
    """`jvpn --json peer WORDS`; what it says, and how long it took."""
    begun = time.monotonic()
    told = json.loads(run(program("jvpn"), "--socket", GATEWAY.socket, "--json", "peer", *words))
    return told | {"took_ms": (time.monotonic() - begun) * 1000}


def sessions() -> dict[str, str]:
    return {each["peer"]: each["session_id"] for each in GATEWAY.show()["sessions"] if each["state"] == "ATTACHED"}


def start_comer() -> None:
    spawn(COMER.name, COMER.host, program("jvpn-client"), LAB_DIR / COMER.profile)


def refused() -> int:
    return GATEWAY.show()["control"]["handshakes_refused"]


with scenario(150) as s:
    step("Lab, gateway, one client under full traffic")
    s.prepare()
    write_profile()
    start_gateway()
    start_dialler()
    before = GATEWAY.session()
    start_numbered(RATE, 140)
    start_transfer(4000, 100)

    step("One command enrols a second client")
    added = peer("add", "comer", "--out", BUNDLE)
    info(f"{added['took_ms']:.0f} ms, read {added['read_ms']} ms, applied {added['applied_ms']} ms")
    s.expect("applied at once", added["applied"] and added["what"] == "added")
    s.expect("with the pool's next addresses", added["allowed_ips"] == ["10.77.0.3/32", "fd77::3/128"])
    s.expect("the bundle is its owner's alone", BUNDLE.stat().st_mode & 0o777 == 0o600)
    shown = run(program("jvpn-client"), "--import", BUNDLE, "--config-dir", LAB_DIR / "etc", "--device", "wan0")
    s.expect("the import says what to run", "jvpn up" in shown)
    # Two clients of one host: another device, another socket.
    profile = LAB_DIR / COMER.profile
    text = profile.read_text()
    s.expect("the profile names a device to be changed here", "{name: jvpn0}" in text)
    profile.write_text(text.replace("{name: jvpn0}", "{name: jvpn1}") + f"admin: {{socket: {COMER.socket}}}\n")
    start_comer()
    s.expect("it attaches", lambda: "comer" in sessions(), within=10)
    s.expect("its pings pass", pings("client", INSIDE4, 10))

    step("Disabled, enabled, removed")
    s.expect("disabled", peer("disable", "comer")["what"] == "disabled")
    count = refused()
    s.expect("it is out at once", "comer" not in sessions())
    s.expect("and refused", lambda: refused() >= count + 2, within=10)
    s.expect("enabled", peer("enable", "comer")["what"] == "enabled")
    s.expect("it attaches again", lambda: "comer" in sessions(), within=20)
    s.expect("its pings pass again", pings("client", INSIDE4, 10))
    s.expect("removed", peer("remove", "comer")["what"] == "removed")
    count = refused()
    s.expect("it is out at once", "comer" not in sessions())
    s.expect("and refused", lambda: refused() >= count + 2, within=10)
    COMER.stop()
    wrong = bounded(10, program("jvpn"), "--socket", GATEWAY.socket, "peer", "remove", "comer")
    s.expect("nobody of that name is left", wrong.returncode == 1 and "no such peer" in wrong.stdout)

    step(f"{MANY} peers come and go, one command each; sync and reload")
    took = []
    for number in range(MANY):
        took.append(peer("add", f"p{number}", "--out", s.work)["took_ms"])
    info(f"add: median {sorted(took)[MANY // 2]:.0f} ms, longest {max(took):.0f} ms")
    for number in range(MANY // 2):
        peer("remove", f"p{number}")
    for number in range(MANY // 2, MANY):
        (LAB_DIR / f"peers.d/p{number}.yaml").unlink()  # behind the gateway's back
    synced = json.loads(run(program("jvpn"), "--socket", GATEWAY.socket, "--json", "sync"))["reloaded"]["peers"]
    s.expect("sync removes what the files no longer have, and nothing else",
             synced == {"added": 0, "removed": MANY // 2, "changed": 0})
    again = json.loads(run(program("jvpn"), "--socket", GATEWAY.socket, "--json", "reload"))["reloaded"]["peers"]
    s.expect("then nothing differs", again == {"added": 0, "removed": 0, "changed": 0})

    step("The first client")
    after = GATEWAY.session()
    s.expect("its session was not touched", [after[key] for key in ("session_id", "state_version", "binding_version")]
             == [before[key] for key in ("session_id", "state_version", "binding_version")])
    for way, flow in numbered_loss().items():
        info(f"{way}: {flow}")
        s.expect(f"{way}: no packet lost, none twice", flow["lost"] == 0 and flow["twice"] == 0 and flow["sent"] > 5000)
    s.expect("its transfer has the right checksum", transfer_finishes)
    info(transfer_summary())
    s.expect_clean_audit()

    step("Without a gateway")
    GATEWAY.stop()
    alone = bounded(10, program("jvpn"), "--socket", GATEWAY.socket, "peer", "add", "later", "--out", s.work,
                    "--profile", LAB_DIR / GATEWAY.profile)
    s.expect("exit code 5 says that none runs", alone.returncode == 5 and "no gateway runs" in alone.stdout)
    start_gateway()
    require_within(5, GATEWAY.answers, "no gateway")
    s.expect("it has the peer when it starts", bool(re.search("later", run(
        program("jvpn"), "--socket", GATEWAY.socket, "peer", "list"))))
