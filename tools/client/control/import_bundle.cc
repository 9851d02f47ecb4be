#include "tools/client/control/import_bundle.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <memory>
#include <optional>
#include <sstream>
#include <utility>

#include <fcntl.h>
#include <fmt/format.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <sys/stat.h>

#include "common/file_descriptor.h"
#include "common/profile.h"
#include "control/admin/profile_file.h"
#include "control/files/private_file.h"
#include "control/files/whole_file.h"
#include "tools/shared/peer_bundle.h"

namespace jvpn::client::control {
namespace {

constexpr mode_t kOwnersAlone = 0600;
constexpr size_t kMostUnderlays = 16;
constexpr size_t kLargestBundle = size_t{256} * 1'024;

/// A text that is wiped when it goes.
struct SecretText {
  std::string text;
  SecretText() = default;
  SecretText(const SecretText&) = delete;
  SecretText& operator=(const SecretText&) = delete;
  ~SecretText() { wipe(text.data(), text.size()); }
};

Result<void> read_bundle(const std::string& path, SecretText& into) {
  const FileDescriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!file)
    return Error{fmt::format("{}: expected a readable file, got {}", path, std::strerror(errno))};
  if (const auto wrong = files::privacy_trouble(file.get()))
    return Error{fmt::format("{}: expected {}, got {} (it holds keys: chmod 0600 {})", path,
                             wrong->expected, wrong->got, path)};
  into.text.resize(kLargestBundle);
  size_t filled = 0;
  while (filled < into.text.size()) {
    const ssize_t bytes = read(file.get(), into.text.data() + filled, into.text.size() - filled);
    if (bytes < 0 && errno == EINTR) continue;
    if (bytes < 0) return Error{fmt::format("{}: can't read it: {}", path, std::strerror(errno))};
    if (bytes == 0) break;
    filled += static_cast<size_t>(bytes);
  }
  if (filled == into.text.size())
    return Error{
        fmt::format("{}: expected a bundle of jvpn peer add, got more than 256 KiB", path)};
  into.text.resize(filled);
  return {};
}

struct DefaultRoute {
  uint64_t metric;
  std::string device;
};

uint64_t number_in(const std::string& word, int base) {
  uint64_t number = UINT64_MAX;
  std::from_chars(word.data(), word.data() + word.size(), number, base);
  return number;
}

std::vector<std::string> words_of(const std::string& line) {
  std::istringstream stream(line);
  std::vector<std::string> words;
  for (std::string word; stream >> word;) words.push_back(std::move(word));
  return words;
}

std::string text_at(const char* path) {
  const auto text = admin::read_text_file(path);
  return text ? *text : std::string();
}

struct FreeAddresses {
  void operator()(ifaddrs* all) const { freeifaddrs(all); }
};

/// Without a default route: every device that is up and has an address of its own.
std::vector<std::string> devices_with_addresses() {
  std::vector<std::string> devices;
  ifaddrs* raw = nullptr;
  if (getifaddrs(&raw) != 0) return devices;
  const std::unique_ptr<ifaddrs, FreeAddresses> all(raw);
  for (const ifaddrs* each = all.get(); each != nullptr; each = each->ifa_next) {
    const bool fits =
        each->ifa_addr != nullptr &&
        (each->ifa_addr->sa_family == AF_INET || each->ifa_addr->sa_family == AF_INET6) &&
        (each->ifa_flags & IFF_UP) != 0 &&
        (each->ifa_flags & (IFF_LOOPBACK | IFF_POINTOPOINT)) == 0;
    if (fits && std::ranges::find(devices, each->ifa_name) == devices.end())
      devices.emplace_back(each->ifa_name);
  }
  return devices;
}

Result<std::vector<std::string>> choose_devices(const ImportOrder& order) {
  std::vector<std::string> devices = order.devices;
  if (devices.empty())
    devices = default_route_devices(text_at("/proc/net/route"), text_at("/proc/net/ipv6_route"));
  if (devices.empty()) devices = devices_with_addresses();
  if (devices.empty())
    return Error{"no device leads out of this host: name one by --device, as in --device eth0"};
  devices.resize(std::min(devices.size(), kMostUnderlays));
  return devices;
}

/// The files of one import; those that were written go again unless all are.
class Unpacked {
 public:
  Unpacked() = default;
  Unpacked(const Unpacked&) = delete;
  Unpacked& operator=(const Unpacked&) = delete;
  ~Unpacked() {
    for (const std::string& path : paths_) (void)files::remove_file(path);
  }
  Result<void> write(const std::string& path, std::string_view text) {
    auto done = files::write_whole(path, text, kOwnersAlone, files::Existing::kKeep);
    if (done) paths_.push_back(path);
    return done;
  }
  Result<void> write_key(const std::string& path, const std::optional<Secret<32>>& key) {
    if (!key) return {};
    SecretText encoded;
    encoded.text = key_to_base64(key->bytes());
    return write(path, encoded.text);
  }
  void keep() { paths_.clear(); }

 private:
  std::vector<std::string> paths_;
};

Result<std::string> unpack(const PeerBundle& bundle, const std::string& text,
                           const std::string& directory) {
  const auto in = [&](const std::string& file) { return directory + '/' + file; };
  const std::string own = in(private_key_file(bundle.name));
  if (!bundle.private_key && !std::filesystem::exists(own))
    return Error{
        fmt::format("{}: expected this host's private key there, as the bundle has none: "
                    "put it there, mode 0600, and import again",
                    own)};
  const std::string profile = in(bundle.name + ".yaml");
  Unpacked files;
  if (auto done = files.write_key(own, bundle.private_key); !done) return done.error();
  if (auto done = files.write_key(in(preshared_key_file(bundle.name)), bundle.preshared_key); !done)
    return done.error();
  if (auto done = files.write(profile, text); !done) return done.error();
  if (const auto loaded = admin::load_client(profile); !loaded) return loaded.error();
  files.keep();
  return profile;
}

}  // namespace

std::vector<std::string> default_route_devices(const std::string& ipv4, const std::string& ipv6) {
  std::vector<DefaultRoute> routes;
  std::istringstream lines4(ipv4);
  for (std::string line; std::getline(lines4, line);) {
    const auto words = words_of(line);  // Iface Destination Gateway Flags RefCnt Use Metric Mask …
    if (words.size() >= 8 && words[1] == "00000000" && words[7] == "00000000")
      routes.push_back({number_in(words[6], 10), words[0]});
  }
  std::istringstream lines6(ipv6);
  for (std::string line; std::getline(lines6, line);) {
    const auto words = words_of(line);  // destination length source length via metric … device
    const bool leads_out = words.size() == 10 && words[0] == std::string(32, '0') &&
                           words[1] == "00" && words[9] != "lo";
    if (leads_out) routes.push_back({number_in(words[5], 16), words[9]});
  }
  std::ranges::stable_sort(routes, {}, &DefaultRoute::metric);
  std::vector<std::string> devices;
  for (DefaultRoute& route : routes)
    if (std::ranges::find(devices, route.device) == devices.end())
      devices.push_back(std::move(route.device));
  return devices;
}

Result<std::string> import_bundle(const ImportOrder& order) {
  SecretText text;
  if (auto read = read_bundle(order.file, text); !read) return read.error();
  const auto bundle = parse_bundle(text.text, order.file);
  if (!bundle) return bundle.error();
  const auto devices = choose_devices(order);
  if (!devices) return devices.error();
  std::string profile =
      bundle->profile +
      "# Ways out of this host, in order of preference, as the import found them.\n"
      "underlays:\n";
  for (const std::string& device : *devices)
    profile += fmt::format("  - {{name: {0}, device: {0}}}\n", device);
  const auto parsed = parse_client_profile(profile, order.file + " (its profile)");
  if (!parsed) return parsed.error();
  // Whoever made the bundle doesn't decide that this host's keys are written down.
  if (!parsed->crypto.key_log_file.path.empty())
    return Error{
        fmt::format("{}: expected a bundle of jvpn peer add, got one with "
                    "crypto.key_log_file: add it to the profile after the import",
                    order.file)};
  if (mkdir(order.directory.c_str(), 0700) != 0 && errno != EEXIST)
    return Error{fmt::format("{}: can't make this folder: {} (--config-dir names another)",
                             order.directory, std::strerror(errno))};
  return unpack(*bundle, profile, order.directory);
}

}  // namespace jvpn::client::control
