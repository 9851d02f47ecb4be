"""What goes through the tunnel to see that it works: pings, iperf3, and a transfer that is watched."""
import json
import signal
import sys
from pathlib import Path
from typing import Any

from jvpn_lab import processes
from jvpn_lab.console import Failure, info
from jvpn_lab.processes import in_namespace, spawn
from jvpn_lab.run import bounded, require_within, wait_for
from jvpn_lab.settings import CLIENT4, SERVER4
from jvpn_lab.topology import exists, in_ns

_TRANSFER_PORT = 7003
_NUMBERED_PORT = 7004
_NUMBERED = [sys.executable, Path(__file__).with_name("numbered.py")]
_NUMBERED_ENDS = {"client": (CLIENT4, SERVER4), "lan": (SERVER4, CLIENT4)}
_TRANSFER = [sys.executable, Path(__file__).with_name("transfer.py")]


def listens(host: str, port: int, kind: str = "t") -> bool:
    """Kind: t for TCP, u for UDP."""
    return bool(in_ns(host, "ss", f"-{kind}lnH", f"sport = :{port}").strip())


def pings(host: str, address: str, count: int = 10) -> bool:
    """All of them answered, none twice."""
    words = f"ping -n -q -c {count} -i 0.05 -W 2 {address}".split()
    said = bounded(30 + count / 20, *in_namespace(host, *words)).stdout
    return " 0% packet loss" in said and "duplicates" not in said


def record(name: str, host: str, interface: str, file: Path, *options: str) -> None:
    """Starts tcpdump there; processes.stop(name, SIGINT) ends it."""
    spawn(name, host, "tcpdump", "-i", interface, "-n", "-Z", "root", "-w", file, *options)
    require_within(10, lambda: processes.logged(name, "listening on"), f"tcpdump on {interface} did not start")


def start_iperf_server() -> None:
    spawn("iperf3-server", "lan", "iperf3", "-s", "-1")
    require_within(5, lambda: listens("lan", 5201), "the iperf3 server did not start")


def iperf(seconds: int, address: str = SERVER4, *options: str, margin: int = 15) -> float:
    """A TCP run between client and server; what arrived, in Gbit/s."""
    start_iperf_server()
    words = f"iperf3 -J -c {address} -t {seconds} --connect-timeout 5000".split()
    done = bounded(seconds + margin, *in_namespace("client", *words, *options))
    processes.stop("iperf3-server")
    try:
        return json.loads(done.stdout)["end"]["sum_received"]["bits_per_second"] / 1e9
    except (ValueError, KeyError):
        raise Failure(f"iperf3 failed: {done.stdout.strip()[-500:]}") from None


def iperf_moves(seconds: int, address: str, *options: str) -> bool:
    """A TCP run moves data; says how much."""
    gbps = iperf(seconds, address, *options)
    info(f"{gbps * 1000:.0f} Mbit/s")
    return gbps > 0


def start_transfer(mib: int, seconds: int) -> None:
    """Random bytes from the client, or the host behind the second gateway, to the server, at a steady pace; it ends
    earlier by transfer_finishes()."""
    limit = str(seconds + 60)
    spawn("transfer-receiver", "lan", *_TRANSFER, "receive", str(_TRANSFER_PORT), limit)
    require_within(5, lambda: listens("lan", _TRANSFER_PORT), "the receiver of the transfer did not start")
    spawn("transfer-sender", "client" if exists("client") else "lan2", *_TRANSFER, "send", SERVER4,
                    str(_TRANSFER_PORT), str(mib), str(seconds), limit)
    require_within(10, lambda: received() > 0, "the transfer did not start")


def transfer_result(end: str) -> dict[str, Any]:
    """The last line that the sender or the receiver printed; empty when it has printed none."""
    lines = processes.log_of(f"transfer-{end}").read_text(errors="replace").splitlines()
    try:
        return json.loads(lines[-1])
    except (ValueError, IndexError):
        return {}


def received() -> int:
    return transfer_result("receiver").get("bytes", 0)


def transfer_goes_on(seconds: float) -> bool:
    """More bytes arrive within that time."""
    before = received()
    return wait_for(seconds, lambda: received() > before)


def transfer_finishes(seconds: float = 60) -> bool:
    """No more is sent; what was sent arrives within that time, with the same SHA-256 at both ends."""
    processes.send("transfer-sender", signal.SIGUSR1)
    if not wait_for(seconds, lambda: processes.ended("transfer-receiver")):
        return False
    if not wait_for(5, lambda: processes.ended("transfer-sender")):
        return False
    sums = [transfer_result(end).get("sha256") for end in ("sender", "receiver")]
    return sums[0] is not None and sums[0] == sums[1]


def transfer_summary() -> str:
    result = transfer_result("receiver")
    if "sha256" not in result:
        return f"{received()} bytes, and no end"
    return (f"SHA-256 {result['sha256'][:12]}… of {result['bytes']} bytes; "
            f"longest pause {result['longest_pause_ms']} ms, {result['pause_began_ms']} ms after the start")


def start_numbered(rate: int, limit_s: int) -> None:
    """Numbered datagrams both ways between client and server, so many a second each."""
    for host, ends in _NUMBERED_ENDS.items():
        spawn(f"numbered-{host}", host, *_NUMBERED, *ends, str(_NUMBERED_PORT), str(rate), str(limit_s))
    require_within(10, lambda: all(processes.logged(f"numbered-{host}", "{") for host in _NUMBERED_ENDS),
                   "the numbered flow did not start")


def numbered_loss() -> dict[str, dict[str, int]]:
    """Ends the flow: what was sent, lost, came twice and came after a higher number, up and down."""
    for host in _NUMBERED_ENDS:
        processes.send(f"numbered-{host}", signal.SIGUSR1)
    require_within(15, lambda: all(processes.ended(f"numbered-{host}") for host in _NUMBERED_ENDS),
                   "the numbered flow did not end")
    client, lan = (json.loads(processes.log_of(f"numbered-{host}").read_text().splitlines()[-1])
                   for host in _NUMBERED_ENDS)
    return {way: {"sent": source["sent"], "lost": source["sent"] - sink["received"], "twice": sink["twice"],
                  "late": sink["late"]}
            for way, source, sink in (("up", client, lan), ("down", lan, client))}
