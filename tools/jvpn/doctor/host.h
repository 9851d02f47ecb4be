// The machine as /sys, /proc and /dev tell of it, below a root that tests choose.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace jvpn::doctor {

class Host {
 public:
  /// Every path below is looked for in this folder; empty: this machine.
  explicit Host(std::string root = "") : root_(std::move(root)) {}

  /// 256 KiB of a file at most; empty: it isn't there, or can't be read.
  std::string text(std::string_view path) const;
  /// Whether one of its lines is what `wanted` looks for, however long the file is. False, too: it
  /// can't be read.
  bool any_line(std::string_view path, const std::function<bool(const std::string&)>& wanted) const;
  /// The first line without white space at its ends.
  std::string line(std::string_view path) const;
  /// The number that the first line is; nullopt: none, or there is no such file.
  std::optional<int64_t> number(std::string_view path) const;
  /// Also when it is hidden from us: whoever reads it then hears why.
  bool exists(std::string_view path) const;
  /// What is in a folder, sorted.
  std::vector<std::string> names(std::string_view folder) const;
  /// The last part of what a symbolic link points to; empty: it is none.
  std::string link_name(std::string_view path) const;

  /// The number of a process of that name; nullopt: none runs.
  std::optional<std::string> process(std::string_view name) const;
  /// Of the first CPU, as /proc/cpuinfo calls them.
  bool has_cpu_flag(std::string_view flag) const;
  bool is_intel() const;

 private:
  std::string root_;
};

/// CPUs in the kernel's way of writing, `0-3,8`, both ways. What isn't such a list ends it.
std::vector<uint32_t> cpus_of(std::string_view list);
std::string to_list(std::vector<uint32_t> cpus);

}  // namespace jvpn::doctor
