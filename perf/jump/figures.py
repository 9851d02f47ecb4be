"""The pure parts of `jvpn-perf jump`: the policy of a run, the bounds it is judged by, statistics, the table."""
import itertools
import math

import yaml

from samples import percentile

from jvpn_lab.console import Failure

_MARGIN = 0.94
_BAR_WIDTH = 40


def percentiles(samples):
    return {f"p{percent}": percentile(samples, percent) for percent in (50, 90, 99)} | {"max": percentile(samples, 100)}


def histogram(samples):
    """[from, to, count] of the samples over `from` and up to `to`: edges 0, 1, 2, 5, 10, … as far as there are any.
    The first bucket holds the zeros alone."""
    buckets, low, high = [], 0, 0
    while samples and low <= max(samples):
        buckets.append([low, high, sum(low < sample <= high or sample == high == 0 for sample in samples)])
        if high >= max(samples):
            break
        low, digit = high, str(high)[0]
        high = high * 5 // 2 if digit == "2" else high * 2 or 1
    return buckets


# ---- The policy of a run.

def _parse(flow):
    try:
        policy = yaml.safe_load(f"{{{flow}}}")
    except yaml.YAMLError as error:
        raise Failure(f"--policy: {error}") from None
    if not isinstance(policy, dict):
        raise Failure("--policy: expected a map, `switching: {drain_ms: 50}`")
    return policy


def _lay_over(below, above):
    for key, value in above.items():
        if isinstance(value, dict) and isinstance(below.get(key), dict):
            _lay_over(below[key], value)
        else:
            below[key] = value


# A link that carries nothing any more, in one direction or in both: fault, and how the lab cuts the link.
BLACKHOLES = {"blackhole": "silent", "blackhole-up": "out", "blackhole-down": "back"}


def _waits_for_silence(options, policy):
    """The session isn't left before it is VOLATILE."""
    fixed = options["fault"] in BLACKHOLES and policy["volatility"].get("detection") == "fixed"
    return fixed or options["fault"] == "nat-rebind"


def _volatility(fault):
    if fault in BLACKHOLES:
        return {"transport_dead_ms": 2000}  # all as the default has it: that is what is measured
    silence = fault == "nat-rebind"
    return {"heartbeat_interval_ms": 50 if silence else 100, "heartbeat_volatile_ms": 150 if silence else 1000,
            "transport_dead_ms": 300 if silence else 2000, "stability_window_ms": 200}


def lab_policy(options):
    """Fast repetition: as many switches as the state machine remembers, short cooldown, quick probing. What the
    options have is laid over it."""
    policy = {"version": 1,
              "volatility": _volatility(options["fault"]) | {"max_flaps_per_min": 31},
              "switching": {"max_switches_per_min": 64, "switch_cooldown_ms": 100, "drain_ms": 100},
              "transport": {"candidate_validation_ttl_ms": 0 if options["cold"] else 1000},
              "security": {"reattach_rate_per_s": 100}}
    _lay_over(policy, _parse(options["policy"]))
    try:
        for group, key in (("volatility", "transport_dead_ms"), ("switching", "switch_cooldown_ms"),
                           ("switching", "max_switches_per_min")):
            policy[group][key] + 0
    except (TypeError, KeyError) as error:
        raise Failure(f"--policy: {group}: {key}: expected a number: {error}") from None
    return policy


def to_flow(policy):
    """YAML in flow style without the outer braces, as the lab's profiles take it."""
    return yaml.safe_dump(policy, default_flow_style=True, sort_keys=False, width=math.inf).strip()[1:-1]


# The wait after a rebind doubles with each that came within a minute before (docs/PROTOCOL.md): 250 ms and four
# doublings are less than a fifth of a minute.
_REBINDS_PER_MIN = 5


def jumps_per_min(options, policy):
    """That the policy and the state machine's memory allow, less a margin."""
    if options["fault"] == "nat-rebind":
        return _REBINDS_PER_MIN
    switches = min(policy["switching"]["max_switches_per_min"], options["max_switches_per_min"])
    # Silence leads through VOLATILE, and too many such flaps a minute would mean DEGRADED.
    flaps = options["max_flaps_per_min"] if _waits_for_silence(options, policy) else switches
    return _MARGIN * min(switches, flaps)


# At round trips of so many ms (docs/DESIGN.md, performance); between them a straight line.
_SILENT_LOSS = ((0, 60), (1, 60), (20, 120), (100, 500))


def _silent_loss(rtt_ms):
    line = next((pair for pair in itertools.pairwise(_SILENT_LOSS) if rtt_ms <= pair[1][0]), _SILENT_LOSS[-2:])
    (low, below), (high, above) = line
    return below + (above - below) * (rtt_ms - low) / (high - low)


def bound_of(options, rtt_ms, policy):
    """How many ms a jump may block traffic (docs/DESIGN.md, performance), given the measured round trip; the formula."""
    fault, fixed = options["fault"], policy.get("volatility", {}).get("detection") == "fixed"
    match fault:
        case "link-down" if options["cold"]:
            return 2 * rtt_ms + 20, "2 RTT + 20 ms"
        case "link-down":
            return rtt_ms + 20, "1 RTT + 20 ms"
        case "blackhole" | "blackhole-up" | "blackhole-down" if fixed:
            return policy["volatility"]["transport_dead_ms"] + rtt_ms + 50, "transport_dead_ms + 1 RTT + 50 ms"
        case "blackhole":
            return _silent_loss(rtt_ms), "60, 120, 500 ms at an RTT of 1, 20, 100 ms"
        case "blackhole-up" | "blackhole-down":
            return _silent_loss(rtt_ms) + rtt_ms, "60, 120, 500 ms at an RTT of 1, 20, 100 ms, + 1 RTT"
        case "nat-rebind":
            return 2 * rtt_ms + 50 + 1000 / options["rate"], "2 RTT + 50 ms + one probe interval"
    return 0, "no packet lost"


# ---- What it comes to.

def json_of(options, totals, jumps, failure):
    """The result. Jumps: {fault_at, from, to, up, down, session_kept, tcp_kept}, each way with blocked_ms and gap_ms;
    totals: bound_ms, bound, rtt_ms and packets."""
    ways = {way: [jump[way]["blocked_ms"] for jump in jumps] for way in ("up", "down")}
    worse = [max(both) for both in zip(*ways.values())]
    whole = percentiles(worse)
    return {
        "fault": options["fault"], "cold": options["cold"], "count": len(jumps),
        **{f"{name}_blocked_ms": value for name, value in whole.items()},
        "bound_ms": totals["bound_ms"], "bound": totals["bound"],
        "p99_over_bound_ms": max(0, whole["p99"] - totals["bound_ms"]),
        "jumps_over_bound": sum(ms > totals["bound_ms"] for ms in worse),
        "sessions_kept": sum(jump["session_kept"] for jump in jumps),
        "tcp_kept": sum(jump["tcp_kept"] for jump in jumps),
        **{key: totals[key] for key in ("lost_packets", "lost_between_jumps", "offered_packets", "duplicate_packets")},
        "longest_gap_ms": max((jump[way]["gap_ms"] for jump in jumps for way in ways), default=0),
        "rtt_ms": totals["rtt_ms"], "rate": options["rate"], "bytes": options["bytes"],
        **{way: percentiles(samples) for way, samples in ways.items()},
        "distribution": [{"over_ms": low, "up_to_ms": high, "jumps": count} for low, high, count in histogram(worse)],
        "jumps": [{"at_ms": jump["fault_at"] // 1_000_000, "from": jump["from"], "to": jump["to"],
                   **{f"{way}_{key}": jump[way][key] for key in ("blocked_ms", "gap_ms") for way in ways}}
                  for jump in jumps],
        "failure": failure}


def _bars(distribution):
    most = max((bucket["jumps"] for bucket in distribution), default=1)
    first = next((i for i, bucket in enumerate(distribution) if bucket["jumps"]), 0)
    return "".join(f'{bucket["over_ms"]:>7g} to {bucket["up_to_ms"]:<6g} ms {bucket["jumps"]:>6} '
                   + "#" * math.ceil(bucket["jumps"] * _BAR_WIDTH / most) + "\n" for bucket in distribution[first:])


_TABLE = """\
{count} jumps, fault {fault}{candidates}, RTT {rtt_ms:.2f} ms, {rate} packets/s of {bytes} bytes each way

blocked ms      p50      p90      p99      max   = lost packets / offered rate
up        {up[p50]:>9.1f}{up[p90]:>9.1f}{up[p99]:>9.1f}{up[max]:>9.1f}
down      {down[p50]:>9.1f}{down[p90]:>9.1f}{down[p99]:>9.1f}{down[max]:>9.1f}
worse     {p50_blocked_ms:>9.1f}{p90_blocked_ms:>9.1f}{p99_blocked_ms:>9.1f}{max_blocked_ms:>9.1f}   \
{jumps_over_bound} over the bound

bound      {bound_ms:.2f} ms ({bound}); p99 is {p99_over_bound_ms:.2f} ms over it
{no_bound}lost       {lost_packets} of {offered_packets} packets in jumps, {lost_between_jumps} between them, \
{duplicate_packets} came twice
gap        {longest_gap_ms:.1f} ms, the longest between two arrivals
kept       session {sessions_kept} of {count}, TCP connection {tcp_kept} of {count}

blocked, worse direction
{bars}
"""
_NO_BOUND = "           (the design gives none for this fault; this is what it could reach)\n"


def table(result):
    if result["count"] == 0:
        return ""
    return _TABLE.format(**result, candidates=" to cold candidates" if result["cold"] else "",
                         no_bound=_NO_BOUND if result["fault"] == "nat-rebind" else "",
                         bars=_bars(result["distribution"]))
