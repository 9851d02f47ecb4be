#!/usr/bin/env python3
"""Both ends log their keys, two links are recorded from the handshake on, and tshark reads all of it: the pings inside,
beside each control message of both directions, before and after a jump and a rekey.

  jvpn-client ══ wan0, wan1 ══ jvpn-gw ── jvpn-lan        (jvpn_lab/topology.py)
"""
import signal
from collections import Counter
from pathlib import Path

from e2e import CLIENT, CLIENT4, GATEWAY, LAB_DIR, SERVER4, Failure, info, pings, planned_jump, processes, record, scenario, step
from jvpn_lab.dissector import tshark

FIELDS = ("jvp1.type", "jvp1.decrypted", "jvp1.control.type", "ip.src", "icmp.type", "_ws.expert.message")
LINKS = ("wan0", "wan1")
DATA, CONTROL = "4", "5"


def log_keys(node, path: Path) -> None:
    profile = LAB_DIR / node.profile
    text = profile.read_text()
    assert text.count("\ncrypto:\n") == 1, profile
    profile.write_text(text.replace("\ncrypto:\n", f"\ncrypto:\n  key_log_file: {path}\n"))


def read(pcap: Path, keys: Path) -> list[dict[str, str]]:
    done = tshark(pcap, "-Y", "jvp1", "-T", "fields", *(word for field in FIELDS for word in ("-e", field)), keys=keys.read_text())
    if done.returncode != 0:
        raise Failure(f"tshark: {done.stderr}")
    lines = [line.split("\t") for line in done.stdout.splitlines()]
    return [dict(zip(FIELDS, values)) for values in lines if len(values) == len(FIELDS)]  # others are what tshark says itself


def sealed(frames: list[dict[str, str]], *kinds: str) -> list[dict[str, str]]:
    return [frame for frame in frames if frame["jvp1.type"] in kinds]


with scenario(120) as s:
    step("Both ends name a key log")
    s.prepare(rekey_ms=3000)
    logs = {node: s.work / f"{node.profile}.keys" for node in (GATEWAY, CLIENT)}
    for node, path in logs.items():
        log_keys(node, path)
    for link in LINKS:
        record(f"tcpdump-{link}", "client", link, s.work / f"{link}.pcap", "-U", "--immediate-mode", "udp")
    s.start()
    for node, path in logs.items():
        s.expect(f"{path.name} is its owner's alone", path.stat().st_mode & 0o777 == 0o600)
        s.expect("it is shown", node.show()["key_log"] == str(path))
    s.expect("health tells of it", any(each["flag"] == "keys_logged" for each in GATEWAY.show()["health"]))

    step("Pings, a jump and a rekey")
    s.expect("pings", pings("client", SERVER4))
    planned_jump("wan1")
    s.expect("the session is rekeyed", lambda: CLIENT.session()["rekeys"] >= 1, within=10)
    s.expect("pings", pings("lan", CLIENT4))
    for link in LINKS:
        processes.stop(f"tcpdump-{link}", signal.SIGINT)

    step("tshark reads the recordings")
    both = s.work / "both.keys"
    both.write_text("".join(path.read_text() for path in logs.values()))
    frames = [frame for link in LINKS for frame in read(s.work / f"{link}.pcap", both)]
    opened = sealed(frames, DATA, CONTROL)
    s.expect("all data and control messages are decrypted", bool(opened) and all(frame["jvp1.decrypted"] for frame in opened))
    s.expect("nothing is wrong with them", not any(frame["_ws.expert.message"] for frame in frames if frame["jvp1.type"] != DATA))
    inside = Counter(frame["icmp.type"] for frame in sealed(frames, DATA))
    info(f"data by what is inside: {dict(inside)}; control: {dict(Counter(each['jvp1.control.type'] for each in opened))}")
    s.expect("the echo requests and replies inside are shown", inside["8"] >= 20 and inside["0"] >= 20)
    sources = {frame["ip.src"].split(",")[-1] for frame in sealed(frames, DATA) if frame["icmp.type"] == "8"}
    s.expect("with the addresses inside", {CLIENT4, SERVER4} <= sources)
    s.expect("heartbeats, the jump and the rekey are named", {"1", "2", "9", "12", "15", "16"}
             <= {frame["jvp1.control.type"] for frame in opened})
    alone = sealed([frame for link in LINKS for frame in read(s.work / f"{link}.pcap", logs[GATEWAY])], DATA)
    s.expect("the gateway's log alone opens all data", bool(alone) and all(frame["jvp1.decrypted"] for frame in alone))
