#!/usr/bin/env python3
"""A host on the gateway's outside link that is on no path of the session, but has a recording of wan0 from the
handshake on: it replays, forges, cuts short, makes noise, and floods. Nothing of that moves the session; no ping and
no byte is lost meanwhile; the gateway tells of it, and not more often than policy says. JVPN_SEED replays the
forgeries. The attacker is lab/attack; beside jvpn_lab/topology.py's drawing:

  jvpn-client wan0 ──── [jvpn-net0: bridge] ──── wan0 jvpn-gw
                              │
                        wan0 192.0.2.66 jvpn-attacker
"""
import os
import random
import re
import signal

from e2e import (GATEWAY, PORT, SERVER4, Scenario, bounded, info, log_of, now_ms, partial, pings, planned_jump,
                 processes, program, record, require_within, scenario, start_both, start_transfer, step, topology,
                 wait_for)

SEED = os.environ.get("JVPN_SEED") or str(random.randrange(32768))
MOST_EVENTS_PER_S = 10  # of one code: the policy's default
REQUEST = 8 + 16 + 136 + 16  # UDP length of REATTACH_REQUEST (common/wire.h)
replays_told = partial(GATEWAY.told, '"SECURITY_EVENT".*"SEC_REPLAY_ATTEMPT"')
bad_tags = partial(GATEWAY.drops, "bad_tag")
data_refused = partial(GATEWAY.drops, "bad_tag", "replay_too_old", "replay_duplicate")  # also before the cipher
malformed = partial(GATEWAY.drops, "message_type", "message_length", "reserved", "unknown_index")


def refused_handshakes() -> int:
    control = GATEWAY.show()["control"]
    return control["handshakes_refused"] + control["handshakes_throttled"]


def recorded(s: Scenario, what: str) -> bool:
    """A datagram towards the gateway."""
    said = bounded(30, "tcpdump", "-n", "-r", s.work / "wan0.pcap", f"udp dst port {PORT} and {what}").stdout
    return re.search(rf"\.{PORT}: UDP", said) is not None


def jump_to(s: Scenario, link: str) -> None:
    before = s.note()
    planned_jump(link)
    require_within(10, before.jumped, f"no planned jump to {link}")


def attacked(s: Scenario, count: int, rate: int, *options: str) -> None:
    """From the attacker's host; meanwhile pings pass, and none is lost."""
    seconds = count // rate + 1
    processes.spawn("attack", "attacker", program("lab-attack"), s.work / "wan0.pcap", f"192.0.2.1:{PORT}",
                    "--seed", SEED, "--count", str(count), "--rate", str(rate), *options)
    s.expect("pings pass meanwhile", pings("client", SERVER4, seconds * 20))
    s.expect("all was sent", lambda: wait_for(seconds + 20, lambda: processes.ended("attack"))
             and processes.logged("attack", f", {count} sent"))
    info(log_of("attack").read_text())
    s.expect("no version, no binding, no path has changed", s.noted.unmoved)


def start(s: Scenario) -> None:
    """Recorded is all from the start until the client has asked for a jump to wan0."""
    step("Lab, recorder, gateway, client")
    s.prepare(emulated=["wan0"])
    topology.add_attacker("wan0", "192.0.2.66")
    record("recorder", "client", "wan0", s.work / "wan0.pcap", "-U", "udp")
    start_both()
    jump_to(s, "wan1")
    jump_to(s, "wan0")
    s.expect("data passes", pings("client", SERVER4))
    s.expect("a reattach request was recorded", lambda: recorded(s, f"udp[4:2] = {REQUEST}"), within=5)
    s.expect("data was recorded", lambda: recorded(s, "udp[8] = 4"), within=5)
    processes.stop("recorder", signal.SIGINT)


with scenario(200) as s:
    start(s)
    s.note()
    s.since_ms = now_ms()
    start_transfer(60, 60)

    step("All of the recording, again")
    before = replays_told()
    attacked(s, 400, 800, "--how", "replay", "--kind", "control")
    s.rises("the gateway tells SEC_REPLAY_ATTEMPT", replays_told, before)
    before = refused_handshakes()
    attacked(s, 100, 200, "--how", "replay", "--kind", "handshake")
    s.rises("handshakes are refused", refused_handshakes, before)

    step(f"Right receiver indices, wrong tags (JVPN_SEED={SEED})")
    before = bad_tags()
    attacked(s, 1000, 2000, "--how", "forge", "--kind", "control")
    s.rises("the tags of control messages are wrong", bad_tags, before + 100)
    s.expect("and told", lambda: GATEWAY.told('"SECURITY_EVENT".*"AUTH_FAIL".*"bad_tag"') >= 1, within=5)
    before = data_refused()
    attacked(s, 1000, 2000, "--how", "forge", "--kind", "data")
    s.rises("data is refused", data_refused, before + 100)

    step("Cut short, and noise")
    before = malformed()
    attacked(s, 1000, 2000, "--how", "truncate")
    attacked(s, 1000, 2000, "--how", "noise")
    s.rises("they are no messages", malformed, before + 100)

    step("Floods: control messages, handshakes")
    first, before = now_ms(), replays_told()
    attacked(s, 6000, 3000, "--how", "replay", "--kind", "control")
    attacked(s, 6000, 3000, "--how", "replay", "--kind", "handshake")
    seconds, events = (now_ms() - first) // 1000 + 2, replays_told() - before
    info(f"{events} SEC_REPLAY_ATTEMPTs in at most {seconds} s")
    s.expect(f"no more than {MOST_EVENTS_PER_S} of them a second", events <= seconds * MOST_EVENTS_PER_S)

    s.harmless("after all that")
    s.expect("the two planned jumps were the only ones", GATEWAY.switches() == 2)
    s.jump_end()
