"""Floods from the attacker's host (topology.add_attacker), and what they cost: lab-flood."""
import json
from dataclasses import dataclass
from pathlib import Path

from jvpn_lab import processes
from jvpn_lab.console import Failure
from jvpn_lab.processes import LAB_DIR, log_of
from jvpn_lab.programs import GATEWAY
from jvpn_lab.run import program, require_within, run
from jvpn_lab.settings import PORT, gateway4

KINDS = ("initiation", "garbage", "replay", "reattach", "cookie")
HARMLESS = "harmless"
_NAME = "flood"
_START_S = 10


@dataclass(frozen=True)
class Flooded:
    """What a flood sent, and what came back to the attacker's interface meanwhile."""

    per_s: float
    answer_ratio: float  # bytes of answers ÷ bytes of questions, frames as they are


class Flood:
    """Of one kind, by that link, for that long."""

    def __init__(self, link: str, source: str, kind: str, seconds: float, rate: int = 0, recording: Path | None = None):
        self._link, self._seconds = link, seconds
        mac = next(port["mac"] for port in GATEWAY.show()["ports"] if port["name"] == link)
        public = (LAB_DIR / "keys/gateway.pub").read_text().strip()
        self._before = self._bytes()
        words = ["--interface", link, "--source", source, "--mac", mac, "--public-key", public, "--kind", kind,
                 "--seconds", str(seconds), "--rate", str(rate), *(["--recording", recording] if recording else [])]
        processes.spawn(_NAME, "attacker", program("lab-flood"), f"{gateway4(link)}:{PORT}", *words)

    def _bytes(self) -> tuple[int, int]:
        """Received and sent by the attacker's interface."""
        stats = json.loads(run("ip", "-n", "jvpn-attacker", "-s", "-j", "link", "show", self._link))[0]["stats64"]
        return stats["rx"]["bytes"], stats["tx"]["bytes"]

    def end(self) -> Flooded:
        """Waits until it is over."""
        require_within(self._seconds + _START_S, lambda: processes.ended(_NAME), "lab-flood does not end")
        try:
            sent = json.loads(log_of(_NAME).read_text().splitlines()[-1])
        except (ValueError, IndexError):
            raise Failure(f"lab-flood failed: {log_of(_NAME).read_text().strip()[-500:]}") from None
        received, asked = (after - before for after, before in zip(self._bytes(), self._before))
        return Flooded(sent["sent"] / sent["seconds"], received / asked if asked else 0)
