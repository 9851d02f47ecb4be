#include "common/lane_report.h"

#include "common/wire.h"

namespace jvpn {
namespace {

template <typename Part>
void append(std::vector<uint8_t>& bytes, const Part& part) {
  const auto* first = reinterpret_cast<const uint8_t*>(&part);
  bytes.insert(bytes.end(), first, first + sizeof part);
}

/// Takes the next part off; nullopt: there isn't so much left.
template <typename Part>
std::optional<Part> take(std::span<const uint8_t>& bytes) {
  if (bytes.size() < sizeof(Part)) return std::nullopt;
  Part part;
  __builtin_memcpy(&part, bytes.data(), sizeof part);
  bytes = bytes.subspan(sizeof part);
  return part;
}

/// Words of holes that have to be told.
uint8_t words_of(const ReceivedLane& lane) {
  size_t words = lane.holes.size();
  while (words != 0 && lane.holes[words - 1] == 0) --words;
  return static_cast<uint8_t>(words);
}

size_t bytes_of(const ReceivedLane& lane) {
  return sizeof(wire::ReportedLane) + words_of(lane) * sizeof(uint64_t);
}

void append_lane(std::vector<uint8_t>& bytes, const ReceivedLane& lane) {
  const uint8_t words = words_of(lane);
  append(bytes, wire::ReportedLane{lane.lane.value, words, 0, lane.next});
  for (size_t i = 0; i < words; ++i) append(bytes, lane.holes[i]);
}

std::optional<ReceivedLane> take_lane(std::span<const uint8_t>& bytes) {
  const auto told = take<wire::ReportedLane>(bytes);
  if (!told || told->next == 0 || told->next > wire::kSequenceMask + 1) return std::nullopt;
  ReceivedLane lane{LaneId{told->lane}, told->next, {}};
  if (told->words > lane.holes.size()) return std::nullopt;
  for (size_t i = 0; i < told->words; ++i) {
    const auto word = take<uint64_t>(bytes);
    if (!word) return std::nullopt;
    lane.holes[i] = *word;
  }
  return lane;
}

std::optional<LaneReport> take_report(std::span<const uint8_t>& bytes) {
  const auto told = take<wire::ReportedIndex>(bytes);
  if (!told) return std::nullopt;
  LaneReport report{ReceiverIndex{told->index}, (told->flags & wire::kLanesLeftOut) == 0, {}};
  report.lanes.reserve(told->lanes);
  for (size_t i = 0; i < told->lanes; ++i) {
    const auto lane = take_lane(bytes);
    if (!lane) return std::nullopt;
    report.lanes.push_back(*lane);
  }
  return report;
}

}  // namespace

std::vector<uint8_t> encode_reports(std::span<const LaneReport> reports, size_t room) {
  std::vector<uint8_t> bytes;
  for (const LaneReport& report : reports) {
    if (bytes.size() + sizeof(wire::ReportedIndex) > room) break;
    const size_t start = bytes.size();
    wire::ReportedIndex index{report.index.value, 0, 0, 0};
    append(bytes, index);
    for (const ReceivedLane& lane : report.lanes) {
      if (bytes.size() + bytes_of(lane) > room) break;
      append_lane(bytes, lane);
      ++index.lanes;
    }
    const bool all = report.complete && index.lanes == report.lanes.size();
    index.flags = all ? uint8_t{0} : wire::kLanesLeftOut;
    __builtin_memcpy(bytes.data() + start, &index, sizeof index);
  }
  return bytes;
}

std::optional<std::vector<LaneReport>> decode_reports(std::span<const uint8_t> bytes) {
  std::vector<LaneReport> reports;
  while (!bytes.empty()) {
    auto report = take_report(bytes);
    if (!report || reports.size() == kReportedIndices) return std::nullopt;
    reports.push_back(std::move(*report));
  }
  return reports;
}

}  // namespace jvpn
