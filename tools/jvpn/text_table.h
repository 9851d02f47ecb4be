// Aligned columns of text for a terminal.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace jvpn {

enum class Colour { kNone, kGreen, kYellow, kRed };

struct Cell {
  std::string text;
  Colour colour = Colour::kNone;
};

/// The text with the escape sequences of its colour around it, if asked for.
std::string coloured(const Cell& cell, bool with_colours);

class TextTable {
 public:
  /// Columns whose title starts with '>' are aligned to the right.
  explicit TextTable(std::vector<std::string> titles);

  void add(std::vector<Cell> row);
  /// All rows, a line each, with escape sequences for colours only if asked for.
  std::string render(bool with_colours) const;

 private:
  struct Column {
    std::string title;
    bool right = false;
    size_t width = 0;
  };
  std::string line(const std::vector<Cell>& row, bool with_colours) const;

  std::vector<Column> columns_;
  std::vector<std::vector<Cell>> rows_;
};

/// `950 B`, `1.2 KiB`, `3.40 GiB`: at most four digits.
std::string human_bytes(uint64_t bytes);
/// `950 bit/s`, `1.20 kbit/s`, `3.40 Gbit/s`: at most four digits.
std::string human_bit_rate(double bits_per_second);
/// `350 ms`, `12 s`, `4 min 5 s`, `3 h 20 min`, `2 d 4 h`.
std::string human_span(uint64_t milliseconds);

}  // namespace jvpn
