"""The lab: network namespaces on one machine, jvpnd and jvpn-client between them.

  jvpn-client                              jvpn-gw (jvpnd, DPDK)                     jvpn-lan
 ┌──────────────────────────┐        ┌──────────────────────────────┐        ┌────────────────────┐
 │ wan0 192.0.2.2/24        │────────│ wan0 192.0.2.1/24            │        │                    │
 │      2001:db8::2/64      │        │      2001:db8::1/64          │        │                    │
 │ wan1 198.51.100.2/24     │────────│ wan1 198.51.100.1/24         │  lan   │ lan 10.99.0.2/24   │
 │      2001:db8:1::2/64    │        │      2001:db8:1::1/64        │────────│     fd99::2/64     │
 │ wan2 203.0.113.2/24      │────────│ wan2 203.0.113.1/24          │        │ default via        │
 │      2001:db8:2::2/64    │        │      2001:db8:2::1/64        │        │   10.99.0.1        │
 │ jvpn0 10.77.0.2/32       │        │ lan  10.99.0.1/24, fd99::1/64│        │   fd99::1          │
 │       fd77::2/128        │        │                              │        │                    │
 └──────────────────────────┘        └──────────────────────────────┘        └────────────────────┘

The gateway's addresses belong to jvpnd: in the kernel its interfaces are up without any address and stay silent. jvpn0
is the client's tunnel, made by jvpn-client.

An emulated link goes through a namespace of its own, jvpn-netN, where nftables joins the two ends, or lab-link
(lab/link) with delay, jitter and more in between:

  jvpn-client wanN ──── client [jvpn-netN] gw ──── wanN jvpn-gw

add_attacker() makes such a link a segment with one more host, jvpn-attacker, on it; add_fallback() one with
jvpn-fallback, the host of the program of that name (fallback.py).

Settings(site=True): at the far end of the three links, all emulated, stands a second gateway that dials the first:

  jvpn-lan2 lan 10.88.0.2 ──── lan [jvpn-gw2: jvpnd] wan0, wan1, wan2 ════ [jvpn-gw: jvpnd] lan ──── jvpn-lan

Settings(cluster=True): a second gateway, whose addresses end in 3, stands beside the first on every network, and both
share three members of etcd (etcd.py). Each network has a bridge in a namespace of its own:

  jvpn-client wanN ──┬── wanN [jvpn-gw]  lan ──┬── lan jvpn-lan, to which 10.77.0.0/24 is on the link
         [jvpn-netN] └── wanN [jvpn-gw2] lan ──┘ [jvpn-netlan]
                          mgmt 10.66.0.1, .3 ── [jvpn-netmgmt] ── 10.66.0.10, .11, .12 jvpn-etcd0, 1, 2
"""
import os
import shutil
import subprocess
from pathlib import Path

from jvpn_lab import machine, processes
from jvpn_lab.console import Failure, show_tail, step, warn
from jvpn_lab.processes import LAB_DIR, in_namespace
from jvpn_lab.run import run
from jvpn_lab.settings import ETCD, LINKS, MANAGEMENT, OUTSIDE4, OUTSIDE6, ROUTING4, SERVER4, SERVER6, SITE4, SITE6, Settings

NAMESPACES = ("client", "gw", "lan", "gw2", "lan2", "attacker", "fallback", "net0", "net1", "net2", "netlan", "netmgmt",
              *ETCD)  # not all of them at once
FAULTS = LAB_DIR / "faults"
HUGEPAGES = 200  # for a gateway: the 384 MiB of its profile and a little for EAL
_HUGEPAGES_STATE = LAB_DIR / "hugepages"
NO_HUGEPAGES = LAB_DIR / "no-hugepages"

_SILENT = """net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1 net.ipv4.ip_forward=0"""
# A host that the lab addresses by hand: no autoconfiguration, no duplicate detection.
_HOST = """net.ipv6.conf.all.disable_ipv6=0 net.ipv6.conf.default.disable_ipv6=0
  net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0
  net.ipv6.conf.all.accept_ra=0 net.ipv6.conf.default.accept_ra=0
  net.ipv6.conf.all.keep_addr_on_down=1 net.ipv6.conf.default.keep_addr_on_down=1
  net.ipv6.conf.default.router_solicitations=0 net.ipv4.conf.all.rp_filter=2 net.ipv4.conf.default.rp_filter=2"""
_WIRE = """table netdev jvpn_wire {
  chain from_client { type filter hook ingress device client priority 0; fwd to "gw"; }
  chain from_gw { type filter hook ingress device gw priority 0; fwd to "client"; }
}"""


def in_ns(host: str, *command: str | Path, text: str | None = None) -> str:
    """A command that has to succeed in jvpn-HOST; returns what it said."""
    return run(*in_namespace(host, *command), text=text)


def ip(host: str, words: str) -> str:
    """`ip WORDS` about what is in jvpn-HOST."""
    return run("ip", "-n", f"jvpn-{host}", *words.split())


def exists(host: str) -> bool:
    return Path(f"/run/netns/jvpn-{host}").exists()


def net(link: str) -> str:
    """The namespace that an emulated link goes through."""
    return f"net{link.removeprefix('wan')}"


def emulated(link: str) -> bool:
    return exists(net(link))


def add_namespace(host: str) -> None:
    run("ip", "netns", "add", f"jvpn-{host}")
    ip(host, "link set lo up")
    in_ns(host, "sysctl", "-qw", *(_SILENT if host.startswith(("gw", "net")) else _HOST).split())


def _settle_end(host: str, interface: str) -> None:
    # DPDK takes packets as they are: with tx offload on, a veth hands over unfinished checksums and
    # segments larger than the MTU.
    in_ns(host, "ethtool", "-K", interface, "tx", "off")
    if host.startswith(("gw", "net")):
        ip(host, f"link set {interface} addrgenmode none")
    ip(host, f"link set {interface} up")


def add_veth(host: str, name: str, peer_host: str, peer_name: str, queues: int) -> None:
    """Two ends of one wire, both up."""
    end = f"numtxqueues {queues} numrxqueues {queues} mtu 1500"
    run(*f"ip link add {name} netns jvpn-{host} {end} type veth "
        f"peer name {peer_name} netns jvpn-{peer_host} {end}".split())
    _settle_end(host, name)
    _settle_end(peer_host, peer_name)


def wire(link: str) -> None:
    """The kernel hands every frame from one end of jvpn-netN to the other."""
    in_ns(net(link), "nft", "-f", "-", text=_WIRE)


def unwire(link: str) -> None:
    in_ns(net(link), "nft", "delete", "table", "netdev", "jvpn_wire")


def _add_link(link: str, far: str, settings: Settings) -> None:
    """Between the far host and the gateway, the same name at both ends."""
    if link not in settings.emulated:
        add_veth(far, link, "gw", link, settings.queues)
        return
    add_namespace(net(link))
    add_veth(far, link, net(link), "client", settings.queues)
    add_veth(net(link), "gw", "gw", link, settings.queues)
    wire(link)


def _add_addresses(host: str, interface: str, ipv4: str, ipv6: str) -> None:
    ip(host, f"address add {ipv4}/24 dev {interface}")
    ip(host, f"address add {ipv6}/64 dev {interface} nodad")


def _add_lan(host: str, gateway: str, ipv4: str, ipv6: str, queues: int) -> None:
    """A host behind a gateway, which is its router and has the address that ends in 1."""
    add_namespace(host)
    add_veth(host, "lan", gateway, "lan", queues)
    _add_addresses(host, "lan", ipv4, ipv6)
    ip(host, f"route add default via {ipv4.removesuffix('2')}1")
    ip(host, f"-6 route add default via {ipv6.removesuffix('2')}1")


def _add_bridge(host: str, *ends: str) -> None:
    """Joins interfaces of jvpn-HOST."""
    ip(host, "link add hub type bridge mcast_snooping 0")
    for end in ends:
        ip(host, f"link set {end} master hub")
    ip(host, "link set hub up")


def _add_routing_daemons() -> None:
    """Beside each gateway a kernel's device on the LAN, for a daemon that announces the gateway's port."""
    for host, address in ROUTING4.items():
        in_ns(host, "sysctl", "-qw", "net.ipv6.conf.lo.disable_ipv6=0", "net.ipv4.conf.all.arp_ignore=1")
        add_veth(host, "inside", "netlan", f"{host}-daemon", 1)
        ip(host, f"address add {address}/24 dev inside")
        ip("netlan", f"link set {host}-daemon master hub")


def _add_cluster(settings: Settings) -> None:
    """The second gateway's ends of all networks, and the network that both reach etcd by."""
    for link in LINKS:
        unwire(link)
        add_veth("gw2", link, net(link), "gw2", settings.queues)
        _add_bridge(net(link), "client", "gw", "gw2")
    add_namespace("netlan")
    add_namespace("lan")
    for host in ("gw", "gw2", "lan"):
        add_veth(host, "lan", "netlan", host, settings.queues)
    _add_bridge("netlan", "gw", "gw2", "lan")
    _add_addresses("lan", "lan", SERVER4, SERVER6)
    if settings.routed:
        _add_routing_daemons()
    else:
        ip("lan", "route add 10.77.0.0/24 dev lan")
        ip("lan", "-6 route add fd77::/64 dev lan")
    add_namespace("netmgmt")
    for host, address in (MANAGEMENT | ETCD).items():
        if host in ETCD:
            add_namespace(host)
        add_veth(host, "mgmt", "netmgmt", host, 1)
        ip(host, f"address add {address}/24 dev mgmt")
    _add_bridge("netmgmt", *MANAGEMENT, *ETCD)


def _add_segment(link: str, host: str, ipv4: str) -> None:
    """One more host on an emulated link that lab-link does not carry: a bridge joins all three."""
    machine.require_kernel("bridge")
    add_namespace(host)
    add_veth(host, link, net(link), host, 1)
    ip(host, f"address add {ipv4}/24 dev {link}")
    unwire(link)
    _add_bridge(net(link), "client", "gw", host)


def add_attacker(link: str, ipv4: str) -> None:
    """A host which sees what is meant for it, and floods."""
    _add_segment(link, "attacker", ipv4)


def add_fallback(link: str, ipv4: str) -> None:
    """The host that jvpn-fallback runs on."""
    _add_segment(link, "fallback", ipv4)


_lock: int | None = None
_ours = False


def lock(seconds: float = 600) -> None:
    """One lab at a time on a machine; held until this program ends. What is locked is /run itself, so that no file
    stays behind; no process that outlives us inherits it."""
    global _lock
    if _lock is not None:
        return
    descriptor = os.open("/run", os.O_RDONLY)
    # The program flock waits with a time limit; the lock belongs to the open file, which it shares with us.
    if subprocess.run(["flock", "-w", str(seconds), str(descriptor)], pass_fds=[descriptor]).returncode != 0:
        raise Failure("another lab is running on this machine")
    _lock = descriptor


def unlock() -> None:
    global _lock
    if _lock is not None:
        os.close(_lock)
        _lock = None


def up(settings: Settings) -> None:
    """Namespaces, links, hugepages. Undone by down()."""
    global _ours
    machine.require_kernel("netns", "veth", "tun", *(["bridge"] if settings.cluster else []))
    _ours = True
    down()
    for folder in (LAB_DIR, processes.PIDS, processes.LOGS, FAULTS):
        folder.mkdir(mode=0o700)
    pages = 2 * HUGEPAGES if settings.site or settings.cluster else HUGEPAGES
    if not machine.reserve_hugepages(pages, _HUGEPAGES_STATE):
        warn(f"the kernel can't give {pages} free 2 MiB pages: running without hugepages")
        NO_HUGEPAGES.touch()
    far = "gw2" if settings.site else "client"
    add_namespace("gw")
    add_namespace(far)
    for link in LINKS:
        _add_link(link, far, settings)
        if not settings.site:
            _add_addresses(far, link, OUTSIDE4[link], OUTSIDE6[link])
    if settings.cluster:
        add_namespace("gw2")
        return _add_cluster(settings)
    _add_lan("lan", "gw", SERVER4, SERVER6, settings.queues)
    if settings.site:
        _add_lan("lan2", "gw2", SITE4, SITE6, settings.queues)


def down() -> None:
    """Takes everything down that a lab of this or an earlier run has left. Safe to call at any time."""
    records = {path.name for path in processes.PIDS.glob("*")}
    first = [name for name in ("jvpn-client", "jvpnd2", "jvpnd") if name in records]  # who dials, to tell the gateway
    for name in first + sorted(records.difference(first)):
        processes.stop(name)
    for host in NAMESPACES:
        if exists(host):
            run("ip", "netns", "delete", f"jvpn-{host}")
    machine.restore_hugepages(_HUGEPAGES_STATE)
    shutil.rmtree(LAB_DIR, ignore_errors=True)


def clean_up(failed: bool, keep: bool = False) -> None:
    """The end of a program that may have brought the lab up: the ends of all logs when it failed; the lab goes."""
    if not _ours:
        return
    for log in sorted(processes.LOGS.glob("*.log")) if failed else ():
        show_tail(log)
    if failed or not keep:
        step("Cleaning up")
        down()
