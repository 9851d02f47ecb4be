#include "tools/jvpn/doctor/host.h"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <sstream>

#include <fmt/format.h>

namespace jvpn::doctor {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMostText = size_t{256} * 1'024;
constexpr uint32_t kMostCpus = 8'192;  // as many as the kernel counts to

std::string trimmed(std::string_view text) {
  constexpr const char* kWhite = " \t\r\n";
  const size_t first = text.find_first_not_of(kWhite);
  if (first == std::string_view::npos) return {};
  return std::string(text.substr(first, text.find_last_not_of(kWhite) - first + 1));
}

/// A number at the beginning of `text`, which is shortened by it.
std::optional<uint32_t> take_number(std::string_view& text) {
  uint32_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc()) return std::nullopt;
  text.remove_prefix(static_cast<size_t>(end - text.data()));
  return number;
}

}  // namespace

std::string Host::text(std::string_view path) const {
  std::ifstream file(root_ + std::string(path), std::ios::binary);
  std::string text(kMostText, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<size_t>(std::max<std::streamsize>(file.gcount(), 0)));
  return text;
}

bool Host::any_line(std::string_view path,
                    const std::function<bool(const std::string&)>& wanted) const {
  std::ifstream file(root_ + std::string(path), std::ios::binary);
  for (std::string line; std::getline(file, line);)
    if (wanted(line)) return true;
  return false;
}

std::string Host::line(std::string_view path) const {
  const std::string all = text(path);
  return trimmed(std::string_view(all).substr(0, all.find('\n')));
}

std::optional<int64_t> Host::number(std::string_view path) const {
  const std::string digits = line(path);
  int64_t number = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  if (error != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
  return number;
}

bool Host::exists(std::string_view path) const {
  std::error_code failed;
  return fs::exists(root_ + std::string(path), failed) || failed == std::errc::permission_denied;
}

std::vector<std::string> Host::names(std::string_view folder) const {
  std::vector<std::string> names;
  std::error_code failed;
  fs::directory_iterator each(root_ + std::string(folder), failed);
  for (; !failed && each != fs::directory_iterator(); each.increment(failed))
    names.push_back(each->path().filename());
  std::ranges::sort(names);
  return names;
}

std::string Host::link_name(std::string_view path) const {
  std::error_code failed;
  const fs::path target = fs::read_symlink(root_ + std::string(path), failed);
  return failed ? std::string() : target.filename().string();
}

std::optional<std::string> Host::process(std::string_view name) const {
  for (const std::string& each : names("/proc")) {
    if (each.find_first_not_of("0123456789") == std::string::npos &&
        line(fmt::format("/proc/{}/comm", each)) == name)
      return each;
  }
  return std::nullopt;
}

bool Host::has_cpu_flag(std::string_view flag) const {
  std::istringstream lines(text("/proc/cpuinfo"));
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with("flags")) continue;
    std::istringstream words(line);
    for (std::string word; words >> word;)
      if (word == flag) return true;
    return false;
  }
  return false;
}

bool Host::is_intel() const {
  return text("/proc/cpuinfo").find("GenuineIntel") != std::string::npos;
}

std::vector<uint32_t> cpus_of(std::string_view list) {
  std::vector<uint32_t> cpus;
  while (const auto first = take_number(list)) {
    auto last = first;
    if (list.starts_with('-')) {
      list.remove_prefix(1);
      last = take_number(list);
    }
    for (uint32_t cpu = *first; last && cpu <= std::min(*last, kMostCpus); ++cpu)
      cpus.push_back(cpu);
    if (!last || !list.starts_with(',')) break;
    list.remove_prefix(1);
  }
  return cpus;
}

std::string to_list(std::vector<uint32_t> cpus) {
  std::ranges::sort(cpus);
  cpus.erase(std::unique(cpus.begin(), cpus.end()), cpus.end());
  std::string list;
  for (size_t i = 0; i < cpus.size();) {
    size_t last = i;
    while (last + 1 < cpus.size() && cpus[last + 1] == cpus[last] + 1) ++last;
    if (!list.empty()) list += ',';
    list += last == i ? fmt::format("{}", cpus[i]) : fmt::format("{}-{}", cpus[i], cpus[last]);
    i = last + 1;
  }
  return list;
}

}  // namespace jvpn::doctor
