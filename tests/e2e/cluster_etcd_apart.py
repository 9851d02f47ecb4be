#!/usr/bin/env python3
"""etcd has no quorum: sessions live for the safe time only, and requests to move are refused by OWNERSHIP_CONFLICT; when
it is whole again the session goes on where it was, or where its client went. JVPN_ROUNDS=50 for the full show.

  jvpn-client ══ transfer → ══ jvpn-gw, jvpn-gw2 ── jvpn-lan    etcd 1 ╳ 1 ╳ 1  (jvpn_lab/topology.py: cluster=True)
"""
from clusters import ROUNDS, SAFE_S, begin, pause_at_random, session_id, settled_owner
from e2e import CLIENT, ip, processes, require_within, scenario, start_transfer, step, transfer_goes_on
from jvpn_lab import etcd
from jvpn_lab.settings import ETCD

SILENT = "the cluster's store wasn't reached for"
REFUSED = '"REATTACH".*"OWNERSHIP_CONFLICT"'


def still() -> bool:
    """Nothing arrives for half a second."""
    return not transfer_goes_on(0.5)


with scenario(120 + ROUNDS * 60) as s:
    begin(s)
    start_transfer(16 * ROUNDS + 16, 20 * ROUNDS)
    session = session_id()
    for number in range(ROUNDS):
        pause_at_random()
        has_it = settled_owner()
        step(f"etcd falls apart, {number + 1} of {ROUNDS}")
        silent, refused = processes.logged(has_it.name, SILENT), has_it.told(REFUSED)
        for member in ETCD:
            ip(member, "link set mgmt down")
        s.expect("the session lives on at first", lambda: transfer_goes_on(1))
        s.expect("it stands still after the safe time", still, within=SAFE_S + 3)
        s.expect("the gateway says that it is silent", lambda: processes.logged(has_it.name, SILENT) > silent, within=3)
        s.expect("a request to move is refused by OWNERSHIP_CONFLICT", lambda: has_it.told(REFUSED) > refused, within=10)
        for member in ETCD:
            ip(member, "link set mgmt up")
        require_within(30, lambda: all(etcd.member_answers(member) for member in ETCD), "etcd does not answer again")
        s.expect("attached again", lambda: settled_owner() and CLIENT.attached(), within=10)
        s.expect("TCP goes on", lambda: transfer_goes_on(15))
        s.expect(f"still session {session[:12]}…", session_id() == session)
    s.jump_end()
