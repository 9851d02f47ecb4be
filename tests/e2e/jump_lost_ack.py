#!/usr/bin/env python3
"""The gateway commits a jump, but its first acknowledgements are lost: the client repeats its request and gets the same
answer, without a second commit.

  jvpn-client ══╳ wan0 ╳══════════════════════ jvpn-gw ── jvpn-lan    (see jvpn_lab/topology.py)
              ── wan1: request →, ╳ ← answer ──
"""
import re

from e2e import CLIENT, GATEWAY, active_link, faults, in_ns, scenario, start_transfer, step

LOST = 3  # acknowledgements; less than the client waits for on one candidate
ACK = 8 + 16 + 128 + 16  # UDP length of REATTACH_ACK: UDP header, JVP/1 header, message, tag (common/wire.h)
FIELDS = 4 + 8 + 12  # what it tells of the lane that the client holds packets of


def lose_acks(link: str) -> None:
    """Of the control messages (type 5) of that size that come by the link the first are dropped. quota counts bytes
    from the IPv4 header on."""
    in_ns("client", "nft", "-f", "-", text=f"""table netdev jvpn_lost_ack {{
  chain {link} {{
    type filter hook ingress device {link} priority 0
    meta protocol ip udp length {ACK + FIELDS} @th,64,8 5 quota until {(ACK + FIELDS + 20) * LOST + 1} bytes counter drop
  }}
}}""")


def acks_lost() -> int:
    found = re.search(r"counter packets (\d+) ", in_ns("client", "nft", "list", "table", "netdev", "jvpn_lost_ack"))
    return int(found[1]) if found else 0


with scenario(150) as s:
    s.session()
    start_transfer(24, 12)
    step(f"{s.noted.link} becomes a black hole; the first {LOST} acknowledgements by wan1 are lost")
    lose_acks("wan1")
    faults.cut(s.noted.link, "silent")
    s.expect_jump(10)
    lost = acks_lost()
    s.expect(f"{LOST} acknowledgements were lost (got {lost})", lost == LOST)
    s.expect("the jump went to wan1", lambda: active_link() == "wan1")
    s.expect("one TRANSPORT_SWITCH at the gateway", GATEWAY.switches() == 1)
    s.expect("one TRANSPORT_SWITCH at the client", CLIENT.switches() == 1)
    s.expect("the same binding_version at both ends",
             lambda: GATEWAY.session()["binding_version"] == CLIENT.session()["binding_version"], within=2)
    s.jump_end()
