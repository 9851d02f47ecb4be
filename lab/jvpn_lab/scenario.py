"""What every end-to-end scenario shares, and the words it is written in. A scenario is a short script:

  from e2e import CLIENT, scenario, step, ...

  with scenario(120) as s:  # a time limit; the lab is taken down whatever happens
      s.session()           # namespaces, jvpnd, jvpn-client, one ATTACHED session
      s.expect("what should hold", condition)
"""
# ruff: noqa: F401  (what is imported here is for the scenarios, too)
import contextlib
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from jvpn_lab import checks, fallback, faults, floods, machine, processes, profiles, topology
from jvpn_lab.console import Failure, info, show_tail, step, verdict
from jvpn_lab.processes import LAB_DIR, LOGS, in_namespace, log_of, logged, spawn
from jvpn_lab.programs import (CLIENT, GATEWAY, Program, active_link, both_attached, now_ms, planned_jump, prepare,
                               start_both, start_dialler, start_gateway)
from jvpn_lab.run import (ROOT, Unanswered, bounded, end_process, guarded, program, require_within, run, succeeds,
                          wait_for)
from jvpn_lab.settings import (CLIENT4, CLIENT6, LINKS, OUTSIDE4, PORT, SERVER4, SERVER6, SITE4, SITE6, Settings,
                               endpoints, gateway4, second_gateway4)
from jvpn_lab.timeline import events, timeline
from jvpn_lab.topology import in_ns, ip
from jvpn_lab.traffic import (iperf_moves, numbered_loss, pings, record, start_iperf_server, start_numbered,
                              start_transfer, transfer_finishes,
                              transfer_goes_on, transfer_summary)


class Scenario:
    def __init__(self) -> None:
        self.expected = self.unmet = 0
        self.work = Path(tempfile.mkdtemp(prefix="jvpn-e2e."))  # the scenario's own files
        self.noted: checks.Noted  # the session, as the next jump is judged against it
        self.since_ms = now_ms()  # of the timeline

    def expect(self, what: str, condition: Callable[[], object] | object, within: float = 0) -> None:
        """The condition has to hold, at once or within some seconds; the scenario goes on in either case."""
        met = wait_for(within, condition) if callable(condition) else condition
        verdict(met, what)
        self.expected += 1
        self.unmet += not met

    def rises(self, what: str, count: Callable[[], int], above: int = 0, within: float = 5) -> None:
        self.expect(what, lambda: count() > above, within)

    def prepare(self, **settings: Any) -> None:
        """Namespaces, keys and profiles by these Settings; nothing runs yet."""
        topology.lock()
        prepare(Settings(**settings))

    def start(self) -> None:
        start_both()
        self.since_ms = now_ms()
        self.note()

    def session(self, **settings: Any) -> None:
        step("Lab, gateway, client")
        self.prepare(**settings)
        self.start()
        verdict(True, "session ATTACHED")

    def note(self) -> checks.Noted:
        self.noted = checks.Noted()
        return self.noted

    def expect_jump(self, within: float) -> None:
        """The session noted before is attached at both ends, with the gateway sending elsewhere, and the transfer goes
        on. The next jump is judged against this one."""
        before = self.noted
        self.expect(f"attached again, by another path, within {within} s", before.jumped, within)
        self.expect(f"still session {before.id[:12]}… at both ends", before.same)
        self.expect("state_version rose at both ends", before.versions_rose)
        self.expect("TCP goes on", lambda: transfer_goes_on(15))
        if self.unmet == 0:
            info(f"the gateway sends to {self.note().remote}, before to {before.remote}")

    def harmless(self, what: str) -> None:
        """Since the session was noted nothing has moved, and pings pass both ways."""
        self.expect(f"{what}: no version, no binding, no path has changed", self.noted.unmoved)
        self.expect(f"{what}: pings pass", pings("client", SERVER4, 5))
        self.expect(f"{what}: pings pass towards the client", pings("lan", CLIENT4, 5))

    def expect_transfer(self) -> None:
        self.expect("the transfer ends with the right checksum", transfer_finishes)
        info(transfer_summary())

    def expect_clean_audit(self) -> None:
        self.expect("jvpn audit finds nothing wrong", checks.audit_clean)
        info(timeline(self.since_ms))

    def jump_end(self) -> None:
        self.expect_transfer()
        self.expect_clean_audit()

    def end(self) -> None:
        if self.expected == 0:
            raise Failure("the scenario expected nothing")
        if self.unmet:
            raise Failure(f"{self.unmet} of {self.expected} expectations failed")
        step(f"all {self.expected} expectations hold")

    def clean_up(self, status: int) -> None:
        topology.clean_up(failed=status != 0)
        shutil.rmtree(self.work, ignore_errors=True)


SKIPPED = 77  # as meson reads an exit code


def _require_time() -> None:
    """A run of many scenarios says until when one may begin: JVPN_BEGIN_BEFORE, in seconds since 1970."""
    until = os.environ.get("JVPN_BEGIN_BEFORE")
    if until is not None and time.time() > float(until):
        info("not begun: the run has no time left for it")
        sys.exit(SKIPPED)


@contextlib.contextmanager
def scenario(limit_s: int) -> Iterator[Scenario]:
    """Ends the program, with 1 when something expected did not hold."""
    _require_time()
    s = Scenario()
    with guarded(s.clean_up, limit_s):
        yield s
        s.end()
