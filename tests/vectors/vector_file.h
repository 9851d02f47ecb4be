// Reading of test-vector files that are made of "name = value" lines: NIST CAVP, BoringSSL, OpenSSL
// and Noise all write them so.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace jvpn::test {

using Bytes = std::vector<uint8_t>;

/// Bytes of a hexadecimal string; nullopt when it is none.
inline std::optional<Bytes> parse_hex(std::string_view text) {
  const auto digit = [](char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
  };
  if (text.size() % 2 != 0) return std::nullopt;
  Bytes bytes;
  for (size_t i = 0; i < text.size(); i += 2) {
    const int high = digit(text[i]);
    const int low = digit(text[i + 1]);
    if (high < 0 || low < 0) return std::nullopt;
    bytes.push_back(static_cast<uint8_t>(high * 16 + low));
  }
  return bytes;
}

/// Bytes of a hexadecimal string, or of a text in double quotes; empty when it is neither.
inline Bytes bytes_of(std::string_view text) {
  if (text.size() >= 2 && text.front() == '"' && text.back() == '"')
    return Bytes(text.begin() + 1, text.end() - 1);
  return parse_hex(text).value_or(Bytes{});
}

template <size_t N>
std::array<uint8_t, N> array_of(std::span<const uint8_t> bytes) {
  std::array<uint8_t, N> array{};
  for (size_t i = 0; i < N && i < bytes.size(); ++i) array[i] = bytes[i];
  return array;
}

/// One case: the lines up to an empty line, and those of its "[section]".
class Record {
 public:
  bool has(const std::string& name) const { return fields_.contains(name); }
  /// The value's text; empty when there is none.
  std::string text(const std::string& name) const { return has(name) ? fields_.at(name) : ""; }
  Bytes bytes(const std::string& name) const { return bytes_of(text(name)); }
  void set(const std::string& name, const std::string& value) { fields_[name] = value; }
  bool empty() const { return fields_.empty(); }

 private:
  std::map<std::string, std::string> fields_;
};

inline std::string trimmed(std::string_view text) {
  const size_t begin = text.find_first_not_of(" \t\r[]");
  if (begin == std::string_view::npos) return "";
  return std::string(text.substr(begin, text.find_last_not_of(" \t\r[]") - begin + 1));
}

inline void add_line(Record& record, std::string_view line) {
  const size_t equals = line.find('=');
  if (equals == std::string_view::npos)
    record.set(trimmed(line), "");
  else
    record.set(trimmed(line.substr(0, equals)), trimmed(line.substr(equals + 1)));
}

/// All cases of a file; none when it can't be read. A line without '=' (CAVP's FAIL) is a field
/// too.
inline std::vector<Record> read_records(const std::string& path) {
  std::ifstream file(path);
  std::vector<Record> records;
  Record section;
  Record current;
  const auto finish = [&] {
    if (!current.empty()) records.push_back(current);
    current = Record{};
  };
  for (std::string line; std::getline(file, line);) {
    if (trimmed(line).empty()) {
      finish();
    } else if (line.front() == '[') {
      add_line(section, line);
    } else if (line.front() != '#') {
      if (current.empty()) current = section;
      add_line(current, line);
    }
  }
  finish();
  return records;
}

/// Value of an environment variable, or `otherwise`.
inline std::string from_environment(const char* name, const char* otherwise) {
  const char* value = std::getenv(name);
  return value != nullptr ? value : otherwise;
}

}  // namespace jvpn::test
