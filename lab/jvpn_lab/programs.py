"""jvpnd and jvpn-client in the lab: starting them, and what they tell of themselves."""
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jvpn_lab import processes, topology
from jvpn_lab.console import Failure
from jvpn_lab.processes import LAB_DIR
from jvpn_lab.profiles import write_keys, write_profiles
from jvpn_lab.run import Unanswered, bounded, program, require_within, run
from jvpn_lab.settings import LINKS, OUTSIDE4, OUTSIDE6, Settings


@dataclass(frozen=True)
class Program:
    """One end of the tunnel. What asks the running program raises Unanswered when it does not answer."""

    name: str
    host: str
    profile: str

    @property
    def socket(self) -> Path:
        return LAB_DIR / f"{self.name}.sock"

    @property
    def log(self) -> Path:
        return processes.log_of(self.name)

    def start(self, keep_log: bool = False) -> None:
        """A new log, unless that of an earlier run is kept and goes on."""
        command = [program("jvpn-client")]
        if self.name != "jvpn-client":
            # libxdp: no dispatcher program, of which something could stay behind in the BPF file system.
            command = ["env", "LIBXDP_SKIP_DISPATCHER=1", program("jvpnd")]
        processes.spawn(self.name, self.host, *command, LAB_DIR / self.profile, keep_log=keep_log)

    def jvpn(self, *words: str) -> str:
        """What `jvpn WORDS` says through this program's socket."""
        return run(program("jvpn"), "--socket", self.socket, *words, seconds=15)

    def show(self) -> dict[str, Any]:
        done = bounded(5, program("jvpn"), "--socket", self.socket, "show", "--json")
        try:
            return json.loads(done.stdout)
        except ValueError:
            raise Unanswered(f"{self.name} does not answer: {done.stdout.strip()}") from None

    def session(self) -> dict[str, Any]:
        """The one live session."""
        sessions = self.show()["sessions"]
        if len(sessions) != 1:
            raise Unanswered(f"{self.name} has {len(sessions)} sessions instead of one")
        return sessions[0]

    def session_of(self, peer: str) -> dict[str, Any]:
        """The live session with that peer, by its name in the profile."""
        found = [each for each in self.show()["sessions"] if each["peer"] == peer]
        if len(found) != 1:
            raise Unanswered(f"{self.name} has {len(found)} sessions with {peer} instead of one")
        return found[0]

    def answers(self) -> bool:
        return bool(self.show())

    def attached(self) -> bool:
        return any(session["state"] == "ATTACHED" for session in self.show()["sessions"])

    def drops(self, *names: str) -> int:
        """Packets dropped so far under any of these names."""
        return sum(self.show()["drops"].get(name, 0) for name in names)

    def told(self, pattern: str) -> int:
        """How many events in its log match; keys stand as in control/events/event_json.h."""
        return processes.logged(self.name, f"^{{.*{pattern}")

    def switches(self) -> int:
        return self.told('"TRANSPORT_SWITCH".*"TRANSPORT_SWITCH_OK"')

    def runs(self) -> bool:
        return processes.runs(self.name)

    def stop(self, *how: int) -> None:
        processes.stop(self.name, *how)


GATEWAY = Program("jvpnd", "gw", "gateway.yaml")
CLIENT = Program("jvpn-client", "client", "client.yaml")
GATEWAY2 = Program("jvpnd2", "gw2", "gateway2.yaml")


def dialler() -> Program:
    """Whoever dials the gateway in this lab."""
    return CLIENT if topology.exists("client") else GATEWAY2


def both_attached() -> bool:
    return dialler().attached() and GATEWAY.attached()


def active_link() -> str:
    """The link that the dialling end's session uses."""
    address = dialler().session()["local"].rpartition(":")[0]
    for link in LINKS:
        if address in (OUTSIDE4[link], f"[{OUTSIDE6[link]}]"):
            return link
    raise Unanswered(f"{address} is on none of the links")


def prepare(settings: Settings) -> None:
    """Namespaces, links, keys and profiles; nothing runs yet."""
    topology.up(settings)
    write_keys()
    write_profiles(settings)


def start_gateway() -> None:
    """Starts jvpnd and waits for its admin socket."""
    GATEWAY.start()
    require_within(30, lambda: not GATEWAY.runs() or GATEWAY.answers(), "jvpnd does not answer within 30 s")
    if not GATEWAY.runs():
        raise Failure("jvpnd ended at once")


def start_dialler() -> None:
    """Starts jvpn-client, or the second jvpnd, and waits until both ends call the session ATTACHED."""
    ends = (dialler(), GATEWAY)
    dialler().start()
    require_within(20, lambda: not all(end.runs() for end in ends) or both_attached(), "no session within 20 s")
    for end in ends:
        if not end.runs():
            raise Failure(f"{end.name} ended before the session was attached")


def start_both() -> None:
    start_gateway()
    start_dialler()


def planned_jump(link: str, succeeds: bool = True) -> None:
    """Orders a planned jump to that link, whose outcome has to be the one expected."""
    if succeeds:
        dialler().jvpn("jump", "--underlay", link)
        return
    done = bounded(15, program("jvpn"), "--socket", dialler().socket, "jump", "--underlay", link)
    if done.returncode != 1:
        raise Failure(f"a jump to {link} that can't succeed: exit code {done.returncode}, {done.stdout.strip()}")


def now_ms() -> int:
    return time.time_ns() // 1_000_000
