#!/usr/bin/env python3
"""A rekey every second under iperf3 and a numbered ping flood: no packet is lost or delivered twice.
JVPN_REKEY_SECONDS=60 for the full show.

  jvpn-client ══ iperf3 ⇄, pings ⇄, a new key each second ══ jvpn-gw ── jvpn-lan        (jvpn_lab/topology.py)
"""
import os

from e2e import (CLIENT, CLIENT4, GATEWAY, SERVER4, Program, info, ip, iperf_moves, log_of, logged, processes, scenario,
                 spawn, step, wait_for)

DURATION_S = int(os.environ.get("JVPN_REKEY_SECONDS", 10))
# Below what a small machine can carry, so that no queue overflows: a loss here is the rekey's fault.
BITRATE = os.environ.get("JVPN_REKEY_BITRATE", "50M")
PINGS = DURATION_S * 450
# Drops that a rekey could be to blame for; queues that overflow are not.
KEY_DROPS = ("unknown_index", "no_binding", "key_exhausted", "bad_tag", "lane_unknown", "replay_duplicate",
             "replay_too_old")


def rekeys() -> int:
    return max(session["rekeys"] for session in GATEWAY.show()["sessions"])


def flood(name: str, host: str, address: str) -> None:
    """Numbered echoes, one every 2 ms, in the background."""
    spawn(f"flood-{name}", host, *f"ping -n -q -c {PINGS} -i 0.002 -s 100 -W 2 {address}".split())


def flood_is_whole(name: str) -> bool:
    """Each was answered once."""
    if not wait_for(DURATION_S + 20, lambda: processes.ended(f"flood-{name}")):
        return False
    info("\n".join(line for line in log_of(f"flood-{name}").read_text().splitlines() if "transmitted" in line))
    return logged(f"flood-{name}", f"^{PINGS} packets transmitted, {PINGS} received, 0% packet loss") > 0


def same_session() -> bool:
    return GATEWAY.session()["state"] == "ATTACHED" and not GATEWAY.show()["terminated"]


def no_key_drops(end: Program) -> bool:
    if end.drops(*KEY_DROPS):
        info(f"drops of {end.name}: {end.show()['drops']}")
    return end.drops(*KEY_DROPS) == 0


with scenario(DURATION_S * 2 + 90) as s:
    s.session(rekey_ms=1000)
    ip("client", "link set jvpn0 txqueuelen 5000")

    step(f"{DURATION_S} s of iperf3 at {BITRATE} both ways, {PINGS} pings each way, a rekey each second")
    before = rekeys()
    flood("out", "client", SERVER4)
    flood("back", "lan", CLIENT4)
    s.expect("iperf3 both ways", iperf_moves(DURATION_S, SERVER4, "--bidir", "-b", BITRATE))
    s.expect("no ping of the client lost or doubled", lambda: flood_is_whole("out"))
    s.expect("no ping of the server lost or doubled", lambda: flood_is_whole("back"))

    count, least = rekeys() - before, DURATION_S * 7 // 10
    info(f"rekeys: {count} in about {DURATION_S} s")
    s.expect(f"at least {least} rekeys", count >= least)
    s.expect("still the same one session", same_session)
    s.expect("no drop at the gateway that a key explains", lambda: no_key_drops(GATEWAY))
    s.expect("nor at the client", lambda: no_key_drops(CLIENT))
