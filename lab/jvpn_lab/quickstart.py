"""Shows the VPN at work on one machine (tools/quickstart).

Builds the VPN and shows it between three network namespaces: ping, iperf3 both ways, a file whose
SHA-256 must match at the other end, the links cut under a running transfer, which the session survives by
jumping, and a capture of the outside links that may hold nothing else than the tunnel's own messages, from
the handshake to the last jump. Needs root. Leaves nothing behind. topology.py draws the lab.
"""
import argparse
import hashlib
import os
import re
import secrets
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from jvpn_lab import captures, checks, console, faults, processes, topology, traffic
from jvpn_lab.console import Failure, info, say, show_tail, step, verdict, warn
from jvpn_lab.processes import LOGS, in_namespace
from jvpn_lab.programs import GATEWAY, active_link, both_attached, now_ms, prepare, start_dialler, start_gateway
from jvpn_lab.run import BUILD, ROOT, bounded, guarded, program, require_within, shell_helper, wait_for
from jvpn_lab.settings import CLIENT4, CLIENT6, LINKS, SERVER4, SERVER6, Settings
from jvpn_lab.timeline import timeline

_LIMIT_S = 3600
_SNAPLEN = "192"  # enough for the start of an inner payload


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="tools/quickstart", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="Exit codes: 0 everything matched, 1 something did not, 2 wrong usage, 3 a kernel feature is missing.")

    parser.add_argument("--keep", action="store_true", help="leave the lab up afterwards and print what to try")
    parser.add_argument("--down", action="store_true", help="take down what --keep left up")
    parser.add_argument("--no-jump", action="store_true", help="leave out the cut links")
    parser.add_argument("--no-install", action="store_true", help="don't install the packages of tools/packages.txt")
    parser.add_argument("--no-build", action="store_true", help="use the programs already in build/")
    parser.add_argument("--file-mib", metavar="N", type=int, default=256, help="size of the file, default 256")
    parser.add_argument("--iperf-seconds", metavar="N", type=int, default=5,
                        help="duration of each iperf3 run, default 5")
    options = parser.parse_args(arguments)
    for name, number, most in (("file-mib", options.file_mib, 4096), ("iperf-seconds", options.iperf_seconds, 600)):
        if not 1 <= number <= most:
            parser.error(f"--{name}: expected a number from 1 to {most}")
    return options


class Quickstart:
    def __init__(self, options: argparse.Namespace):
        self.options = options
        self.work = Path(tempfile.mkdtemp(prefix="jvpn-lab."))
        self.marker = f"JVPN-MK-{secrets.token_hex(4)}".encode()  # 16 bytes, as ping's pattern takes
        self.results: list[tuple[str, bool, str]] = []

    def result(self, name: str, met: bool, detail: str) -> None:
        """A line of the summary."""
        verdict(met, f"{name}: {detail}")
        self.results.append((name, met, detail))

    def build(self) -> None:
        step("Build")
        log = self.work / "build.log"
        made = (BUILD / "build.ninja").exists()
        if not made and bounded(300, "meson", "setup", BUILD, ROOT, output=log).returncode != 0:
            show_tail(log, 40)
            raise Failure("meson setup failed")
        # Only what the show needs; tools/check builds everything.
        try:
            shell_helper(1900, "ninja_build", 1800, BUILD, log, "tools/jvpnd", "tools/jvpn-client", "tools/jvpn")
        except Failure:
            show_tail(log, 40)
            raise
        verdict(True, "jvpnd, jvpn-client, jvpn")

    def start_captures(self) -> None:
        for name, host, what in [(link, "client", "") for link in LINKS] + [
                ("inside", "lan", "icmp or icmp6 or port 7001 or port 7002")]:
            traffic.record(f"tcpdump-{name}", host, "lan" if host == "lan" else name, self.work / f"{name}.pcap",
                           "-s", _SNAPLEN, "-B", "16384", *what.split())
        verdict(True, f"tcpdump on {' '.join(LINKS)} and inside")

    def check_captures(self) -> None:
        step("What was on the wire")
        missed = 0
        for name in (*LINKS, "inside"):
            processes.stop(f"tcpdump-{name}", signal.SIGINT)
            said = processes.log_of(f"tcpdump-{name}").read_text()
            missed += sum(map(int, re.findall(r"^(\d+) packets? dropped by kernel", said, re.M)))
        if missed:
            warn(f"tcpdump could not keep up: {missed} packets not captured")
        sound, lines = captures.check([self.work / f"{link}.pcap" for link in LINKS], self.marker,
                                      ("initiation", "response", "data"))
        info("\n".join(lines))
        self.result("outside links", sound, "only JVP/1, no marker in clear")
        count = captures.count(self.work / "inside.pcap", self.marker)
        self.result("inside link", count > 0, f"inside.pcap: {count} x {self.marker.decode()}")

    def ping(self, host: str, address: str) -> None:
        """20 echoes that carry the marker, none may be lost."""
        words = f"ping -n -q -c 20 -i 0.05 -W 2 -s 200 -p {self.marker.hex()} {address}".split()
        said = bounded(15, *in_namespace(host, *words)).stdout
        lost = re.search(r"([\d.]+)% packet loss", said)
        times = re.search(r"^rtt [^=]*= ([^,\n]*)", said, re.M)
        detail = f"{lost[1] if lost else 100}% lost" + (f", min/avg/max/mdev {times[1]}" if times else "")
        self.result(f"ping {host} > {address}", bool(lost) and lost[1] == "0", detail)

    def datagrams(self, host: str, address: str, receiver: str) -> None:
        """100 UDP datagrams of the marker."""
        file = self.work / "datagrams"
        processes.spawn("datagrams", receiver, "socat", "-u", "UDP6-RECV:7001,ipv6only=0", f"OPEN:{file},creat,trunc")
        require_within(5, lambda: traffic.listens(receiver, 7001, "u"), "the datagram receiver did not start")
        script = 'for ((i = 0; i < 100; i++)); do echo "$0 datagram $i" >"/dev/udp/$1/7001"; sleep 0.002; done'
        sent = bounded(15, *in_namespace(host, "bash", "-c", script, self.marker.decode(), address)).returncode == 0

        def arrived() -> int:
            return file.read_bytes().count(b"\n")

        complete = wait_for(3, lambda: arrived() >= 100)
        processes.stop("datagrams")
        self.result(f"UDP {host} > {address}", sent and complete, f"{arrived()} of 100 datagrams")

    def iperf(self, name: str, address: str, *options: str) -> None:
        try:
            rate = f"{traffic.iperf(self.options.iperf_seconds, address, *options):.2f}"
        except Failure as failure:
            info(str(failure))
            rate = "no"
        self.result(name, rate not in ("no", "0.00"), f"{rate} Gbit/s")

    def file(self) -> None:
        """A random file from the client to the server; its sum is taken at both ends. It starts with the marker many
        times, so that TCP segments carry it as well."""
        mib, sent, received = self.options.file_mib, self.work / "sent", self.work / "received"
        with sent.open("wb") as file:
            file.write((self.marker + b"\n") * 4096)
            for _ in range(mib):
                file.write(os.urandom(1 << 20))
        processes.spawn("file-receiver", "lan", "socat", "-u", "TCP6-LISTEN:7002,ipv6only=0",
                        f"OPEN:{received},creat,trunc")
        require_within(5, lambda: traffic.listens("lan", 7002), "the file receiver did not start")
        began = time.monotonic()
        done = bounded(60 + mib, *in_namespace("client", "socat", "-u", f"OPEN:{sent},rdonly",
                                               f"TCP:{SERVER4}:7002,connect-timeout=5"),
                       output=processes.log_of("file-sender")).returncode == 0
        done = wait_for(30, lambda: processes.ended("file-receiver")) and done
        seconds = time.monotonic() - began
        processes.stop("file-receiver")
        sums = [_sha256(path) for path in (sent, received)]
        sent.unlink()
        received.unlink(missing_ok=True)
        self.result(f"file of {mib} MiB", done and sums[0] == sums[1], f"SHA-256 {sums[1][:12]}… after {seconds:.1f} s")

    def traffic(self) -> None:
        step("Traffic through the tunnel")
        for host, address in (("client", SERVER4), ("client", SERVER6), ("lan", CLIENT4), ("lan", CLIENT6)):
            self.ping(host, address)
        self.datagrams("client", SERVER4, "lan")
        self.datagrams("lan", CLIENT4, "client")
        self.iperf("iperf3 client > server", SERVER4)
        self.iperf("iperf3 server > client", SERVER4, "-R")
        self.iperf("iperf3 over inner IPv6", SERVER6)
        self.file()
        step("Sessions")
        info(f"$ jvpn --socket {GATEWAY.socket} show")
        info("\n".join(f"  {line}" for line in GATEWAY.jvpn("show").splitlines()))
        self.result("jvpn show", both_attached(), "the session is ATTACHED at both ends")

    def fault(self, what: str, spoil: Callable[[str], None]) -> None:
        """The active link is spoilt; the session has to go on by another."""
        before = checks.Noted()
        began = now_ms()
        info(f"{before.link}: {what}")
        spoil(before.link)
        kept = (wait_for(10, before.jumped) and wait_for(0, before.same) and wait_for(0, before.versions_rose)
                and traffic.transfer_goes_on(15))
        by = active_link() if kept else "no link"
        self.result(f"{before.link} {what}", kept,
                    f"the same session goes on by {by}, TCP moves again after {now_ms() - began} ms")
        self.ping("client", SERVER4)

    def jumps(self) -> None:
        """A transfer runs, the active link is cut silently, then the next by link-down, then the first heals."""
        step("Jumps under a running transfer")
        since, first = now_ms(), active_link()
        traffic.start_transfer(48, 24)
        wait_for(5, lambda: traffic.received() > 1 << 20)
        self.fault("cut silently", lambda link: faults.cut(link, "silent"))
        second = active_link()
        if second != first:
            self.fault("goes down", lambda link: faults.cut(link, "down"))
        faults.heal(first)
        info(f"{first}: healed")
        met = traffic.transfer_finishes()
        self.result("transfer through the jumps", met, traffic.transfer_summary())
        faults.heal(second)
        step("What happened when")
        info(timeline(since))
        self.result("jvpn audit", checks.audit_clean(), checks.audit_verdict())

    def summary(self) -> None:
        step("Summary")
        for name, met, detail in self.results:
            info(f"{name:<26} {'ok' if met else 'FAILED':<6} {detail}")
        failures = sum(not met for _, met, _ in self.results)
        if failures:
            raise Failure(f"{failures} of {len(self.results)} checks failed")
        say(f"{console.GREEN}all {len(self.results)} checks passed in {console.elapsed()}{console.PLAIN}")

    def run(self) -> None:
        if not self.options.no_install:
            step("Packages")
            shell_helper(1800, "install_packages")
        if not self.options.no_build:
            self.build()
        step("Lab: namespaces, links, hugepages")
        settings = Settings()
        prepare(settings)
        verdict(True, f"jvpn-client, jvpn-gw, jvpn-lan; ports by {settings.driver}, {settings.queues} queue(s) each")
        step("Gateway and client")
        self.start_captures()
        start_gateway()
        verdict(True, "jvpnd answers")
        start_dialler()
        verdict(True, "the client's session is ATTACHED")
        self.traffic()
        if not self.options.no_jump:
            self.jumps()
        self.check_captures()
        self.summary()


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _print_what_to_try() -> None:
    step("The lab stays up. What to try:")
    info(f"ip netns exec jvpn-client ping {SERVER4}\n"
         f"ip netns exec jvpn-lan iperf3 -s & ip netns exec jvpn-client iperf3 -c {SERVER4}\n"
         f"{os.path.relpath(program('jvpn'))} --socket {GATEWAY.socket} show\n"
         f"ip netns exec jvpn-client tcpdump -n -i wan0\n"
         f"tail -f {LOGS}/jvpnd.log\n"
         f"and take it down with: tools/quickstart --down")


def main(arguments: list[str]) -> None:
    options = _parse(arguments)
    show = Quickstart(options)

    def clean_up(status: int) -> None:
        topology.clean_up(failed=status != 0, keep=options.keep)
        shutil.rmtree(show.work, ignore_errors=True)
        if status == 0 and options.keep and not options.down:
            _print_what_to_try()

    with guarded(clean_up, _LIMIT_S):
        topology.lock()
        if options.down:
            topology.down()
            verdict(True, "the lab is down")
        else:
            show.run()


if __name__ == "__main__":
    main(sys.argv[1:])
