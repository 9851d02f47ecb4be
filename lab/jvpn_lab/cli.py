"""The lab by hand (tools/lab): brings it up, spoils its links, shows what comes of it. topology.py draws it."""
import argparse
import re
import sys
from collections.abc import Callable

from jvpn_lab import faults, topology
from jvpn_lab.console import Failure, say, step, verdict, warn
from jvpn_lab.programs import CLIENT, GATEWAY, Program, prepare, start_both
from jvpn_lab.run import guarded
from jvpn_lab.settings import LINKS, Settings
from jvpn_lab.topology import FAULTS

_EPILOG = """\
Three links (wan0, wan1, wan2) between jvpn-client and jvpnd in network namespaces, with the programs of
build/ (or $JVPN_BUILD). Needs root. The fault commands work on any lab that is up, also on that of
tools/quickstart --keep or of a running scenario; rate, delay, flap and attack only where a link can be
emulated, as all links of `tools/lab up` can. `tools/lab COMMAND --help` lists a command's options.

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 a kernel feature is missing."""

Options = argparse.Namespace


def _number(most: float, least: float = 0) -> Callable[[str], float]:
    def parse(text: str) -> float:
        if not re.fullmatch(r"\d{1,6}(\.\d{1,3})?", text) or not least <= float(text) <= most:
            raise argparse.ArgumentTypeError(f"expected a number from {least:g} to {most:g}, got {text}")
        return float(text)
    return parse


def _up(options: Options) -> None:
    topology.lock()
    step("Namespaces, links, profiles")
    prepare(Settings(emulated=LINKS))
    if options.rtt:
        faults.usual_delay(options.rtt / 2)
    step("Gateway and client")
    start_both()
    verdict(True, "the session is ATTACHED; tools/lab status shows it, tools/lab down ends it")


def _down(_: Options) -> None:
    topology.lock()
    topology.down()


def _show(title: str, program: Program) -> None:
    say(f"\n{title}")
    if not program.runs():
        return warn(f"{program.name} does not run")
    try:
        say(program.jvpn("show").rstrip("\n"))
    except Failure:
        warn(f"{program.name} does not answer")


def _status(_: Options) -> None:
    if faults.usual_delay_ms() != "0":
        say(f"every link: delay_ms={faults.usual_delay_ms()}")
    say(f"{'LINK':<6} {'STATE':<6} {'KIND':<9} FAULTS")
    for link in LINKS:
        state = topology.ip("client", f"-br link show {link}").split()[1].lower()
        kind = "emulated" if topology.emulated(link) else "plain"
        say(f"{link:<6} {state:<6} {kind:<9} {faults.in_force(link) or '-'}")
    _show("gateway", GATEWAY)
    _show("client", CLIENT)


def _delay(options: Options) -> None:
    faults.delay(options.link, f"delay_ms={options.ms:g} jitter_ms={options.jitter_ms:g} reorder={options.reorder:g} "
                               f"duplicate={options.duplicate:g}",
                 None if options.seed is None else int(options.seed))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="tools/lab", description=__doc__, epilog=_EPILOG,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, act: Callable[[Options], object], text: str, link: bool = True) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=text, description=text)
        added.set_defaults(act=act)
        if link:
            added.add_argument("link", choices=LINKS, metavar="LINK")
        return added

    command("up", _up, "gateway and client, left running", link=False).add_argument(
        "--rtt", metavar="MS", type=_number(20_000), default=0, help="each link has that round-trip time")
    command("status", _status, "the links, their faults, and `jvpn show` of both ends", link=False)
    command("cut", lambda o: faults.cut(o.link, o.how), "stops all packets").add_argument(
        "--how", choices=("down", "silent", "out", "back", "ipv4", "ipv6"), default="silent",
        help="silent (default): every packet is dropped, both ways, and nobody is told; out, back: those out of the "
             "client, those towards it alone; ipv4, ipv6: those of that family alone; down: interface down")
    command("heal", lambda o: faults.heal(o.link),
            "takes back all faults of the link, but not --rtt; a rebound client appears from its own port again")
    command("loss", lambda o: faults.loss(o.link, o.percent), "random loss in each direction, 0 to 100").add_argument(
        "percent", metavar="PERCENT", type=_number(100))
    command("rate", lambda o: faults.rate(o.link, o.mbit), "bounds the bits per second in each direction").add_argument(
        "mbit", metavar="MBIT", type=_number(100_000, 0.1))
    delay = command("delay", _delay, "in each direction: MS, wandering within ± JITTER_MS")
    delay.add_argument("ms", metavar="MS", type=_number(10_000))
    delay.add_argument("jitter_ms", metavar="JITTER_MS", nargs="?", type=_number(10_000), default=0)
    delay.add_argument("--reorder", metavar="P", type=_number(1), default=0,
                       help="a frame is held back, so that later ones overtake it, with that probability (0 to 1)")
    delay.add_argument("--duplicate", metavar="P", type=_number(1), default=0, help="a frame is sent twice")
    delay.add_argument("--seed", metavar="N", type=_number(999_999), help="the same seed, the same fates")
    command("flap", lambda o: faults.delay(o.link, f"flap_ms={o.ms:g}"),
            "drops every packet for MS, passes them for MS, alternately; all such links at the same time").add_argument(
        "ms", metavar="MS", type=_number(60_000))
    command("rebind", lambda o: faults.rebind(o.link, o.what), "NAT rebinding: the client's packets appear from "
            "another port, or another IPv4 address and port").add_argument("what", choices=("port", "address"))
    command("attack", lambda o: say(faults.attack(o.link, *o.order)),
            "somebody on the link: `record`, `replay to=gw kind=request source=192.0.2.66`, `delay to=gw ms=6000` …; "
            "lab/link/attacker.h lists the orders").add_argument("order", metavar="ORDER", nargs="+")
    command("down", _down, "ends everything", link=False)
    return parser


def main(arguments: list[str]) -> None:
    options = _parser().parse_args(arguments)
    with guarded(lambda status: topology.clean_up(failed=status != 0, keep=True)):
        if options.command not in ("up", "down") and not FAULTS.is_dir():
            raise Failure("no lab is up: tools/lab up")
        options.act(options)


if __name__ == "__main__":
    main(sys.argv[1:])
