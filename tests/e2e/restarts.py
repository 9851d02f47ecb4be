"""What the scenarios of a gateway that starts again share."""
import time

from e2e import CLIENT, GATEWAY, processes, require_within

_RESUMED = '"STATE_CHANGE".*"TRANSPORT_SWITCH_OK".*"resumed".*"to":"ATTACHED"'


def restart(how: int) -> float:
    """Ends jvpnd by that signal and starts it again; its log goes on. How long it was away, in seconds."""
    began = time.monotonic()
    processes.send(GATEWAY.name, how)
    require_within(5, lambda: processes.ended(GATEWAY.name), "jvpnd doesn't end")
    GATEWAY.start(keep_log=True)
    require_within(30, lambda: GATEWAY.runs() and GATEWAY.answers(), "jvpnd does not answer again")
    return time.monotonic() - began


def resumed() -> int:
    """How often either end has told that its session was resumed."""
    return GATEWAY.told(_RESUMED) + CLIENT.told(_RESUMED)
