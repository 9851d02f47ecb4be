#include "tools/jvpn/text_table.h"

#include <algorithm>
#include <array>
#include <span>
#include <utility>

#include <fmt/format.h>

namespace jvpn {
namespace {

/// Characters of UTF-8 text: bytes that don't continue one.
size_t width_of(std::string_view text) {
  return static_cast<size_t>(
      std::ranges::count_if(text, [](unsigned char c) { return (c & 0xc0) != 0x80; }));
}

const char* escape_of(Colour colour) {
  switch (colour) {
    case Colour::kGreen:
      return "\033[32m";
    case Colour::kYellow:
      return "\033[33m";
    case Colour::kRed:
      return "\033[31m";
    case Colour::kNone:
      break;
  }
  return "";
}

/// In the largest unit that leaves something before the point.
std::string in_units(double value, double step, std::span<const char* const> units) {
  size_t unit = 0;
  while (value >= step - 0.5 && unit + 1 < units.size()) {
    value /= step;
    ++unit;
  }
  return fmt::format("{:.{}f} {}", value, value < 9.995 ? 2 : value < 99.95 ? 1 : 0, units[unit]);
}

}  // namespace

std::string coloured(const Cell& cell, bool with_colours) {
  if (!with_colours || cell.colour == Colour::kNone) return cell.text;
  return fmt::format("{}{}\033[0m", escape_of(cell.colour), cell.text);
}

TextTable::TextTable(std::vector<std::string> titles) {
  for (std::string& title : titles) {
    const bool right = title.starts_with('>');
    if (right) title.erase(0, 1);
    const size_t width = width_of(title);
    columns_.push_back({std::move(title), right, width});
  }
}

void TextTable::add(std::vector<Cell> row) {
  row.resize(columns_.size());
  for (size_t i = 0; i < row.size(); ++i) {
    columns_[i].width = std::max(columns_[i].width, width_of(row[i].text));
  }
  rows_.push_back(std::move(row));
}

std::string TextTable::line(const std::vector<Cell>& row, bool with_colours) const {
  std::string result;
  for (size_t i = 0; i < row.size(); ++i) {
    const std::string padding(columns_[i].width - width_of(row[i].text), ' ');
    if (i != 0) result += "  ";
    if (columns_[i].right) result += padding;
    result += coloured(row[i], with_colours);
    if (!columns_[i].right) result += padding;
  }
  result.erase(result.find_last_not_of(' ') + 1);
  return result + '\n';
}

std::string TextTable::render(bool with_colours) const {
  std::vector<Cell> titles;
  for (const Column& column : columns_) titles.push_back({column.title});
  std::string result = line(titles, with_colours);
  for (const auto& row : rows_) result += line(row, with_colours);
  return result;
}

std::string human_bytes(uint64_t bytes) {
  constexpr std::array units = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  if (bytes < 1'024) return fmt::format("{} B", bytes);
  return in_units(static_cast<double>(bytes), 1'024, units);
}

std::string human_bit_rate(double bits_per_second) {
  constexpr std::array units = {"bit/s", "kbit/s", "Mbit/s", "Gbit/s", "Tbit/s"};
  if (bits_per_second < 999.5) return fmt::format("{:.0f} bit/s", bits_per_second);
  return in_units(bits_per_second, 1'000, units);
}

std::string human_span(uint64_t milliseconds) {
  const uint64_t seconds = milliseconds / 1'000;
  const uint64_t minutes = seconds / 60;
  const uint64_t hours = minutes / 60;
  if (milliseconds < 1'000) return fmt::format("{} ms", milliseconds);
  if (seconds < 60) return fmt::format("{} s", seconds);
  if (minutes < 60) return fmt::format("{} min {} s", minutes, seconds % 60);
  if (hours < 24) return fmt::format("{} h {} min", hours, minutes % 60);
  return fmt::format("{} d {} h", hours / 24, hours % 24);
}

}  // namespace jvpn
