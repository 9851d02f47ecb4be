#!/usr/bin/env python3
"""A NAT on the way forgets its mapping: the client appears from another port, twice, then from another address. What
the gateway sends to the former ones is lost. The NAT is nftables in the client's namespace (jvpn_lab/faults.py).

  jvpn-client 192.0.2.2:X ─ NAT ─ 192.0.2.2:Y, 192.0.2.2:Z, 192.0.2.80:V ── wan0 ══ jvpn-gw ── jvpn-lan
"""
from e2e import faults, scenario, start_transfer, step

with scenario(150) as s:
    s.session()
    start_transfer(36, 18)
    for what in ("port", "port", "address"):  # the path stays on its link, and the gateway follows to the new source
        step(f"NAT rebinding of the {what} on {s.noted.link}")
        faults.rebind(s.noted.link, what)
        s.expect_jump(10)
    s.jump_end()
