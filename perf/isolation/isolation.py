"""What the phases of `jvpn-perf isolation` come to: figures, the table, and whether the bars hold."""

import math

_QUIET = "none"  # the phase without a fault

_HEAD = """\
{attached} idle sessions, set up in {setup_s:.1f} s ({handshakes_per_s:.0f} handshakes/s); a heartbeat every \
{heartbeat_ms} ms each

                  answered after, ms             sessions    control's longest turn, ms              driver, ms
fault          p50      p99      max      added   lost          ran  passed   over 1 ms   most of it     ran   kept
"""
_ROW = ("{fault:<12}{p50_ms:>6.2f}{p99_ms:>9.2f}{max_ms:>9.2f}{added_ms:>11.2f}{lost_sessions:>7}"
        "{turn_cpu_ms:>13.2f}{turn_ms:>8.2f}{turns_over_1ms:>12}   {longest_part:<11}{driver_cpu_ms:>6.2f}"
        "{driver_kept_ms:>7.2f}\n")
_FOOT = """\

machine    with both CPUs busy, held up a thread that only touches memory for longer than 1 ms {machine_stalls} times in {machine_s:g} s, for \
{machine_ms:.2f} ms
           at most: so often a turn may be long and nobody's fault
added      the latest answer, later than the latest without a fault, but for the time that the driver was kept
           from the CPU; at most {most_delay_ms:g} ms
turn       ran: on the CPU, at most {most_turn_ms:g} ms but for the machine's part; passed: with what else the CPU did meanwhile
driver     peers, fault and worker: the longest that one round of them ran, and was kept from the CPU
"""


def phase_figures(phase, quiet):
    """Milliseconds; `quiet`: the phase without a fault."""
    beats, turns = phase["heartbeats"], phase["turns"]
    rounds = phase["generator"]
    added = beats["max_own_us"] - quiet["heartbeats"]["max_own_us"]
    return {"fault": phase["fault"], "seconds": phase["seconds"],
            "heartbeats": beats["sent"], "unanswered": beats["unanswered"], "lost_sessions": phase["lost_sessions"],
            "p50_ms": beats["p50_us"] / 1e3, "p99_ms": beats["p99_us"] / 1e3, "max_ms": beats["max_us"] / 1e3,
            "added_ms": max(added, 0) / 1e3,
            "turn_cpu_ms": turns["longest_cpu_us"] / 1e3, "turn_ms": turns["longest_us"] / 1e3,
            "turns_over_1ms": turns["over_1ms"], "longest_part": max(turns["parts_us"], key=turns["parts_us"].get),
            "parts_ms": {name: us / 1e3 for name, us in turns["parts_us"].items()},
            "driver_ms": rounds["longest_us"] / 1e3, "driver_cpu_ms": rounds["longest_cpu_us"] / 1e3,
            "driver_kept_ms": rounds["longest_kept_us"] / 1e3, "driver_waited": rounds["waited"],
            "driver_preempted": rounds["preempted"], "driver_refused": phase["generator_refused"],
            "counted": phase["counted"], "told": phase["told"]}


def excused_turns(machine, seconds):
    """Long turns that so many seconds on this machine hold by themselves: the mean and three standard deviations, of
    what happens in a phase and of the mean, which is an estimate, too."""
    mean = machine["over_1ms"] / machine["seconds"] * seconds
    return math.floor(mean + 3 * math.sqrt(mean * (1 + seconds / machine["seconds"])))


def broken_bars(figures, facts):
    """What does not hold, in words."""
    broken = []
    if facts["attached"] < facts["sessions"]:
        broken.append(f"only {facts['attached']} of {facts['sessions']} sessions came up")
    if not figures:
        broken.append("nothing was measured")
    for each in figures:
        if each["heartbeats"] == 0:
            broken.append(f"{each['fault']}: no heartbeat was sent")
        if each["lost_sessions"]:
            told = ", ".join(f"{why} {count}" for why, count in facts["endings"].items()) or "nothing"
            broken.append(f"{each['fault']}: {each['lost_sessions']} sessions lost; of ends the gateway said: {told}")
        if each["added_ms"] > facts["most_delay_ms"]:
            broken.append(f"{each['fault']}: a heartbeat was answered {each['added_ms']:.1f} ms later than without it")
        excused = 0 < each["turns_over_1ms"] <= excused_turns(facts["machine"], each["seconds"])
        if each["turn_cpu_ms"] > facts["most_turn_ms"] and not excused:
            broken.append(f"{each['fault']}: control ran for {each['turn_cpu_ms']:.2f} ms at once "
                          f"({each['longest_part']})")
    return broken


def isolation(measured):
    phases, facts = measured["phases"], measured["facts"]
    quiet = next((phase for phase in phases if phase["fault"] == _QUIET), None)
    figures = [phase_figures(phase, quiet) for phase in phases] if quiet else []
    broken = broken_bars(figures, facts)
    machine = facts["machine"]
    table = {"machine_stalls": machine["over_1ms"], "machine_s": machine["seconds"],
             "machine_ms": machine["longest_cpu_us"] / 1e3}
    result = {**facts, "handshakes_per_s": facts["attached"] / facts["setup_s"], "faults": figures}
    if broken:
        result["failure"] = "; ".join(broken)
    return result, _HEAD.format(**result) + "".join(_ROW.format(**each) for each in figures) + _FOOT.format(**result, **table)
