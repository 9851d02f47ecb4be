// The `events` section: the sinks that a program writes its events to.
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "common/profile_parts.h"

namespace jvpn {
namespace {

constexpr size_t kMostSinks = 8;

ScalarKind<EventSinkKind> sink_kind() {
  std::vector<std::pair<std::string, EventSinkKind>> choices;
  for (const EventSinkKind kind :
       {EventSinkKind::kStdout, EventSinkKind::kFile, EventSinkKind::kUnix, EventSinkKind::kSyslog,
        EventSinkKind::kCollector})
    choices.emplace_back(to_string(kind), kind);
  return one_of(std::move(choices));
}

ScalarKind<CollectorProtocol> collector_protocol() {
  return one_of<CollectorProtocol>(
      {{"tcp", CollectorProtocol::kTcp}, {"udp", CollectorProtocol::kUdp}});
}

/// False when something is wrong with it.
bool read_sink(YamlMap& map, EventSinkProfile& sink) {
  sink.key = map.key("path");
  sink.place = map.place("path");
  const bool known = map.required("kind", sink_kind(), sink.kind);
  if (known && sink.kind == EventSinkKind::kFile)
    return map.required("path", text(kLongestPath), sink.path);
  if (known && sink.kind == EventSinkKind::kUnix)
    return map.required("path", text(kLongestSocketPath), sink.path);
  if (known && sink.kind == EventSinkKind::kCollector) {
    map.optional("protocol", collector_protocol(), sink.collector.protocol);
    return map.required("to", endpoint(), sink.collector.endpoint);
  }
  const auto path = map.take("path", Need::kOptional, "");
  if (!known || !path) return known;
  map.findings().add(path->place, path->key,
                     fmt::format("no path for a sink of kind {}", to_string(sink.kind)),
                     describe(path->node));
  return false;
}

}  // namespace

void read_events(YamlMap& root, EventsProfile& events) {
  UniqueValues seen(root.findings(), "each sink once");
  root.section("events", Need::kOptional, [&](YamlMap& section) {
    events.sinks.clear();
    section.sections("sinks", Need::kRequired, {0, kMostSinks}, [&](YamlMap& map) {
      EventSinkProfile& sink = events.sinks.emplace_back();
      if (!read_sink(map, sink)) return;
      const bool collector = sink.kind == EventSinkKind::kCollector;
      const char* const what = collector ? "to" : sink.path.empty() ? "kind" : "path";
      const std::string value = sink.target().empty() ? to_string(sink.kind) : sink.target();
      seen.check(value, map.place(what), map.key(what));
    });
  });
}

const char* to_string(EventSinkKind kind) {
  switch (kind) {
    case EventSinkKind::kStdout:
      return "stdout";
    case EventSinkKind::kFile:
      return "file";
    case EventSinkKind::kUnix:
      return "unix";
    case EventSinkKind::kSyslog:
      return "syslog";
    case EventSinkKind::kCollector:
      return "collector";
  }
  return "unknown";
}

std::string to_string(const CollectorAddress& address) {
  const char* const protocol = address.protocol == CollectorProtocol::kTcp ? "tcp" : "udp";
  return fmt::format("{}://{}", protocol, to_string(address.endpoint));
}

}  // namespace jvpn
