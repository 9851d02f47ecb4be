#!/usr/bin/env python3
"""`jvpn up` and `jvpn down` as a user has them: the gateway by its name, whose address changes; name servers of the
tunnel; the kill switch while the path is down, after kill -9 and between two runs; plain words when it doesn't work.

The client's host has a name server of its own (127.0.0.1:53 in its namespace), which answers what a file says, and a
`resolvconf` on PATH that keeps records in a folder. Topology: jvpn_lab/topology.py.
"""
import contextlib
import difflib
import json
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

from e2e import (CLIENT, GATEWAY, LAB_DIR, SERVER4, active_link, bounded, faults, in_namespace, in_ns, info, ip, log_of,
                 pings, program, require_within, scenario, spawn, start_gateway, step)

NAME = "vpn.lab"
NETNS = Path("/etc/netns/jvpn-client")  # files that `ip netns exec` puts over those of /etc
ADDRESS = LAB_DIR / "address"  # what the name server says
RECORDS = LAB_DIR / "records"  # of the resolvconf
PID = Path("/run/jvpn", str(LAB_DIR / "client.yaml")[1:].replace("/", "-") + ".pid")
POLICY = """version: 1, switching: {max_recovery_window_ms: 20000},
  volatility: {heartbeat_interval_ms: 200, heartbeat_volatile_ms: 500, transport_dead_ms: 1000}"""
_SERVER = """
import socket, sys
ours = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
ours.bind(("127.0.0.1", 53))
print("ready", flush=True)
while True:
    question, who = ours.recvfrom(512)
    end = question.index(0, 12) + 5
    kind = int.from_bytes(question[end - 4:end - 2], "big")
    answer = b""
    if kind == 1:
        address = socket.inet_aton(open(sys.argv[1]).read().strip())
        answer = bytes.fromhex("c00c00010001000000000004") + address
    ours.sendto(question[:2] + bytes.fromhex("81800001") + bytes([0, 1 if answer else 0]) + bytes(4) +
                question[12:end] + answer, who)
"""
_RESOLVCONF = """#!/bin/sh
# Keeps each record in a file, as resolvconf(8) does.
case $1 in
  -a) cat > "{records}/$2" ;;
  -d) rm -f "{records}/$2" ;;
  *) exit 2 ;;
esac
"""


def jvpn(*words: object, seconds: float = 60):
    """`jvpn WORDS` on the client's host, with its PATH."""
    path = f"{LAB_DIR}/bin:{os.environ['PATH']}"
    return bounded(seconds, *in_namespace("client", "env", f"PATH={path}", program("jvpn"), *words))


def up(*words: object):
    return jvpn("up", LAB_DIR / CLIENT.profile, *words)


def down():
    return jvpn("down", LAB_DIR / CLIENT.profile)


def write_host(endpoints_of_name: str) -> None:
    """The name server, the resolvconf, and what the profile has beside the lab's."""
    RECORDS.mkdir()
    (LAB_DIR / "bin").mkdir()
    fake = LAB_DIR / "bin/resolvconf"
    fake.write_text(_RESOLVCONF.format(records=RECORDS))
    fake.chmod(0o755)
    ADDRESS.write_text(endpoints_of_name)
    NETNS.mkdir(parents=True)
    (NETNS / "resolv.conf").write_text("nameserver 127.0.0.1\n")
    spawn("names", "client", "python3", "-c", _SERVER, ADDRESS)
    require_within(5, lambda: "ready" in log_of("names").read_text(), "the name server did not start")
    profile = LAB_DIR / CLIENT.profile
    profile.write_text(profile.read_text() + "kill_switch: true\ndns: {servers: [10.99.0.2], domains: [corp.lab]}\n")


@contextlib.contextmanager
def brought_down() -> Iterator[None]:
    try:
        yield
    finally:
        down()
        shutil.rmtree(NETNS, ignore_errors=True)
        with contextlib.suppress(OSError):
            NETNS.parent.rmdir()


def state_of_host() -> str:
    said = [ip("client", words) for words in ("rule show", "-6 rule show", "route show table all",
                                              "-6 route show table all", "-o link show")]
    said.append(in_ns("client", "nft", "list", "ruleset"))
    return "\n".join(sorted("".join(said).splitlines()))  # a link that comes again puts its routes elsewhere


def as_before(before: str) -> bool:
    """Prints what differs."""
    now = state_of_host()
    for line in difflib.unified_diff(before.splitlines(), now.splitlines(), lineterm="", n=0):
        info(line)
    return now == before


def plain() -> bool:
    """A packet that isn't the tunnel's reaches the gateway's outside address on wan1."""
    return bounded(10, *in_namespace("client", "ping", "-c1", "-W1", "198.51.100.1")).returncode == 0


def pid() -> int:
    return int(PID.read_text().split()[0])


def attendant() -> list[int]:
    """Children of the client that are named so."""
    found = bounded(5, "pgrep", "-P", pid(), "-f", "jvpn-client").stdout.split()
    return [int(each) for each in found]


with scenario(300) as s, brought_down():
    step("Lab, gateway, a name for it")
    s.prepare(policy=POLICY, endpoints=f'"{NAME}:51900"')
    write_host("192.0.2.1")
    start_gateway()
    s.expect("plain traffic passes before", plain, within=10)
    before = state_of_host()

    step("jvpn up")
    done = up()
    s.expect(f"exit 0: {done.stdout.strip()}", done.returncode == 0)
    s.expect("it says where it is", "client is up: jvpn0 10.77.0.2/32" in done.stdout and "192.0.2.1:51900" in done.stdout)
    s.expect("the server answers inside", pings("client", SERVER4))
    s.expect("the tunnel's name servers are set",
             [path.read_text() for path in RECORDS.iterdir()] == ["nameserver 10.99.0.2\nsearch corp.lab\n"])
    s.expect("its attendant has no capability but one",
             lambda: all("CapPrm:\t0000000000001000" in Path(f"/proc/{each}/status").read_text() for each in attendant()))
    s.expect("and is there", len(attendant()) == 1)
    s.expect("plain traffic passes no more", not plain())
    s.expect("the tunnel's device is left alone: no other address", "fe80" not in ip("client", "addr show jvpn0"))
    s.expect("a second up says that it is up", up().returncode == 0)
    s.note()

    step("The gateway moves: the name has another address")
    ADDRESS.write_text("198.51.100.1")
    faults.cut("wan0", "down")
    s.expect("the session goes on there", lambda: CLIENT.attached() and active_link() == "wan1", within=30)
    s.expect("as the same session", s.noted.same)
    s.expect("the server answers inside", pings("client", SERVER4))
    s.expect("the old address has no rule any more", "192.0.2.1" not in ip("client", "rule show"))
    s.expect("plain traffic passes no more", not plain())
    faults.heal("wan0")

    step("The path is down, and the client is killed")
    GATEWAY.stop(signal.SIGKILL)
    s.expect("without a gateway no plain traffic", not plain())
    os.kill(pid(), signal.SIGKILL)
    s.expect("its attendant has set the name servers back", lambda: not list(RECORDS.iterdir()), within=15)
    s.expect("after kill -9 no plain traffic", not plain())

    step("No gateway: up says why, and leaves nothing")
    done = up("--wait", 15)
    s.expect(f"exit 1: {done.stdout.strip()}", done.returncode == 1)
    s.expect("no answer", "no answer from 198.51.100.1:51900" in done.stdout)
    s.expect("the host is as before", as_before(before))
    s.expect("plain traffic finds its way again (nobody answers)", "dev wan1" in in_ns("client", "ip", "route", "get", "198.51.100.1"))

    step("Another preshared key, no name, no profile")
    start_gateway()
    key = LAB_DIR / "keys/shared.psk"
    right = key.read_text()
    key.write_text(bounded(5, program("jvpn"), "genpsk").stdout)
    done = up("--wait", 15)
    s.expect(f"the preshared key differs: {done.stdout.strip()}",
             done.returncode == 1 and "the preshared key differs" in done.stdout)
    key.write_text(right)
    done = jvpn("up", "nobody")
    s.expect(f"no profile: {done.stdout.strip()}", done.returncode == 2 and "/etc/jvpn/nobody.yaml" in done.stdout)

    step("Killed with its attendant; the next run sets back what both left")
    s.expect("up", up().returncode == 0)
    for each in [*attendant(), pid()]:
        os.kill(each, signal.SIGKILL)
    s.expect("the record stays", len(list(RECORDS.iterdir())) == 1)
    s.expect("up again", up().returncode == 0)
    s.expect("the server answers inside", pings("client", SERVER4))
    shown = json.loads(jvpn("--socket", CLIENT.socket, "--json", "show").stdout)
    s.expect("show tells of the kill switch and the name servers",
             shown["interface"]["kill_switch"] and shown["interface"]["dns"] == "set" and shown["troubles"] == [])

    step("jvpn down")
    done = down()
    s.expect(f"exit 0: {done.stdout.strip()}", done.returncode == 0)
    s.expect("no name server of the tunnel's is left", not list(RECORDS.iterdir()))
    s.expect("the host is as before", as_before(before))
    s.expect("plain traffic passes", plain, within=10)
    s.expect("down again finds nothing", "was not up" in down().stdout)
    for left in ("client.pid", "dns.jvpn0", "resolv.jvpn0"):
        s.expect(f"no /run/jvpn/{left}", not Path("/run/jvpn", left).exists())
