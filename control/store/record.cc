#include "control/store/record.h"

#include <algorithm>
#include <string_view>

namespace jvpn::store {
namespace {

constexpr size_t kPackedAddress = 18;

/// What a MAC covers: every field in order, of fixed length or with its length before it.
class Bytes {
 public:
  explicit Bytes(std::string_view label) { add(label); }
  Bytes& add(uint64_t number) {
    for (int shift = 0; shift < 64; shift += 8)
      bytes_.push_back(static_cast<uint8_t>(number >> shift));
    return *this;
  }
  Bytes& add(std::span<const uint8_t> field) {
    add(uint64_t{field.size()});
    bytes_.insert(bytes_.end(), field.begin(), field.end());
    return *this;
  }
  Bytes& add(std::string_view field) {
    return add(std::span(reinterpret_cast<const uint8_t*>(field.data()), field.size()));
  }
  RecordMac mac(const RecordKey& key) const {
    RecordMac out;
    hmac_blake2s_into(key.span(), bytes_, {}, out);
    return out;
  }

 private:
  std::vector<uint8_t> bytes_;
};

}  // namespace

RecordKey record_key(const SecretKey& node) {
  constexpr std::string_view kLabel = "JVP/1 stored sessions";
  return hkdf_label(node.span(), {reinterpret_cast<const uint8_t*>(kLabel.data()), kLabel.size()});
}

RecordMac mac_of(const RecordKey& key, const Record& record) {
  const session::StoredSession& s = record.session;
  Bytes bytes("session");
  bytes.add(std::span<const uint8_t>(s.id.bytes)).add(std::span<const uint8_t>(s.peer));
  bytes.add(s.epoch).add(s.binding_version.value).add(s.ceiling.value).add(s.policy_version);
  bytes.add(s.lived.value).add(record.written_wall_ms).add(record.written_boot.value);
  bytes.add(std::span<const uint8_t>(pack_addresses(s)));
  bytes.add(s.ended ? 1 : 0).add(static_cast<uint64_t>(s.reason));
  bytes.add(static_cast<uint64_t>(s.detail)).add(record.ended_wall_ms);
  return bytes.mac(key);
}

RecordMac mac_of(const RecordKey& key, const Epoch& epoch) {
  Bytes bytes("epoch");
  bytes.add(epoch.number).add(std::string_view(epoch.boot_id));
  bytes.add(epoch.seen_wall_ms).add(epoch.seen_boot.value);
  return bytes.mac(key);
}

RecordMac key_check(const RecordKey& key) {
  return Bytes("key").mac(key);
}

std::vector<uint8_t> pack_addresses(const session::StoredSession& session) {
  std::vector<uint8_t> packed;
  for (size_t i = 0; i < session.address_count; ++i) {
    const Prefix& prefix = session.inner_addresses[i];
    packed.push_back(static_cast<uint8_t>(prefix.address.family));
    packed.push_back(prefix.length);
    packed.insert(packed.end(), prefix.address.bytes.begin(), prefix.address.bytes.end());
  }
  return packed;
}

bool unpack_addresses(std::span<const uint8_t> bytes, session::StoredSession& session) {
  const size_t count = bytes.size() / kPackedAddress;
  if (bytes.size() % kPackedAddress != 0 || count > session.inner_addresses.size()) return false;
  for (size_t i = 0; i < count; ++i, bytes = bytes.subspan(kPackedAddress)) {
    Prefix& prefix = session.inner_addresses[i];
    prefix.address.family = static_cast<Family>(bytes[0]);
    prefix.length = bytes[1];
    std::copy_n(bytes.begin() + 2, prefix.address.bytes.size(), prefix.address.bytes.begin());
  }
  session.address_count = static_cast<uint8_t>(count);
  return true;
}

}  // namespace jvpn::store
