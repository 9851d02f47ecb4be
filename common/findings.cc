#include "common/findings.h"

#include <algorithm>
#include <tuple>

#include <fmt/format.h>

namespace jvpn {

std::string profile_finding(std::string_view file, Place place, std::string_view key,
                            std::string_view expected, std::string_view got) {
  return fmt::format("{}:{}:{}: {}: expected {}, got {}", file, place.line, place.column, key,
                     expected, got);
}

void Findings::add(Place place, std::string_view key, std::string_view expected,
                   std::string_view got) {
  found_.push_back({place, profile_finding(file_, place, key, expected, got)});
  for (size_t end = key.size(); end != std::string_view::npos && end != 0;
       end = key.find_last_of(".[", end - 1)) {
    troubled_.emplace(key.substr(0, end));
  }
}

Error Findings::error() const {
  std::vector<const Finding*> ordered;
  ordered.reserve(found_.size());
  for (const Finding& finding : found_) ordered.push_back(&finding);
  std::ranges::stable_sort(
      ordered, {}, [](const Finding* f) { return std::tuple(f->place.line, f->place.column); });

  Error all;
  for (const Finding* finding : ordered) {
    if (!all.message.empty()) all.message += '\n';
    all.message += finding->line;
  }
  return all;
}

void UniqueValues::check(const std::string& value, Place place, const std::string& key) {
  const auto [first, fresh] = first_key_.emplace(value, key);
  if (!fresh) findings_.add(place, key, noun_, fmt::format("{} (as {})", value, first->second));
}

}  // namespace jvpn
