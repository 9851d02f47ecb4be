#include "control/session/key_schedule.h"

#include <string_view>

namespace jvpn::session {
namespace {

Secret<kAeadKeyBytes> labelled(const Secret<32>& key, std::string_view label) {
  return hkdf_label(key.span(), {reinterpret_cast<const uint8_t*>(label.data()), label.size()});
}

DirectionKeys direction_keys(const Secret<32>& key) {
  return {labelled(key, "JVP/1 traffic"), labelled(key, "JVP/1 control")};
}

}  // namespace

SessionKeys derive_session_keys(const NoiseKeys& noise, bool initiator) {
  DirectionKeys forth = direction_keys(noise.initiator_to_responder);
  DirectionKeys back = direction_keys(noise.responder_to_initiator);
  if (initiator) return {std::move(forth), std::move(back)};
  return {std::move(back), std::move(forth)};
}

}  // namespace jvpn::session
