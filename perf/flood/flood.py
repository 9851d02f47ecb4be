"""The measurement behind `jvpn-perf flood`: a session's goodput, and new clients, while somebody without a configured
key floods the port that they use as fast as one core can; beside the same rate of packets that no gateway looks at."""
import argparse
import json
import signal
from pathlib import Path
from statistics import median

import script

from jvpn_lab import floods, processes, topology, traffic
from jvpn_lab.processes import LAB_DIR, log_of
from jvpn_lab.programs import CLIENT, GATEWAY, planned_jump, prepare, start_both
from jvpn_lab.run import Unanswered, program, require_within, wait_for
from jvpn_lab.settings import OUTSIDE4, PORT, SERVER4, Settings, gateway4

_LINK, _OTHER = "wan0", "wan1"
_ATTACKER = "192.0.2.66"
_CROWD = "many-clients"
_LATE_S = 10  # for those who dialled last
_SETTLE_S = 30
_LEAD_S, _TAIL_S = 1, 2  # the flood around what is measured
_NONE = {"count": 0, "p50_ms": None, "p99_ms": None, "most_ms": None}


def _rss():
    status = Path(f"/proc/{processes.pid_of('jvpnd')}/status").read_text()
    return 1024 * int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS:")))


def _crowd():
    lines = log_of(_CROWD).read_text().splitlines()
    return json.loads(lines[-1])["connected"] if lines else _NONE


class FloodRun:
    """Fills `found`: for each kind the phases, one dictionary for each."""

    def __init__(self, options, found):
        self.options, self.found = options, found
        self.recording = LAB_DIR / "flood.pcap"

    def run(self):
        kinds = self.options["kinds"]
        script.progress(0, 1, "bringing the lab up")
        self.prepare()
        # The first phases make what stays: pools that fill, sessions of the crowd.
        self.phase(floods.HARMLESS, 0)
        self.found["rss_before"] = _rss()
        turns = kinds * self.options["rounds"]
        for turn, kind in enumerate(turns):
            script.progress(turn, len(turns), kind)
            flooded = self.phase(kind, 0)
            harmless = self.phase(floods.HARMLESS, round(flooded["per_s"]))
            self.found["kinds"].setdefault(kind, []).append({"flooded": flooded, "harmless": harmless})
            self.found["rss_after"] = _rss()

    def prepare(self):
        clients = self.options["clients"]
        settings = Settings(emulated=[_LINK], crowd=clients)
        self.found |= {"kinds": {}, "environment": {"port_driver": settings.driver, "workers": settings.queues}}
        prepare(settings)
        topology.add_attacker(_LINK, _ATTACKER)
        traffic.record("recorder", "client", _LINK, self.recording, "-U", "udp")
        start_both()
        for link in (_OTHER, _LINK):  # one of the two is no jump
            if CLIENT.session()["local"].split(":")[0] != OUTSIDE4[link]:
                planned_jump(link)
        processes.stop("recorder", signal.SIGINT)

    def phase(self, kind, rate):
        """One flood, of that rate or as fast as it goes; the session sends and new clients dial meanwhile."""
        seconds = self.options["seconds"]
        flood = floods.Flood(_LINK, _ATTACKER, kind, _LEAD_S + seconds + _TAIL_S, rate, self.recording)
        public = (LAB_DIR / "keys/gateway.pub").read_text().strip()
        processes.spawn(_CROWD, "client", program(_CROWD), "dial", LAB_DIR / "keys/crowd.keys", "--public-key", public,
                        "--source", OUTSIDE4[_LINK], "--gateway", f"{gateway4(_LINK)}:{PORT}", "--per-second",
                        str(max(1, round(self.options["clients"] / seconds))))
        gbps = traffic.iperf(seconds, SERVER4, margin=30)
        flooded = flood.end()
        within = _crowd()
        wait_for(_LATE_S, lambda: _crowd()["count"] == self.options["clients"])
        processes.stop(_CROWD)
        require_within(_SETTLE_S, self.settled, "the gateway doesn't settle after a flood")
        return {"gbps": gbps, "per_s": flooded.per_s, "answer_ratio": flooded.answer_ratio, "connects": within}

    def settled(self):
        try:
            return GATEWAY.attached() and CLIENT.attached()
        except Unanswered:
            return False


def kind_figures(phases, clients):
    """Medians over the rounds; of connects the worst."""
    connects = [phase["flooded"]["connects"] for phase in phases]

    def worst(name):
        values = [each[name] for each in connects if each[name] is not None]
        return max(values) if values else None

    return {"goodput_ratio": median([phase["flooded"]["gbps"] / phase["harmless"]["gbps"] for phase in phases]),
            "gbps": median([phase["flooded"]["gbps"] for phase in phases]),
            "harmless_gbps": median([phase["harmless"]["gbps"] for phase in phases]),
            "per_s": median([phase["flooded"]["per_s"] for phase in phases]),
            "harmless_per_s": median([phase["harmless"]["per_s"] for phase in phases]),
            "answer_ratio": max(phase["flooded"]["answer_ratio"] for phase in phases),
            "clients": clients, "connected": min(each["count"] for each in connects),
            "p50_connect_ms": worst("p50_ms"), "p99_connect_ms": worst("p99_ms"),
            "harmless_connected": min(phase["harmless"]["connects"]["count"] for phase in phases),
            "harmless_p50_connect_ms": median(beside) if (beside := [
                phase["harmless"]["connects"]["p50_ms"] for phase in phases
                if phase["harmless"]["connects"]["p50_ms"] is not None]) else None,
            "rounds": len(phases)}


def flood_figures(kinds, clients):
    """Of all kinds together the worst of each."""
    figures = {kind: kind_figures(phases, clients) for kind, phases in kinds.items() if phases}
    if not figures:
        return {"kinds": {}}

    def most(name):
        values = [each[name] for each in figures.values()]
        return None if None in values else max(values)

    return {"goodput_ratio": min(each["goodput_ratio"] for each in figures.values()),
            "connected": min(each["connected"] for each in figures.values()), "clients": clients,
            "p50_connect_ms": most("p50_connect_ms"), "p99_connect_ms": most("p99_connect_ms"),
            "answer_ratio": most("answer_ratio"), "kinds": figures}


def table(figures, seconds):
    def number(value):
        return "     never" if value is None else f"{value:>10.0f}"

    text = f"floods of {seconds} s as fast as one core sends, beside the same rate of packets to a port without a listener\n\n"
    text += "kind            per s   Gbit/s  harmless   ratio  connected       p50       p99 ms  answers\n"
    for kind, each in figures["kinds"].items():
        text += (f"{kind:<12}{each['per_s']:>9.0f}{each['gbps']:>9.3f}{each['harmless_gbps']:>10.3f}"
                 f"{each['goodput_ratio']:>8.2f}{each['connected']:>5}/{each['clients']:<5}"
                 f"{number(each['p50_connect_ms'])}{number(each['p99_connect_ms'])}{each['answer_ratio']:>9.3f}\n")
    return text + "\n"


def measure(options, found):
    FloodRun(options, found).run()


def result(options, found, failure):
    figures = flood_figures(found.get("kinds", {}), options["clients"])
    if "rss_after" in found:
        figures["rss_growth_bytes"] = found["rss_after"] - found["rss_before"]
    text = table(figures, options["seconds"])
    if "rss_growth_bytes" in figures:
        text += f"jvpnd's memory grew by {figures['rss_growth_bytes'] / 1024:.0f} KiB\n\n"
    return figures | {"seconds": options["seconds"], "failure": failure}, text, found.get("environment", {})


def _kinds(text):
    if unknown := set(text.split(",")) - set(floods.KINDS):
        raise argparse.ArgumentTypeError(f"{', '.join(sorted(unknown))}: expected some of {', '.join(floods.KINDS)}")
    return text.split(",")


def parser():
    words = script.Parser("A session and new clients while the gateway is flooded, in the lab.")
    words.add_number("--seconds", 6, 2, 60, "of a flood in which the session sends")
    words.add_number("--rounds", 3, 1, 50, "in each of which every kind has its turn")
    words.add_number("--clients", 60, 1, 1000, "that dial during a flood")
    words.add_argument("--kinds", type=_kinds, default=list(floods.KINDS), metavar="LIST", help=", ".join(floods.KINDS))
    return words


if __name__ == "__main__":
    script.in_lab(parser(), measure, result)
