// Lines that claim to be event logs, of two files: read, audited and shown. Whatever stands in
// them, a terminal gets text and line ends alone.
#include "tools/jvpn/events.h"

#include <string>

#include "tests/fuzz/fuzz.h"
#include "tools/jvpn/audit.h"

namespace jvpn::fuzz {
namespace {

void expect_printable(const std::string& text) {
  for (const char each : text) {
    const auto c = static_cast<unsigned char>(each);
    EXPECT_TRUE((c >= 0x20 && c != 0x7f) || c == '\n') << "control character " << int{c};
  }
}

/// The lines of one input; an empty one begins the second file.
void add_lines(std::string_view text, Audit& audit) {
  LogPlace place{0, 1};
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    const std::string line(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.empty()) place = {1, 0};
    audit.add_line(place, line);
    if (const auto event = read_event(line)) expect_printable(render_event(*event, false));
    ++place.line;
  }
}

}  // namespace
}  // namespace jvpn::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace jvpn;
  for (const bool partial : {false, true}) {
    Audit audit({partial});
    fuzz::add_lines(fuzz::text_of(data, size), audit);
    const AuditReport report = audit.finish();
    const bool empty = report.events == 0;
    if (empty) {
      EXPECT_NE(report.verdict(), AuditVerdict::kOk);
    }
    fuzz::expect_printable(render_audit(report, {"a", "b"}, true, false));
  }
  return 0;
}
