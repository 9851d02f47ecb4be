"""What the scenarios of a cluster share: etcd and both gateways started, who owns the session, rounds by a seed."""
import os
import random
import time
from collections.abc import Iterator
from typing import Any

from e2e import CLIENT, GATEWAY, Program, Scenario, Unanswered, info, processes, require_within, start_gateway, step
from jvpn_lab import etcd
from jvpn_lab.programs import GATEWAY2

SAFE_S = 3.0  # the profiles' safe_time_ms
DEAD_S = 2.0  # transport_dead_ms
SETTLED_S = 1.2  # longer than recovery_attempt_ms
BEYOND_S = 1.5  # how long traffic may stand still beyond it
ROUNDS = int(os.environ.get("JVPN_ROUNDS", 1))
SEED = int(os.environ.get("JVPN_SEED", random.randrange(1 << 32)))
CHANCE = random.Random(SEED)

_GATEWAYS = (GATEWAY, GATEWAY2)


def _has_session(gateway: Program) -> bool:
    try:
        return any(session["state"] == "ATTACHED" for session in gateway.show()["sessions"])
    except Unanswered:
        return False


def owner() -> Program:
    """The one gateway that has the session."""
    having = [gateway for gateway in _GATEWAYS if gateway.runs() and _has_session(gateway)]
    if len(having) != 1:
        raise Unanswered(f"{len(having)} gateways have the session")
    return having[0]


def other(gateway: Program) -> Program:
    return GATEWAY2 if gateway is GATEWAY else GATEWAY


def start_member_gateway(gateway: Program) -> None:
    """Starts it, or starts it again, and waits until it may own sessions."""
    before = processes.logged(gateway.name, "the cluster's store is reached")
    gateway.start(keep_log=True)
    require_within(30, lambda: gateway.runs() and gateway.answers(), f"{gateway.name} does not answer")
    require_within(30, lambda: processes.logged(gateway.name, "the cluster's store is reached") > before,
                   f"{gateway.name} does not reach etcd")


def begin(s: Scenario, **settings: object) -> None:
    """The lab, etcd, both gateways, and one session at either."""
    step(f"Lab with three members of etcd, two gateways, client; JVPN_SEED={SEED}")
    s.prepare(cluster=True, safe_ms=int(SAFE_S * 1000), **settings)
    etcd.start()
    start_gateway()
    start_member_gateway(GATEWAY2)
    CLIENT.start()
    require_within(20, lambda: CLIENT.attached() and owner(), "no session within 20 s")


def warm_second() -> dict[str, Any]:
    """The gateway that the client would claim its session at, as `jvpn show` tells it."""
    gateways = CLIENT.show()["gateways"]
    having = [gateway for gateway in gateways if gateway["state"] == "active"]
    warm = [gateway for gateway in gateways if gateway["state"] == "warm"]
    if len(having) != 1 or len(warm) != 1:
        raise Unanswered("no warm second gateway: " + ", ".join(f"{each['name']} {each['state']}" for each in gateways))
    return warm[0]


def say_warm_second() -> None:
    """Waits until there is one, and says what is known of it. One that was just started is asked within half a minute."""
    require_within(60, warm_second, "the client knows no warm second gateway")
    second = warm_second()
    info(f"{second['name']} is warm: by {second['underlay']} to {second['remote']}, round trip "
         f"{second['rtt_us'] / 1000:.1f} ms, answered {second['answered_ms_ago'] / 1000:.1f} s ago")


def session_id() -> str:
    return CLIENT.session()["session_id"]


def pause_at_random(most_s: float = 1.0) -> None:
    """So that faults meet beats, commits and keys at any moment."""
    time.sleep(CHANCE.uniform(0.2, 0.2 + most_s))


def settled_owner() -> Program:
    """As owner(), once it has been the same for a while: after a fault a claim that waited for the store may still move
    the session, within recovery_attempt_ms."""
    has, since = None, 0.0

    def settled() -> bool:
        nonlocal has, since
        try:
            now = owner() if CLIENT.attached() else None
        except Unanswered:
            now = None
        if now is not has:
            has, since = now, time.monotonic()
        return has is not None and time.monotonic() - since >= SETTLED_S
    require_within(15, settled, "the session doesn't settle")
    return has


def rounds(fault: str) -> Iterator[Program]:
    """Gives the gateway that has the session, for each round of a fault; `fault` names it at {}."""
    for number in range(ROUNDS):
        pause_at_random()
        gateway = settled_owner()
        step(f"{fault.format(gateway.name)}, {number + 1} of {ROUNDS}")
        yield gateway


def report(what: str, seconds: list[float]) -> float:
    """Says the distribution; gives the 99th percentile."""
    ordered = sorted(seconds)
    p99 = ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]
    info(f"{what}: min {ordered[0]:.2f}, median {ordered[len(ordered) // 2]:.2f}, p99 {p99:.2f}, "
         f"max {ordered[-1]:.2f} s; safe time {SAFE_S:.1f} s")
    return p99
