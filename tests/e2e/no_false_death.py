#!/usr/bin/env python3
"""What looks like a dead path and is none: each end stands still for half a second under traffic (SIGSTOP), then every link
loses 5 % each way and delays by 0 to 40 ms for half a minute. The session stays, and stays where it is.
JVPN_SEED replays the links' behaviour.

  jvpn-client (SIGSTOP) ══ wan0, wan1, wan2 [5 % lost, 20 ± 20 ms] ══ jvpn-gw (SIGSTOP) ── jvpn-lan
  (see jvpn_lab/topology.py)
"""
import os
import random
import signal
import time

from e2e import (CLIENT, GATEWAY, LINKS, SERVER4, both_attached, faults, pings, processes, scenario, start_numbered,
                 start_transfer, step)

SEED = int(os.environ.get("JVPN_SEED") or random.randrange(32768))
# Many times what it takes to find a dead path, and below heartbeat_volatile_ms (1 s): a session that is VOLATILE may be
# moved for its quality, and what was lost at the end that stood still counts there.
STOPPED_S, LOSSY_S = 0.5, 30


def stays(s, what: str) -> None:
    s.expect(f"{what}: attached at both ends", both_attached, within=10)
    s.expect(f"{what}: the same session", s.noted.same)
    s.expect(f"{what}: no switch", GATEWAY.switches() == CLIENT.switches() == 0)
    s.expect(f"{what}: the gateway sends to where it did", GATEWAY.session()["remote"] == s.noted.remote)


with scenario(180) as s:
    step("Lab, gateway, client; each link has a round trip of 40 ms")
    s.prepare(emulated=LINKS)
    for number, link in enumerate(LINKS):
        faults.delay(link, "delay_ms=20", SEED + number)
    s.start()
    start_transfer(64, 60)
    start_numbered(500, 170)
    s.expect("traffic flows, and round trips are measured", pings("client", SERVER4, 20))
    for end in (CLIENT, GATEWAY):
        step(f"{end.name} stands still for {STOPPED_S} s")
        processes.send(end.name, signal.SIGSTOP)
        time.sleep(STOPPED_S)  # the fault itself
        processes.send(end.name, signal.SIGCONT)
        s.expect("afterwards: pings pass", pings("client", SERVER4, 5))
        stays(s, "afterwards")
    step(f"5 % loss and 20 ms of jitter for {LOSSY_S} s (JVPN_SEED={SEED})")
    for link in LINKS:
        faults.delay(link, "jitter_ms=20 loss=0.05")
    time.sleep(LOSSY_S)  # the fault itself
    stays(s, "under loss and jitter")
    s.expect_clean_audit()
