"""Sessions of many clients beside the measured one: many_clients.cc, one process on the client's host."""
import json

from e2e import LAB_DIR, OUTSIDE4, PORT, log_of, program, require_within, spawn

CROWD = "many-clients"


def crowd() -> dict:
    """What became of the many clients so far."""
    lines = log_of(CROWD).read_text().splitlines()
    return json.loads(lines[-1]) if lines else {"attached": 0, "at": {}}


def start_crowd(sessions: int, *gateways: str) -> None:
    """Dials gateways of these addresses by wan0, the first of them first, and waits until all are attached there."""
    public = (LAB_DIR / "keys/gateway.pub").read_text().strip()
    spawn(CROWD, "client", program(CROWD), "dial", LAB_DIR / "keys/crowd.keys", "--public-key", public, "--source",
          OUTSIDE4["wan0"], *(word for gateway in gateways for word in ("--gateway", f"{gateway}:{PORT}")))
    require_within(10 + sessions / 50, lambda: crowd()["at"].get(gateways[0], 0) == sessions,
                   "the many clients aren't attached")
