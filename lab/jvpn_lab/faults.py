"""Faults of the lab's links.

Everything acts from outside on the two programs: nftables and tc in the client's namespace, or in jvpn-netN when the
link is emulated. What is in force stands in /run/jvpn-lab/faults/LINK.KIND for people; what was done when stands in
log/faults.log as JSON lines, for the timeline.
"""
import json
import os
import socket

from jvpn_lab import processes
from jvpn_lab.console import Failure
from jvpn_lab.processes import LAB_DIR
from jvpn_lab.programs import now_ms
from jvpn_lab.run import Unanswered, program, require_within
from jvpn_lab.settings import LINKS, OUTSIDE4, OUTSIDE6, PORT
from jvpn_lab.topology import FAULTS, emulated, in_ns, ip, net, unwire, wire

_NAT_ADDRESS = 77  # last byte of the address before the first that rebind(link, "address") gives
_USUAL_DELAY = LAB_DIR / "usual-delay"
_CUTS = {"silent": "drop", "out": "drop", "back": "drop", "ipv4": "meta protocol ip drop",
         "ipv6": "meta protocol ip6 drop"}


def _note(link: str, kind: str, text: str) -> None:
    """Empty text: the fault is gone."""
    note = FAULTS / f"{link}.{kind}"
    if text:
        note.write_text(text + "\n")
    event = {"ts_ms": now_ms(), "event": "FAULT", "link": link, "fault": text or "healed"}
    with processes.log_of("faults").open("a") as log:
        log.write(json.dumps(event) + "\n")


def in_force(link: str) -> str:
    return ", ".join(note.read_text().strip() for note in sorted(FAULTS.glob(f"{link}.*")))


def _require_emulated(link: str) -> None:
    if not emulated(link):
        raise Failure(f"{link} is a plain link; this needs an emulated one, as tools/lab up makes them")


def _rule(link: str, name: str, rule: str, ways: tuple[str, ...] = ("out", "back"), at_client: bool = False) -> None:
    """An nftables rule for each of the `ways`: out of the client, and back; replaces those of that name, '' removes
    them. `at_client`: of an emulated link, too, so that its other hosts go on.

    Egress hooks: what they drop, a UDP socket is not told (a drop in the output hook would be EPERM).
    """
    host, out, back = ("client", f"egress device {link}", f"ingress device {link}")
    if emulated(link) and not at_client:
        host, out, back = (net(link), "egress device gw", "egress device client")
    table = f"netdev jvpn_{name}_{link}"
    text = f"add table {table}\ndelete table {table}\n"
    if rule:
        chains = "\n".join(f"chain {way} {{ type filter hook {hook} priority 0; {rule}; }}"
                           for way, hook in (("out", out), ("back", back)) if way in ways)
        text += f"table {table} {{\n{chains}\n}}"
    in_ns(host, "nft", "-f", "-", text=text)


def cut(link: str, how: str) -> None:
    """`silent`: every packet is dropped and nobody is told; `out`, `back`: those out of the client, those towards it
    alone; `ipv4`, `ipv6`: those of that family alone; `down`."""
    if how == "down":
        _cable(link, "down")
    else:
        _rule(link, "cut", _CUTS[how], (how,) if how in ("out", "back") else ("out", "back"))
    _note(link, "cut", f"cut ({how})")


def block_udp(link: str) -> None:
    """Between the client and everybody else, as a network does that lets TCP pass alone."""
    _rule(link, "udp", "meta l4proto udp drop", at_client=True)
    _note(link, "udp", "UDP blocked")


def _cable(link: str, state: str) -> None:
    """At both ends: up or down."""
    ip("client", f"link set {link} {state}")
    if emulated(link):
        ip(net(link), f"link set gw {state}")


def pull(link: str, end: str) -> None:
    """The cable out of the port at that end, client or gw; the other one is told nothing. Needs an emulated link."""
    _require_emulated(link)
    ip(net(link), f"link set {end} down")
    _note(link, "pulled", f"pulled at the {'far' if end == 'client' else end} end")


def loss(link: str, percent: float) -> None:
    """In each direction. A run of segments that the client hands to its kernel at once has one fate on a plain link;
    on an emulated link every frame has its own."""
    _rule(link, "loss", f"numgen random mod 10000 < {round(percent * 100)} drop")
    _note(link, "loss", f"loss {percent:g} %")


def eat(link: str, size: int) -> None:
    """The path loses larger IP packets, in both directions, and tells nobody; 0: none. Needs an emulated link."""
    _require_emulated(link)
    table = "netdev jvpn_eat"
    text = f"add table {table}\ndelete table {table}\n"
    if size:
        rules = f"ip length > {size} drop; ip6 length > {size - 40} drop;"
        text += f"""table {table} {{
          chain out {{ type filter hook ingress device client priority -10; {rules} }}
          chain back {{ type filter hook ingress device gw priority -10; {rules} }}\n}}"""
    in_ns(net(link), "nft", "-f", "-", text=text)
    _note(link, "eat", f"eats packets over {size} bytes" if size else "")


def rate(link: str, mbit: float) -> None:
    """A token bucket in each direction. Needs an emulated link, because DPDK's frames pass by the gateway's own
    queueing disciplines."""
    _require_emulated(link)
    for end in ("client", "gw"):
        in_ns(net(link), *f"tc qdisc replace dev {end} root tbf rate {mbit:g}mbit burst 64kb latency 100ms".split())
    _note(link, "rate", f"rate {mbit:g} Mbit/s")


def delay(link: str, settings: str, seed: int | None = None) -> None:
    """Settings as lab/link takes them, `delay_ms=40 reorder=0.01`; those not given stay as they are."""
    _require_emulated(link)
    _emulate(link, seed)
    said = _ask(link, settings).splitlines()[0]  # counters follow
    _note(link, "delay", " ".join(word for word in said.split() if not word.endswith("=0")))


def _emulate(link: str, seed: int | None = None) -> None:
    """lab-link instead of the kernel between the two ends. Without a seed a running one stays."""
    name = f"link-{link}"
    if processes.runs(name):
        if seed is None:
            return
        wire(link)
        processes.stop(name)
    processes.spawn(name, net(link), program("lab-link"), "client", "gw", "--seed", str(seed or 1),
                    "--socket", LAB_DIR / f"{link}.link")
    require_within(5, lambda: _ask(link, "") or True, f"lab-link did not start, see {processes.log_of(name)}")
    unwire(link)


def _ask(link: str, text: str) -> str:
    """Orders lab-link to do it; returns its answer."""
    path = LAB_DIR / f"{link}.link"
    own = f"{path}.{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as asker:
        asker.settimeout(2)
        asker.bind(own)
        try:
            asker.sendto(text.encode(), str(path))
            answer = asker.recv(4096).decode().strip()
        except OSError as reason:
            raise Unanswered(f"{link}: lab-link does not answer: {reason}") from None
        finally:
            os.unlink(own)
    word, _, rest = answer.partition(" ")
    if word != "ok":
        raise Failure(f"{link}: {answer.removeprefix('error: ')}")
    return rest


def attack(link: str, *order: str) -> str:
    """An order to the attacker on that emulated link (lab/link/attacker.h lists them); returns what it answers. The
    two ends are `client` and `gw`."""
    _require_emulated(link)
    _emulate(link)
    return _ask(link, " ".join(("attack", *order)))


def usual_delay(milliseconds: float) -> None:
    """Of every link in each direction, also when it is healed. All links have to be emulated."""
    _USUAL_DELAY.write_text(f"{milliseconds:g}\n")
    for link in LINKS:
        _emulate(link)
        _ask(link, _undelayed())


def usual_delay_ms() -> str:
    return _USUAL_DELAY.read_text().strip() if _USUAL_DELAY.exists() else "0"


def _undelayed() -> str:
    return f"delay_ms={usual_delay_ms()} jitter_ms=0 loss=0 reorder=0 duplicate=0 rate_mbit=0 flap_ms=0"


def rebind(link: str, what: str) -> None:
    """The client's packets appear from another `port`, or from another IPv4 `address` and port; what is sent to the
    former ones is lost, as behind a NAT that forgot its mapping. A conntrack zone of its own makes each rebinding
    forget the earlier ones."""
    note = FAULTS / f"{link}.rebindings"
    count = 1 + (int(note.read_text().split()[0]) if note.exists() else 0)
    zone = 1000 * (LINKS.index(link) + 1) + count
    address, port = OUTSIDE4[link], 40_000 + zone
    if what == "address":
        address = f"{address.rpartition('.')[0]}.{_NAT_ADDRESS + count}"
        ip("client", f"address replace {address}/32 dev lo")  # so that it is asked for and answered by ARP
    table = f"table inet jvpn_nat_{link}"
    in_ns("client", "nft", "-f", "-", text=f"""
add {table}
delete {table}
{table} {{
  chain zone_out {{ type filter hook output priority raw; oifname {link} udp dport {PORT} ct zone set {zone}; }}
  chain zone_in {{ type filter hook prerouting priority raw; iifname {link} udp sport {PORT} ct zone set {zone}; }}
  chain back {{ type nat hook prerouting priority dstnat; }}
  chain out {{
    type nat hook postrouting priority srcnat
    oifname {link} meta nfproto ipv4 udp dport {PORT} snat ip to {address}:{port}
    oifname {link} meta nfproto ipv6 udp dport {PORT} snat ip6 to [{OUTSIDE6[link]}]:{port}
  }}
  chain forgotten {{
    type filter hook input priority 0
    iifname {link} udp sport {PORT} ct status & snat != snat drop
  }}
}}""")
    _note(link, "rebindings", f"{count} rebindings, now {address}:{port}")


def heal(link: str, kind: str = "*") -> None:
    """Takes back all faults of the link, or those of one kind, as `cut`. Without its NAT the client appears from its own port again, which is one more
    rebinding. lab-link keeps running, without faults: frames inside arrive in order."""
    for note in FAULTS.glob(f"{link}.{kind}"):
        match note.suffix:
            case ".cut":
                _rule(link, "cut", "")
                _cable(link, "up")
            case ".udp":
                _rule(link, "udp", "", at_client=True)
            case ".eat":
                eat(link, 0)
            case ".loss":
                _rule(link, "loss", "")
            case ".delay":
                _ask(link, _undelayed())
            case ".pulled" | ".rate" as kind:
                undo = "ip link set {} up" if kind == ".pulled" else "tc qdisc del dev {} root"
                for end in ("client", "gw"):
                    in_ns(net(link), *undo.format(end).split())
            case ".rebindings":
                in_ns("client", "nft", "delete", "table", "inet", f"jvpn_nat_{link}")
                ip("client", f"address flush dev lo to {OUTSIDE4[link]}/24")
        note.unlink()
    _note(link, "none", "")
