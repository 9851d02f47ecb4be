#!/usr/bin/env python3
"""Members of etcd die by SIGKILL under a transfer, one at a time, the leader among them, and come back: no session moves,
no gateway falls silent. JVPN_ROUNDS=50 for the full show.

  jvpn-client ══ transfer → ══ jvpn-gw, jvpn-gw2 ── jvpn-lan    etcd ×3 (SIGKILL)  (jvpn_lab/topology.py: cluster=True)
"""
import signal

from clusters import CHANCE, ROUNDS, begin, owner, pause_at_random, session_id
from e2e import CLIENT, info, processes, require_within, scenario, start_transfer, step, transfer_goes_on
from jvpn_lab import etcd
from jvpn_lab.settings import ETCD

SILENT = "the cluster's store wasn't reached for"

with scenario(120 + ROUNDS * 40) as s:
    begin(s)
    start_transfer(16 * ROUNDS + 16, 15 * ROUNDS)
    session, has_it, binding = session_id(), owner().name, CLIENT.session()["binding_version"]
    for number in range(ROUNDS):
        pause_at_random()
        leader = etcd.leader()
        dies = leader if number % 2 == 0 and leader else CHANCE.choice(list(ETCD))
        step(f"SIGKILL to {dies}{' (the leader)' if dies == leader else ''}, {number + 1} of {ROUNDS}")
        processes.send(dies, signal.SIGKILL)
        require_within(5, lambda: processes.ended(dies), f"{dies} doesn't end")
        rest = [member for member in ETCD if member != dies]
        require_within(30, lambda: all(etcd.member_answers(member) for member in rest), "the others don't answer")
        s.expect("TCP goes on", lambda: transfer_goes_on(15))
        etcd.start_member(dies)
        require_within(30, lambda: etcd.member_answers(dies), f"{dies} does not answer again")
    s.expect("still the same session, at the same gateway", session_id() == session and owner().name == has_it)
    s.expect("and it has not moved", CLIENT.session()["binding_version"] == binding)
    silent = processes.logged("jvpnd", SILENT) + processes.logged("jvpnd2", SILENT)
    info(f"gateways were silent {silent} times")
    s.expect("no gateway was silent", silent == 0)
    s.jump_end()
