"""What the slices of `jvpn-perf handshake` come to: figures and the table."""
from collections import namedtuple

from samples import median, spread

_DERIVATIONS = 4  # X25519 results that one side of IKpsk2 cannot do without: es, ss, ee, se

# Seconds that one of each took (perf/handshake/handshake.cc).
Slice = namedtuple("Slice", "responder initiator raw_x25519 product_x25519 ephemeral")


def _per_second(seconds):
    return 1 / seconds if seconds > 0 else 0


def run_figures(slices):
    """Medians over the slices of one run. Ratios are of the slices' own: each compares what ran within milliseconds."""
    slices = [Slice(*one) for one in slices]
    both = [one.responder + one.initiator for one in slices]
    four = [_DERIVATIONS * one.product_x25519 for one in slices]
    return {
        "responder_per_s": _per_second(median([one.responder for one in slices])),
        "both_sides_per_s": _per_second(median(both)),
        "raw_x25519_per_s": _per_second(median([one.raw_x25519 for one in slices])),
        "responder_ratio": median([_DERIVATIONS * one.raw_x25519 * _per_second(one.responder) for one in slices]),
        "both_sides_ratio": median([2 * _DERIVATIONS * one.raw_x25519 * _per_second(seconds)
                                    for one, seconds in zip(slices, both)]),
        "x25519_us": 1e6 * median(four),
        "ephemeral_us": 1e6 * median([one.ephemeral for one in slices]),
        "rest_us": 1e6 * median([one.responder - keys - one.ephemeral for one, keys in zip(slices, four)])}


_TABLE = """\
{handshakes} handshakes, {suite}, {runs} runs

per s, core    median       min       max     ratio     min     max
responder   {responder}
both sides  {both_sides}
raw X25519  {raw_x25519_per_s:>10.0f}{raw_x25519_per_s_min:>10.0f}{raw_x25519_per_s_max:>10.0f}

responder  {us[x25519]:.1f} us in four X25519, {us[ephemeral_key]:.1f} us for its ephemeral key, {us[rest]:.1f} us \
for the rest
ratio      to raw X25519 / 4; of both sides, to raw X25519 / 8
"""
_SIDE = ("{handshakes_per_s:>10.0f}{handshakes_per_s_min:>10.0f}{handshakes_per_s_max:>10.0f}{ratio:>10.3f}"
         "{ratio_min:>8.3f}{ratio_max:>8.3f}")


def handshake(measured):
    runs = [run_figures(slices) for slices in measured["runs"]]

    def of(name):
        return [run[name] for run in runs]

    responder, both_sides = (spread("handshakes_per_s", of(f"{side}_per_s")) | spread("ratio", of(f"{side}_ratio"))
                             for side in ("responder", "both_sides"))
    figures = {
        "handshakes_per_s": responder["handshakes_per_s"], "ratio": responder["ratio"],
        **spread("raw_x25519_per_s", of("raw_x25519_per_s")), "responder": responder, "both_sides": both_sides,
        "responder_us": {"x25519": median(of("x25519_us")), "ephemeral_key": median(of("ephemeral_us")),
                         "rest": median(of("rest_us"))},
        "counted": "responder: all of the engine's work on one core from initiation to confirmed session; ratio to raw "
                   "X25519 / 4, both sides to raw X25519 / 8",
        "runs": len(runs), **measured["facts"]}
    return figures, _TABLE.format(**figures | {"responder": _SIDE.format(**responder),
                                               "both_sides": _SIDE.format(**both_sides)},
                                  us=figures["responder_us"])
