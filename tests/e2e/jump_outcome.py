#!/usr/bin/env python3
"""`jvpn jump` waits for what becomes of the order and exits with it; the log never says "jumped to" of a path that the
gateway did not commit to.

  jvpn-client wan0, wan1 ╳ (silent), wan2 ══ jvpn-gw ── jvpn-lan     (jvpn_lab/topology.py)
"""
import re

from e2e import CLIENT, SERVER4, active_link, both_attached, bounded, faults, log_of, pings, program, scenario, step


def jump(link: str) -> tuple[int, str]:
    done = bounded(15, program("jvpn"), "--socket", CLIENT.socket, "jump", "--underlay", link)
    return done.returncode, done.stdout.strip()


def logged_jumps() -> list[str]:
    """The underlays that the client's log says it jumped to."""
    return re.findall(r"jumped to .* by underlay (\w+)", log_of(CLIENT.name).read_text())


with scenario(120) as s:
    s.session(policy="version: 1, switching: {switch_cooldown_ms: 500, max_switches_per_min: 3}")
    step("A jump that succeeds")
    status, said = jump("wan1")
    s.expect(f"exit 0, and it is there: {said}", status == 0 and active_link() == "wan1")
    s.expect("says where", said.startswith("jumped from"))

    step("To a path that eats everything")
    faults.cut("wan2", "silent")
    status, said = jump("wan2")
    s.expect(f"exit 1, with why: {said}", status == 1 and "nobody answered" in said)
    s.expect("the session is where it was", active_link() == "wan1" and both_attached())
    s.expect("the log says nothing of that path", logged_jumps() == ["wan1"])

    step("From a dead path, with another dead one first in line")
    faults.cut("wan1", "silent")
    s.expect("attached by the one that lives", lambda: both_attached() and active_link() == "wan0", within=20)
    s.expect("pings pass", pings("client", SERVER4))
    s.expect("the log names committed paths alone", logged_jumps() == ["wan1", "wan0"])
    faults.heal("wan1")
    faults.heal("wan2")

    step("More often than the policy allows")
    answers = [jump("wan1" if active_link() == "wan0" else "wan0") for _ in range(4)]
    refused = [said for status, said in answers if status != 0]
    s.expect(f"orders over the rate exit 1 and say so: {refused}",
             refused and all("policy" in said or "POLICY_DENY" in said for said in refused))
    s.expect("as many switches as orders that exited with 0", len(logged_jumps()) == 2 + len(answers) - len(refused))
