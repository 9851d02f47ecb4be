"""The measurement behind `jvpn-perf peers`: the same TCP stream through jvpn and other VPNs, in turns."""
import argparse
from statistics import median

import script

from jvpn_lab import peers

_PEERS = ("jvpn", "wireguard-go", "openvpn")
_OTHERS = {"wireguard-go": "jvpn_over_wireguard_go", "openvpn": "jvpn_over_openvpn"}


def measure(options, found):
    """Found: {peer: {"missing": packages, "gbps": [of each round], "cpu_s": […]}}."""
    for peer in options["peers"]:
        found[peer] = {"missing": peers.missing(peer), "gbps": [], "cpu_s": []}
    peers.prepare()
    turns = options["peers"] * options["rounds"]
    for turn, peer in enumerate(turns):
        script.progress(turn, len(turns), peer)
        if found[peer]["missing"]:
            continue
        peers.start_tunnel(peer)
        gbps, cpu_s = peers.stream(peer, options["seconds"])
        found[peer]["gbps"].append(gbps)
        found[peer]["cpu_s"].append(cpu_s)
        peers.end_tunnel(peer)


def jvpn_over(found, other):
    """Median over the rounds of jvpn's rate ÷ the other's in the same round; None without both."""
    rates = [found.get(peer, {}).get("gbps", []) for peer in ("jvpn", other)]
    ratios = [ours / theirs for ours, theirs in zip(*rates) if theirs > 0]
    return median(ratios) if ratios else None


def _json_of(peer, figures):
    missing, gbps = figures["missing"], figures["gbps"]
    status = "not installed" if missing else "measured" if gbps else "not measured"
    return {"peer": peer, "status": status} | ({"missing_packages": missing} if missing else {}) | ({
        "gbps": median(gbps), "gbps_min": min(gbps), "gbps_max": max(gbps), "cpu_s": median(figures["cpu_s"]),
        "streams": len(gbps)} if gbps else {})


def _table(measured):
    text = (f"one TCP stream of {measured['seconds']} s, client to server, {measured['rounds']} rounds\n\n"
            "Gbit/s            median     min     max    CPU s\n")
    for peer in measured["peers"]:
        text += ("{peer:<14}{gbps:>10.3f}{gbps_min:>8.3f}{gbps_max:>8.3f}{cpu_s:>9.2f}\n".format(**peer)
                 if "gbps" in peer else f"{peer['peer']:<14}  {peer['status']} {peer.get('missing_packages', '')}\n")
    return text + "".join(f"\njvpn / {other} {measured[key]:.2f}" for other, key in _OTHERS.items()
                          if key in measured) + "\n\n"


def result(options, found, failure):
    ratios = {key: ratio for other, key in _OTHERS.items() if (ratio := jvpn_over(found, other)) is not None}
    measured = {"seconds": options["seconds"], "rounds": options["rounds"],
                "peers": [_json_of(*entry) for entry in found.items()], **ratios, "failure": failure}
    return measured, _table(measured), {}


def _peers(text):
    if unknown := set(text.split(",")) - set(_PEERS):
        raise argparse.ArgumentTypeError(f"{', '.join(sorted(unknown))}: expected some of {', '.join(_PEERS)}")
    return text.split(",")


def parser():
    words = script.Parser("One TCP stream through jvpn, wireguard-go and OpenVPN in the lab, in turns.")
    words.add_number("--seconds", 5, 1, 60, "of a stream")
    words.add_number("--rounds", 3, 1, 50, "in each of which every VPN has its turn")
    words.add_argument("--peers", type=_peers, default=list(_PEERS), metavar="LIST", help=", ".join(_PEERS))
    return words


if __name__ == "__main__":
    script.in_lab(parser(), measure, result)
