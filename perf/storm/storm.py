"""What the phases of `jvpn-perf storm` come to: figures, the table, and whether the bars hold."""

_HEAD = """\
{attached} sessions; paths of {delay_ms} ms one way, heartbeats every {heartbeat_ms} ms. All seconds are simulated

            all back   core   CPU of the engine              turns, us   messages for control     came by            events
phase       after, s   busy   total, s   us/session   longest  over 1ms      taken   dropped    jump  claim  denied   emitted     lost
"""
_ROW = ("{phase:<10}{back:>10}{busy_percent:>6.0f}%{cpu_s:>11.2f}{us_per_session:>13.1f}{longest_turn_us:>10.0f}"
        "{turns_over_1ms:>10}{messages:>11}{ring_full:>10}{commits:>8}{resumes:>7}{denied_total:>8}{emitted:>10}{lost:>9}\n")
_FOOT = """\

all back  the last session attached again on another path; at most {most_s:g} s. The clock moves with paths, timers and the
          CPU time of the engine's turns
busy      the engine's CPU time in that of the phase
turns     time on the CPU; what the machine takes away counts, too
dropped   for want of room at the core's rings of {ring}; the senders' own clocks repeat them
claim     by a handshake that claims the session, which peers try beside when no jump succeeds in 250 ms
events    lost: for want of room in the log's ring of {event_ring}; each announced by the log itself
"""


def _merged(*counts):
    """The sums of dictionaries."""
    return {why: sum(each.get(why, 0) for each in counts) for why in dict.fromkeys(why for each in counts for why in each)}


def _sum(phase, key):
    """Of the storm, and of the moments after it."""
    return phase[key] + phase["after"][key]


def phase_figures(phase, sessions):
    everything = (*phase["before"], phase, phase["after"])  # what went wrong may do so at any time
    endings, peers_endings, events = (_merged(*(part[key] for part in everything))
                                      for key in ("endings", "peers_endings", "events"))
    denied = _merged(phase["denied"], phase["after"]["denied"])
    seconds = phase["seconds"]
    return {"phase": phase["phase"], "seconds": seconds, "back_s": seconds if phase["back"] else None,
            "attached": phase["attached"], "bound": phase["bound"], "peers_attached": phase["peers_attached"],
            "cpu_s": phase["cpu_s"], "us_per_session": phase["cpu_s"] * 1e6 / sessions,
            "busy_percent": 100 * phase["cpu_s"] / seconds if seconds else 0,
            "longest_turn_us": max(phase["longest_turn_us"], phase["after"]["longest_turn_us"]),
            "ring_most": max(phase["ring_most"], phase["after"]["ring_most"]),
            **{key: _sum(phase, key) for key in ("turns", "messages", "turns_over_1ms", "ring_full", "rekeys", "requests",
                                                "refused", "commits", "resumes", "over_budget", "resets")},
            "endings": endings, "peers_endings": peers_endings,
            "terminated": max(sum(endings.values()), sum(peers_endings.values())),
            "denied": denied, "denied_total": sum(denied.values()), "emitted": events["emitted"],
            "lost": events["emitted"] - events["written"], "announced": events["announced"],
            "unannounced": events["emitted"] - events["written"] - events["announced"]}


def broken_bars(figures, facts):
    """What does not hold, in words."""
    broken = []
    if facts["attached"] < facts["sessions"]:
        broken.append(f"only {facts['attached']} of {facts['sessions']} sessions came up")
    if not figures:
        broken.append("nothing was measured")
    for each in figures:
        if each["back_s"] is None:
            broken.append(f"{each['phase']}: after {each['seconds']:.1f} s only {each['attached']} of {facts['sessions']} "
                          f"sessions were attached, {each['bound']} on the other path")
        elif each["back_s"] > facts["most_s"]:
            broken.append(f"{each['phase']}: the last session was attached again after {each['back_s']:.1f} s")
        elif each["peers_attached"] < facts["sessions"]:
            broken.append(f"{each['phase']}: {facts['sessions'] - each['peers_attached']} peers have no session that is "
                          "attached")
        if each["terminated"]:
            why = ", ".join(f"{reason} {count}" for reason, count in {**each["peers_endings"], **each["endings"]}.items())
            broken.append(f"{each['phase']}: {each['terminated']} sessions were terminated ({why})")
        if each["unannounced"]:
            broken.append(f"{each['phase']}: {each['unannounced']} events were lost and not announced")
    return broken


def storm(measured):
    facts = measured["facts"]
    figures = [phase_figures(phase, facts["sessions"]) for phase in measured["phases"]]
    broken = broken_bars(figures, facts)
    result = {**facts, "phases": figures}
    if broken:
        result["failure"] = "; ".join(broken)
    rows = "".join(_ROW.format(**each, back="-" if each["back_s"] is None else f"{each['back_s']:.2f}") for each in figures)
    why = "".join(f"denied    {each['phase']}: {reason} {count}\n" for each in figures
                  for reason, count in each["denied"].items())
    return result, _HEAD.format(**result) + rows + why + _FOOT.format(**result)
