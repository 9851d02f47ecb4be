#include "tools/jvpn/doctor/finding.h"

#include <fmt/format.h>

namespace jvpn::doctor {

const char* to_string(Verdict verdict) {
  switch (verdict) {
    case Verdict::kGood:
      return "good";
    case Verdict::kBetter:
      return "could be better";
    case Verdict::kMissing:
      break;
  }
  return "missing";
}

std::string to_string(const Mend& mend) {
  if (mend.kind == Mend::Kind::kWrite) return fmt::format("echo {} > {}", mend.text, mend.path);
  if (mend.kind == Mend::Kind::kRun) return fmt::format("{}", fmt::join(mend.words, " "));
  return mend.text;
}

Mend run(std::vector<std::string> words, std::string undo) {
  return {.kind = Mend::Kind::kRun, .words = std::move(words), .undo = std::move(undo)};
}

Mend write(std::string path, std::string text, std::string before) {
  std::string undo = fmt::format("echo {} > {}", before, path);
  return {.kind = Mend::Kind::kWrite,
          .path = std::move(path),
          .text = std::move(text),
          .undo = std::move(undo)};
}

Mend by_hand(std::string text) {
  return {.text = std::move(text)};
}

Mend at_boot(const std::string& arguments) {
  return by_hand(fmt::format(
      "sed -i '/^GRUB_CMDLINE_LINUX=/s/\"$/ {}\"/' /etc/default/grub && update-grub && reboot",
      arguments));
}

}  // namespace jvpn::doctor
