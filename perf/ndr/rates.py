"""The table of `jvpn-perf ndr`."""

_TABLE = """\
{direction}, {suite}, inner packets of {size} bytes, trials of {trial_s:g} s

NDR        {ndr_mpps:.3f} Mpps, {ndr_gbps:.2f} Gbit/s; {confirmation}
PDR        {pdr_mpps:.3f} Mpps, {pdr_gbps:.2f} Gbit/s with at most 0.5 % lost
flat out   {flat_out_mpps:.3f} Mpps of {generator_max:.3f} offered

% of PDR        Mpps       p50       p90       p99     p99.9       max    lost   latency, us
"""
_ROW = "{load_percent:<12g}{mpps:>8.3f}{p50:>10.1f}{p90:>10.1f}{p99:>10.1f}{p99_9:>10.1f}{max:>10.1f}{lost:>8}\n"


def ndr(figures):
    confirmation = "not confirmed"
    if figures["confirmed_packets"]:
        confirmation = f"0 of {figures['confirmed_packets']} packets lost in the confirming trial"
    elif figures["lost_below_ndr"]:
        confirmation += f", {figures['lost_below_ndr']} packets lost in the last trial"
    text = _TABLE.format(**figures, confirmation=confirmation)
    return figures, text + "".join(_ROW.format(**row) for row in figures["latency_us"]) + "\n"
