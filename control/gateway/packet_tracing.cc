#include "control/gateway/packet_tracing.h"

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include <rte_cycles.h>

namespace jvpn::gateway {
namespace {

constexpr uint64_t kUsualPackets = 20;
constexpr uint64_t kUsualMs = 10'000;
constexpr uint64_t kLongestMs = 300'000;
constexpr size_t kToldAtOnce = 64;  // so that an answer stays far below a millisecond

/// The stages of each way, as dataplane/stage.h has them; forwarded packets take both.
std::vector<const char*> stages_of(const TracedPacket& packet) {
  std::vector<const char*> all{"rx", "classify"};
  const auto add = [&](std::initializer_list<const char*> more) {
    all.insert(all.end(), more.begin(), more.end());
  };
  if (packet.way != TraceWay::kSealed) add({"lookup", "replay", "open", "source"});
  add({"route"});
  if (packet.way != TraceWay::kOpened) add({"lookup", "number", "seal"});
  add({"tx"});
  if (packet.handed_on) all.erase(all.begin(), all.begin() + 2);
  return all;
}

nlohmann::json passed(const TracedPacket& packet) {
  nlohmann::json names = nlohmann::json::array();
  const std::string_view last = packet.stage != nullptr ? packet.stage : "";
  // A packet that is sealed comes by `lookup` behind `route`; one that is forwarded by two of them.
  unsigned more = packet.end == TraceEnd::kHeld && packet.way == TraceWay::kForwarded ? 1 : 0;
  for (const char* const each : stages_of(packet)) {
    names.push_back(each);
    if (each == last && more-- == 0) break;
  }
  return names;
}

const char* to_string(TraceWay way) {
  return way == TraceWay::kOpened ? "opened" : way == TraceWay::kSealed ? "sealed" : "forwarded";
}

const char* to_string(TraceEnd end) {
  switch (end) {
    case TraceEnd::kSent:
      return "sent";
    case TraceEnd::kDropped:
      return "dropped";
    case TraceEnd::kToControl:
      return "to_control";
    case TraceEnd::kHeld:
      return "held";
    case TraceEnd::kHandedOff:
      break;
  }
  return "handed_off";
}

/// A whole number from 1 to `most`; `usual` when it isn't there; 0: something else.
uint64_t bounded(const nlohmann::json& request, const char* name, uint64_t usual, uint64_t most) {
  const auto at = request.find(name);
  if (at == request.end()) return usual;
  const bool sound = at->is_number_unsigned() && at->get<uint64_t>() <= most;
  return sound ? at->get<uint64_t>() : 0;
}

nlohmann::json refused(const std::string& why) {
  return {{"error", "trace: " + why}};
}

}  // namespace

nlohmann::json PacketTracing::answer(const nlohmann::json& request, const PeerNamed& named) {
  return request.contains("order") ? go_on(request) : begin(request, named);
}

nlohmann::json PacketTracing::begin(const nlohmann::json& request, const PeerNamed& named) {
  const auto name = request.find("peer");
  if (name == request.end() || !name->is_string())
    return refused("expected the name of a configured peer in \"peer\"");
  const auto peer = named(name->get<std::string>());
  if (!peer) return refused("no peer is named " + name->get<std::string>());
  const uint64_t count = bounded(request, "count", kUsualPackets, kMostTraced);
  if (count == 0)
    return refused("expected 1 to " + std::to_string(kMostTraced) + " packets in \"count\"");
  const uint64_t ms = bounded(request, "for_ms", kUsualMs, kLongestMs);
  if (ms == 0) return refused("expected 1 to " + std::to_string(kLongestMs) + " in \"for_ms\"");
  end();
  TracedPacket stale;
  for (PacketTrace* const each : view_.traces)
    for (uint32_t n = 0; n < 2 * kMostTraced && each->packets.pop(stale);) ++n;
  ++number_;
  if (number_ == 0) number_ = 1;
  on_ = true;
  left_ = count;
  begun_tsc_ = rte_rdtsc();
  until_tsc_ = begun_tsc_ + rte_get_tsc_hz() / 1'000 * ms;
  for (PacketTrace* const each : view_.traces)
    each->begin(number_, *peer, until_tsc_, static_cast<uint32_t>(count));
  return {{"trace", {{"order", number_}, {"peer", *name}}}};
}

nlohmann::json PacketTracing::go_on(const nlohmann::json& request) {
  if (number_ == 0 || request["order"] != number_)
    return refused("another trace has taken that one's place");
  // Looked at before the rings: what was noted in time is in them.
  const bool over = rte_rdtsc() > until_tsc_ || request.value("end", nlohmann::json()) == true;
  if (over) end();
  std::vector<TracedPacket> found;
  TracedPacket packet;
  for (PacketTrace* const each : view_.traces) {
    while (left_ != 0 && found.size() < kToldAtOnce && each->packets.pop(packet)) {
      if (packet.order != number_) continue;  // at most a ring of them
      --left_;
      found.push_back(packet);
    }
  }
  if (left_ == 0) end();
  const bool more = found.size() == kToldAtOnce && left_ != 0;
  std::ranges::stable_sort(found, {}, &TracedPacket::tsc);
  nlohmann::json packets = nlohmann::json::array();
  for (const TracedPacket& each : found) packets.push_back(packet_json(each));
  return {
      {"trace", {{"order", number_}, {"packets", std::move(packets)}, {"done", !on_ && !more}}}};
}

void PacketTracing::end() {
  on_ = false;
  for (PacketTrace* const each : view_.traces) each->end();
}

nlohmann::json PacketTracing::packet_json(const TracedPacket& packet) const {
  const uint64_t since = packet.tsc > begun_tsc_ ? packet.tsc - begun_tsc_ : 0;
  const uint64_t hz = rte_get_tsc_hz();
  const std::string port =
      packet.port < view_.ports.size() ? view_.ports[packet.port].name : std::string("control");
  nlohmann::json json{{"us", since / hz * 1'000'000 + since % hz * 1'000'000 / hz},
                      {"worker", packet.worker},
                      {"way", to_string(packet.way)},
                      {"port", port},
                      {"bytes", packet.bytes},
                      {"handed_on", packet.handed_on},
                      {"stages", passed(packet)},
                      {"end", to_string(packet.end)}};
  if (packet.end == TraceEnd::kDropped && packet.reason < Drop::kCount) {
    const DropInfo& drop = kDropInfo[static_cast<size_t>(packet.reason)];
    json["reason"] = drop.name;
    json["why"] = drop.meaning;
  }
  return json;
}

}  // namespace jvpn::gateway
