#include "control/cluster/records.h"

#include <algorithm>
#include <concepts>
#include <span>
#include <vector>

#include "common/blake2s.h"
#include "common/secret.h"

namespace jvpn::cluster {
namespace {

constexpr size_t kMacBytes = 16;
constexpr uint8_t kVersion = 1;

std::span<const uint8_t> bytes_of(std::string_view text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

template <size_t N>
std::string_view text_of(const std::array<uint8_t, N>& bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::array<uint8_t, kMacBytes> mac_of(const RecordKey& key, std::string_view name,
                                      std::string_view content) {
  const std::string named = std::to_string(name.size()) + ":" + std::string(name);
  std::array<uint8_t, kHashBytes> full;
  hmac_blake2s_into(key.span(), bytes_of(named), bytes_of(content), full);
  std::array<uint8_t, kMacBytes> mac;
  std::copy_n(full.begin(), mac.size(), mac.begin());
  return mac;
}

/// Fields one behind the other, numbers little-endian.
class Writer {
 public:
  explicit Writer(char kind) : out_{kind, static_cast<char>(kVersion)} {}

  template <std::unsigned_integral T>
  Writer& number(T value) {
    for (size_t i = 0; i < sizeof(T); ++i) out_.push_back(static_cast<char>(value >> (8 * i)));
    return *this;
  }
  template <size_t N>
  Writer& bytes(const std::array<uint8_t, N>& value) {
    out_.append(text_of(value));
    return *this;
  }
  /// At most 255 bytes.
  Writer& text(std::string_view value) {
    number(static_cast<uint8_t>(value.size()));
    out_.append(value.substr(0, 255));
    return *this;
  }
  std::string sealed(const RecordKey& key, std::string_view name) const {
    return out_ + std::string(text_of(mac_of(key, name, out_)));
  }

 private:
  std::string out_;
};

/// What a Writer wrote. After a field that isn't there all is 0 and good() false.
class Reader {
 public:
  Reader(const RecordKey& key, const KeyValue& found, char kind) {
    const std::string_view value = found.value;
    if (value.size() < kMacBytes + 2) return;
    const std::string_view content = value.substr(0, value.size() - kMacBytes);
    const auto mac = mac_of(key, found.key, content);
    good_ = equal_constant_time(mac, bytes_of(value.substr(content.size()))) &&
            content[0] == kind && static_cast<uint8_t>(content[1]) == kVersion;
    if (good_) left_ = content.substr(2);
  }

  template <std::unsigned_integral T>
  T number() {
    T value = 0;
    const std::string_view from = take(sizeof(T));
    for (size_t i = 0; i < from.size(); ++i)
      value = static_cast<T>(value | (static_cast<T>(static_cast<uint8_t>(from[i])) << (8 * i)));
    return value;
  }
  template <size_t N>
  void bytes(std::array<uint8_t, N>& value) {
    std::ranges::copy(bytes_of(take(N)), value.begin());
  }
  std::string_view text() { return take(number<uint8_t>()); }
  bool good() const { return good_; }
  /// All was read.
  bool done() const { return good_ && left_.empty(); }

 private:
  std::string_view take(size_t count) {
    good_ = good_ && left_.size() >= count;
    if (!good_) return {};
    const std::string_view field = left_.substr(0, count);
    left_.remove_prefix(count);
    return field;
  }

  std::string_view left_;
  bool good_ = false;
};

}  // namespace

std::string Keys::session(const PublicKey& peer) const {
  return prefix_ + "sessions/" + std::string(text_of(peer));
}

std::string Keys::id(const SessionId& id) const {
  return prefix_ + "ids/" + std::string(text_of(id.bytes));
}

std::string Keys::ask(std::string_view node, const PublicKey& peer) const {
  return asks(node) + std::string(text_of(peer));
}

std::optional<std::string_view> Keys::name_in(std::string_view folder, std::string_view key) {
  if (!key.starts_with(folder)) return std::nullopt;
  return key.substr(folder.size());
}

std::string Keys::end_of(std::string folder) {
  folder.back() = static_cast<char>(folder.back() + 1);  // a slash's successor
  return folder;
}

std::string write_value(const RecordKey& mac, std::string_view key, const EpochRecord& record) {
  Writer out('e');
  out.bytes(record.instance).bytes(record.boot).number(record.token);
  out.number(static_cast<uint8_t>(record.open));
  return out.sealed(mac, key);
}

std::optional<EpochRecord> read_epoch(const RecordKey& mac, const KeyValue& found) {
  Reader in(mac, found, 'e');
  EpochRecord record;
  in.bytes(record.instance);
  in.bytes(record.boot);
  record.token = in.number<uint64_t>();
  record.open = in.number<uint8_t>() != 0;
  return in.done() ? std::optional(record) : std::nullopt;
}

std::string write_value(const RecordKey& mac, std::string_view key, const BeatRecord& record) {
  Writer out('b');
  out.number(record.epoch).number(record.wall_ms).number(record.safe_ms);
  for (const PastEpoch& past : record.past) out.number(past.epoch).number(past.seen_wall_ms);
  return out.sealed(mac, key);
}

std::optional<BeatRecord> read_beat(const RecordKey& mac, const KeyValue& found) {
  Reader in(mac, found, 'b');
  BeatRecord record;
  record.epoch = in.number<uint64_t>();
  record.wall_ms = in.number<uint64_t>();
  record.safe_ms = in.number<uint32_t>();
  for (PastEpoch& past : record.past) {
    past.epoch = in.number<uint64_t>();
    past.seen_wall_ms = in.number<uint64_t>();
  }
  return in.done() ? std::optional(record) : std::nullopt;
}

std::string write_value(const RecordKey& mac, std::string_view key, const SessionRow& row) {
  const session::StoredSession& s = row.session;
  Writer out('s');
  out.bytes(s.id.bytes).bytes(s.peer).number(s.binding_version.value).number(s.ceiling.value);
  out.number(s.policy_version).number(s.lived.value).number(s.epoch);
  out.number(static_cast<uint8_t>(s.ended)).number(static_cast<uint16_t>(s.reason));
  out.number(static_cast<uint16_t>(s.detail));
  out.text(row.node).number(row.handed_by).number(row.written_wall_ms);
  out.number(row.token).number(row.token_epoch);
  const std::vector<uint8_t> addresses = store::pack_addresses(s);
  out.text({reinterpret_cast<const char*>(addresses.data()), addresses.size()});
  return out.sealed(mac, key);
}

std::optional<SessionRow> read_session(const RecordKey& mac, const KeyValue& found) {
  Reader in(mac, found, 's');
  SessionRow row;
  session::StoredSession& s = row.session;
  in.bytes(s.id.bytes);
  in.bytes(s.peer);
  s.binding_version = BindingVersion{in.number<uint64_t>()};
  s.ceiling = StateVersion{in.number<uint64_t>()};
  s.policy_version = in.number<uint32_t>();
  s.lived = Millis{in.number<uint64_t>()};
  s.epoch = in.number<uint64_t>();
  s.ended = in.number<uint8_t>() != 0;
  s.reason = static_cast<Reason>(in.number<uint16_t>());
  s.detail = static_cast<Detail>(in.number<uint16_t>());
  row.node = in.text();
  row.handed_by = in.number<uint64_t>();
  row.written_wall_ms = in.number<uint64_t>();
  row.token = in.number<uint64_t>();
  row.token_epoch = in.number<uint64_t>();
  const bool unpacked = store::unpack_addresses(bytes_of(in.text()), s);
  return in.done() && unpacked ? std::optional(row) : std::nullopt;
}

std::string write_value(const RecordKey& mac, std::string_view key, const AskRecord& record) {
  return Writer('a').bytes(record.session.bytes).number(record.epoch).sealed(mac, key);
}

std::optional<AskRecord> read_ask(const RecordKey& mac, const KeyValue& found) {
  Reader in(mac, found, 'a');
  AskRecord record;
  in.bytes(record.session.bytes);
  record.epoch = in.number<uint64_t>();
  return in.done() ? std::optional(record) : std::nullopt;
}

std::string write_peer(const PublicKey& peer) {
  return std::string(text_of(peer));
}

std::optional<PublicKey> read_peer(const KeyValue& found) {
  PublicKey peer;
  if (found.value.size() != peer.size()) return std::nullopt;
  std::ranges::copy(bytes_of(found.value), peer.begin());
  return peer;
}

}  // namespace jvpn::cluster
