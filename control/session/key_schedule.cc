#include "control/session/key_schedule.h"

#include <algorithm>
#include <string_view>

namespace jvpn::session {
namespace {

Secret<kHashBytes> expanded(const Secret<32>& key, std::string_view label) {
  return hkdf_label(key.span(), {reinterpret_cast<const uint8_t*>(label.data()), label.size()});
}

Secret<kRawKeyBytes> labelled(const Secret<32>& from, std::string_view label,
                              std::string_view iv_label) {
  const Secret<kHashBytes> key = expanded(from, label);
  const Secret<kHashBytes> iv = expanded(from, iv_label);
  Secret<kRawKeyBytes> out;
  const auto rest = std::ranges::copy(key.bytes(), out.bytes().begin()).out;
  std::copy_n(iv.bytes().begin(), kAeadNonceBytes, rest);
  return out;
}

DirectionKeys direction_keys(const Secret<32>& from) {
  return {labelled(from, "JVP/1 traffic", "JVP/1 traffic iv"),
          labelled(from, "JVP/1 control", "JVP/1 control iv"),
          Secret<16>(std::span(expanded(from, "JVP/1 counters").bytes()).first<16>())};
}

/// The key of the masks, expanded.
class MaskKey {
 public:
  MaskKey(MessageMac& mac, const DirectionKeys& keys) : mac_(mac) {
    mac.expand(keys.counters.span(), key_);
  }
  ~MaskKey() { wipe(&key_, sizeof key_); }
  MaskKey(const MaskKey&) = delete;
  MaskKey& operator=(const MaskKey&) = delete;

  uint64_t mask_of(wire::MessageType type, ReceiverIndex index) const {
    std::array<uint8_t, 5> named{static_cast<uint8_t>(type)};
    __builtin_memcpy(named.data() + 1, &index.value, sizeof index.value);
    Mac tag = mac_.compute(key_, named);
    uint64_t mask;
    __builtin_memcpy(&mask, tag.data(), sizeof mask);
    wipe(tag.data(), tag.size());
    return mask;
  }

 private:
  MessageMac& mac_;
  MacKey key_;
};

}  // namespace

SessionKeys derive_session_keys(const NoiseKeys& noise, bool initiator) {
  DirectionKeys forth = direction_keys(noise.initiator_to_responder);
  DirectionKeys back = direction_keys(noise.responder_to_initiator);
  if (initiator) return {std::move(forth), std::move(back)};
  return {std::move(back), std::move(forth)};
}

uint64_t counter_mask(MessageMac& mac, const DirectionKeys& keys, wire::MessageType type,
                      ReceiverIndex index) {
  return MaskKey(mac, keys).mask_of(type, index);
}

CounterMasks counter_masks(MessageMac& mac, const DirectionKeys& keys, ReceiverIndex index) {
  const MaskKey key(mac, keys);
  return {key.mask_of(wire::MessageType::kData, index),
          key.mask_of(wire::MessageType::kControl, index)};
}

}  // namespace jvpn::session
