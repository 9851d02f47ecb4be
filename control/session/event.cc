#include "control/session/event.h"

namespace jvpn::session {

const char* to_string(EventKind kind) {
  switch (kind) {
    case EventKind::kStateChange:
      return "STATE_CHANGE";
    case EventKind::kTransportSwitch:
      return "TRANSPORT_SWITCH";
    case EventKind::kReattach:
      return "REATTACH";
    case EventKind::kSecurityEvent:
      return "SECURITY_EVENT";
    case EventKind::kAuditEvent:
      return "AUDIT_EVENT";
    case EventKind::kKeyEvent:
      return "KEY_EVENT";
    case EventKind::kConfigEvent:
      return "CONFIG_EVENT";
    case EventKind::kOwnershipChange:
      return "OWNERSHIP_CHANGE";
    case EventKind::kHealthEvent:
      return "HEALTH_EVENT";
  }
  return "UNKNOWN";
}

}  // namespace jvpn::session
