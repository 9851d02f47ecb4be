"""What every jump has to leave as it was, and what has to follow from it."""
from dataclasses import dataclass, field

from jvpn_lab.console import show_tail
from jvpn_lab.processes import LAB_DIR
from jvpn_lab.programs import CLIENT, GATEWAY, GATEWAY2, active_link, both_attached, dialler
from jvpn_lab.run import bounded, program

_AUDIT = LAB_DIR / "audit.txt"


def _of_both_ends(name: str) -> list[int]:
    return [end.session()[name] for end in (GATEWAY, dialler())]


@dataclass(frozen=True)
class Noted:
    """The session as it was at some moment. What compares it with now raises Unanswered while an end has no session."""

    id: str = field(default_factory=lambda: GATEWAY.session()["session_id"])
    versions: list[int] = field(default_factory=lambda: _of_both_ends("state_version"))
    bindings: list[int] = field(default_factory=lambda: _of_both_ends("binding_version"))
    remote: str = field(default_factory=lambda: GATEWAY.session()["remote"])  # where the gateway sends
    link: str = field(default_factory=active_link)  # that the dialling end uses

    def same(self) -> bool:
        """It is still this session, at both ends."""
        return _of_both_ends("session_id") == [self.id, self.id]

    def versions_rose(self) -> bool:
        return all(now > before for now, before in zip(_of_both_ends("state_version"), self.versions))

    def jumped(self) -> bool:
        """Attached at both ends, and the gateway sends elsewhere."""
        return both_attached() and GATEWAY.session()["remote"] != self.remote

    def unmoved(self) -> bool:
        """Neither its versions nor where the gateway sends has changed."""
        return (self.same() and _of_both_ends("state_version") == self.versions
                and _of_both_ends("binding_version") == self.bindings and GATEWAY.session()["remote"] == self.remote)

    def ended_for(self, reason: str) -> bool:
        """Gone at both ends, for that reason."""
        return all(any(gone["session_id"] == self.id and gone["reason"] == reason for gone in end.show()["terminated"])
                   for end in (GATEWAY, dialler()))


def audit_clean() -> bool:
    """`jvpn audit` finds no fault in what the programs have told so far; else shows what it says."""
    logs = [end.log for end in (GATEWAY, GATEWAY2, CLIENT) if end.log.exists()]
    clean = bounded(30, program("jvpn"), "audit", *logs, output=_AUDIT).returncode == 0
    if not clean:
        show_tail(_AUDIT, 40)
    return clean


def audit_verdict() -> str:
    """The last line of what it said."""
    return _AUDIT.read_text().strip().rpartition("\n")[2]
