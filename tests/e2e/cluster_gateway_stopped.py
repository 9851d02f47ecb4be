#!/usr/bin/env python3
"""The gateway that has the session is stopped by SIGSTOP for longer than its safe time, and goes on after another has
the session: of the packets that wait in its queues it sends no more than its worker had in hand, to either side, and
says that it has lost the session, which stays where it is. JVPN_ROUNDS=50 for the full show.

  jvpn-client ══ numbered datagrams ⇄, transfer ══ jvpn-gw (SIGSTOP, SIGCONT) / jvpn-gw2 ── jvpn-lan
  [jvpn-netN, jvpn-netlan: what leaves each gateway is counted]             (jvpn_lab/topology.py: cluster=True)
"""
import json
import signal

from clusters import ROUNDS, begin, other, owner, rounds, session_id
from e2e import (CLIENT, LINKS, in_ns, info, numbered_loss, processes, require_within, scenario, start_numbered,
                 start_transfer, step, transfer_goes_on)
from jvpn_lab.settings import CLIENT4, CLIENT6
from jvpn_lab.topology import net

RATE = 500  # datagrams a second, each way
BURST = 64  # packets that a worker takes at once
REACHED = "the cluster's store is reached"
OVER = '"OWNERSHIP_CHANGE".*"SEC_OWNERSHIP_ANOMALY"'

COUNTED = {**{net(link): "meta l4proto udp @th,64,8 4" for link in LINKS},  # data messages
           "netlan": f"ip saddr {CLIENT4}", "netlan6": f"ip6 saddr {CLIENT6}"}


def count(place: str, rule: str) -> None:
    """Counts what each gateway sends there, by `rule`."""
    table = f"netdev jvpn_{place}"
    chains = "".join(f"""counter {host} {{}}
      chain {host} {{ type filter hook ingress device {host} priority -20; {rule} counter name {host}; }}
      """ for host in ("gw", "gw2"))
    in_ns(place.removesuffix("6"), "nft", "-f", "-", text=f"table {table} {{\n{chains}}}\n")


def left(host: str) -> dict[str, int]:
    """Data messages to the client, and the client's packets to the LAN, that have left a gateway."""
    sums = {"out": 0, "in": 0}
    for place in COUNTED:
        host_of = place.removesuffix("6")
        listed = json.loads(in_ns(host_of, "nft", "-j", "list", "counter", "netdev", f"jvpn_{place}", host))
        sums["in" if place.startswith("netlan") else "out"] += listed["nftables"][-1]["counter"]["packets"]
    return sums


with scenario(120 + ROUNDS * 40) as s:
    begin(s)
    for place, rule in COUNTED.items():
        count(place, rule)
    start_transfer(16 * ROUNDS + 16, 15 * ROUNDS)
    start_numbered(RATE, 60 + ROUNDS * 40)
    session = session_id()
    for stopped in rounds("SIGSTOP to {}"):
        reached, lost = processes.logged(stopped.name, REACHED), stopped.told(OVER)
        refused = stopped.drops("not_owned")
        processes.send(stopped.name, signal.SIGSTOP)
        s.expect("the other has the session", lambda: other(stopped).attached() and CLIENT.attached(), within=15)
        s.expect("TCP goes on", lambda: transfer_goes_on(15))
        before = left(stopped.host)
        processes.send(stopped.name, signal.SIGCONT)
        s.expect("it says that it has lost the session", lambda: stopped.told(OVER) > lost, within=10)
        after = left(stopped.host)
        sent = {way: after[way] - before[way] for way in after}
        info(f"sent {sent['out']} out and {sent['in']} in, dropped {stopped.drops('not_owned') - refused}")
        s.expect(f"at most {BURST} packets left it, to either side", max(sent.values()) <= BURST)
        s.expect(f"still session {session[:12]}…, at the other", session_id() == session and owner() is other(stopped))
        s.expect("TCP goes on", lambda: transfer_goes_on(15))
        require_within(15, lambda: processes.logged(stopped.name, REACHED) > reached, "it does not own anything again")
    step("What came twice")
    for way, flow in numbered_loss().items():
        info(f"{way}: {flow['sent']} sent, {flow['lost']} lost while it stood still")
        s.expect(f"{way}: none twice", flow["sent"] > 0 and flow["twice"] == 0)
    s.jump_end()
