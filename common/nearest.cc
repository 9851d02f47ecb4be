#include "common/nearest.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include <fmt/format.h>

namespace jvpn {
namespace {

constexpr size_t kLongestWord = 63;

/// Edits (insert, delete, replace, swap two neighbours) that turn one word into another.
size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);  // from the first i + 1 letters of `a`
  std::iota(row.begin(), row.end(), size_t{0});
  std::vector<size_t> above;
  std::vector<size_t> above_that;
  for (size_t i = 0; i < a.size(); ++i) {
    above_that = std::exchange(above, row);
    row[0] = i + 1;
    for (size_t j = 0; j < b.size(); ++j) {
      const size_t replaced = above[j] + (a[i] == b[j] ? 0 : 1);
      row[j + 1] = std::min({replaced, row[j] + 1, above[j + 1] + 1});
      const bool swapped = i > 0 && j > 0 && a[i] == b[j - 1] && a[i - 1] == b[j];
      if (swapped) row[j + 1] = std::min(row[j + 1], above_that[j - 1] + 1);
    }
  }
  return row[b.size()];
}

}  // namespace

std::string_view nearest(std::string_view word, const std::vector<std::string>& known) {
  if (word.size() > kLongestWord) return {};
  std::string_view best;
  size_t best_distance = std::clamp<size_t>((word.size() + 1) / 3, 1, 3) + 1;
  for (const std::string& candidate : known) {
    const bool goes_on = word.size() >= 3 && candidate.starts_with(word);
    const size_t distance = goes_on ? 1 : edit_distance(word, candidate);
    if (distance < best_distance) {
      best = candidate;
      best_distance = distance;
    }
  }
  return best;
}

std::string did_you_mean(std::string_view word, const std::vector<std::string>& known) {
  const std::string_view meant = nearest(word, known);
  return meant.empty() ? std::string() : fmt::format(" (did you mean {}?)", meant);
}

}  // namespace jvpn
