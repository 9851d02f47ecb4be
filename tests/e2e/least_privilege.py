#!/usr/bin/env python3
"""Both programs give up, once they have started, what they don't need: every thread's capabilities, system calls, and
the way to more. They work on without: traffic, a reload, a jump, an orderly end that leaves nothing on the interfaces.

  jvpn-client ══ wan0, wan1, wan2 ══ jvpn-gw ── jvpn-lan      (jvpn_lab/topology.py)
"""
import signal
from pathlib import Path

from e2e import CLIENT, GATEWAY, SERVER4, Program, ip, pings, processes, scenario, step

# linux/capability.h
CAP_NET_ADMIN, CAP_NET_RAW, CAP_IPC_LOCK, CAP_BPF = 12, 13, 14, 39
KEPT = {GATEWAY: (CAP_NET_ADMIN, CAP_IPC_LOCK, CAP_BPF), CLIENT: (CAP_NET_ADMIN, CAP_NET_RAW, CAP_IPC_LOCK)}


def threads(end: Program) -> list[dict[str, str]]:
    """What the kernel says of each of its threads, proc_pid_status(5)."""
    tasks = Path(f"/proc/{processes.pid_of(end.name)}/task").iterdir()
    return [dict(line.split(":\t", 1) for line in (task / "status").read_text().splitlines() if ":\t" in line)
            for task in tasks]


def reduced(end: Program) -> bool:
    kept = sum(1 << number for number in KEPT[end])
    return all(int(thread["CapPrm"], 16) | kept == kept and thread["Seccomp"] == "2" and thread["NoNewPrivs"] == "1"
               for thread in threads(end))


def attached_programs() -> int:
    return ip("gw", "-d link").count("prog/xdp")


with scenario(120) as s:
    s.session()
    s.expect("the gateway has more than one thread", len(threads(GATEWAY)) > 3)
    for end in (GATEWAY, CLIENT):
        s.expect(f"no thread of {end.name} has more than it needs", lambda end=end: reduced(end))
    s.expect("traffic flows", pings("client", SERVER4))
    s.expect("programs are attached to the gateway's interfaces", attached_programs() > 0)

    step("A reload, and a jump")
    GATEWAY.jvpn("reload")
    CLIENT.jvpn("jump", "--underlay", "wan1")
    s.expect("the client jumped", lambda: CLIENT.switches() == 1, within=10)
    s.expect("traffic flows", pings("client", SERVER4))

    step("SIGTERM to both")
    for end in (CLIENT, GATEWAY):
        processes.send(end.name, signal.SIGTERM)
        s.expect(f"{end.name} ends", lambda end=end: processes.ended(end.name), within=5)
        s.expect("with exit code 0", processes.exit_code(end.name) == 0)
        s.expect("nothing was refused to it", "not permitted" not in end.log.read_text())
    s.expect("no program stays at the gateway's interfaces", attached_programs() == 0)
