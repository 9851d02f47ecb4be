#include "control/admin/profile_file.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <utility>

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include "common/file_descriptor.h"
#include "control/admin/path_checks.h"
#include "control/admin/peer_directory.h"
#include "control/files/private_file.h"

namespace jvpn::admin {
namespace {

constexpr size_t kLargestText = size_t{256} << 20;
constexpr size_t kLargestKeyFile = 128;  // 44 characters and some white space

FileDescriptor open_file(const std::string& path, int flags = 0) {
  return FileDescriptor(open(path.c_str(), O_RDONLY | O_CLOEXEC | flags));
}

/// Bytes read into `buffer`, as many as there are and fit; -1 with errno.
ssize_t read_some(int fd, char* buffer, size_t bytes) {
  ssize_t got = 0;
  do {
    got = read(fd, buffer, bytes);
  } while (got < 0 && errno == EINTR);
  return got;
}

Error unreadable(const std::string& path, std::string_view cause) {
  return Error{fmt::format("{}: expected a readable file, got {}", path, cause)};
}

/// The key in an opened file; nullopt when it holds anything else.
std::optional<SecretKey> read_key(int fd) {
  std::array<char, kLargestKeyFile> buffer;
  const ssize_t bytes = read_some(fd, buffer.data(), buffer.size());
  std::optional<SecretKey> secret;
  if (bytes > 0 && static_cast<size_t>(bytes) < buffer.size()) {
    std::string_view text(buffer.data(), static_cast<size_t>(bytes));
    const size_t end = text.find_last_not_of(" \t\r\n");
    text = text.substr(0, end == std::string_view::npos ? 0 : end + 1);
    if (auto key = key_from_base64(text)) {
      secret.emplace(*key);
      wipe(key->data(), key->size());
    }
  }
  wipe(buffer.data(), buffer.size());
  return secret;
}

/// The secrets of one profile, read with all errors gathered.
class KeyLoader {
 public:
  KeyLoader(const CryptoProfile& crypto, const std::string& path) : crypto_(crypto), path_(path) {
    own_ = take(read_key_file(crypto.private_key_file, path));
    if (own_) own_public_ = public_key_of(*own_);
  }

  /// The peer's preshared key, if it has one; `where`: the file that names it. A node that has
  /// itself as a peer mixed up its keys.
  std::optional<PresharedKey> preshared(const PeerProfile& peer, const std::string& where) {
    if (own_ && own_public_ == peer.public_key) {
      const FileReference& file = crypto_.private_key_file;
      add_error(profile_finding(path_, file.place, file.key, "the key of this node",
                                fmt::format("that of peer {}", peer.name)));
    }
    if (!peer.preshared_key_file) return std::nullopt;
    return take(read_key_file(*peer.preshared_key_file, where));
  }

  /// What is wrong besides keys.
  void add(const std::vector<std::string>& findings) {
    for (const std::string& each : findings) add_error(each);
  }

  /// Gives the private key, once all else is read.
  Result<SecretKey> finish() {
    if (!errors_.empty()) return Error{errors_};
    return std::move(*own_);
  }

 private:
  std::optional<SecretKey> take(Result<SecretKey> key) {
    if (key) return std::move(*key);
    add_error(key.error().message);
    return std::nullopt;
  }

  void add_error(const std::string& line) {
    if (!errors_.empty()) errors_ += '\n';
    errors_ += line;
  }

  const CryptoProfile& crypto_;
  const std::string& path_;
  std::optional<SecretKey> own_;
  PublicKey own_public_{};
  std::string errors_;
};

/// The paths that the program itself opens.
template <typename Profile>
void resolve_paths(Profile& profile, const std::string& path) {
  profile.admin.socket = resolve_path(profile.admin.socket, path);
  std::string& key_log = profile.crypto.key_log_file.path;
  if (!key_log.empty()) key_log = resolve_path(key_log, path);
  for (EventSinkProfile& sink : profile.events.sinks)
    if (!sink.path.empty()) sink.path = resolve_path(sink.path, path);
}

}  // namespace

Result<std::string> read_text_file(const std::string& path) {
  const FileDescriptor file = open_file(path);
  if (!file) return unreadable(path, std::strerror(errno));

  std::string text;
  std::array<char, 16'384> buffer;
  for (;;) {
    const ssize_t bytes = read_some(file.get(), buffer.data(), buffer.size());
    if (bytes < 0) return unreadable(path, std::strerror(errno));
    if (bytes == 0) return text;
    text.append(buffer.data(), static_cast<size_t>(bytes));
    if (text.size() > kLargestText) return unreadable(path, "more than 256 MiB");
  }
}

std::string resolve_path(std::string_view path, std::string_view profile_path) {
  // An absolute right side replaces the left one.
  return (std::filesystem::path(profile_path).parent_path() / path).string();
}

Result<SecretKey> read_key_file(const FileReference& file, std::string_view profile_path) {
  const auto finding = [&](std::string_view expected, std::string_view got) {
    return Error{profile_finding(profile_path, file.place, file.key, expected, got)};
  };
  const std::string path = resolve_path(file.path, profile_path);
  // Non-blocking, so that a FIFO in the place of a key can't hold the program up.
  const FileDescriptor opened = open_file(path, O_NONBLOCK);
  if (!opened) {
    return finding("a readable key file", fmt::format("{} ({})", std::strerror(errno), path));
  }
  if (const auto wrong = files::privacy_trouble(opened.get())) {
    return finding(wrong->expected, fmt::format("{} ({})", wrong->got, path));
  }
  auto key = read_key(opened.get());
  if (!key) {
    return finding("a file with one key of 32 bytes in base64",
                   fmt::format("something else ({}; make one with jvpn genkey or genpsk)", path));
  }
  return std::move(*key);
}

Result<LoadedGateway> load_gateway(const std::string& path) {
  const auto text = read_text_file(path);
  if (!text) return text.error();
  auto profile = parse_gateway_profile(*text, path);
  if (!profile) return profile.error();

  KeyLoader keys(profile->crypto, path);
  std::string& directory = profile->enrolment.directory;
  directory = resolve_path(directory, path);
  keys.add(add_enrolled(*profile, path));
  std::vector<std::optional<PresharedKey>> preshared;
  preshared.reserve(profile->peers.size());
  for (const PeerProfile& peer : profile->peers)
    preshared.push_back(
        keys.preshared(peer, peer.enrolled ? peer_file_path(directory, peer.name) : path));
  resolve_paths(*profile, path);
  StateProfile& state = profile->state;
  if (!state.directory.empty()) state.directory = resolve_path(state.directory, path);
  if (auto& etcd = profile->ownership.etcd) {
    for (std::string* file : {&etcd->ca_file, &etcd->certificate_file, &etcd->key_file})
      if (!file->empty()) *file = resolve_path(*file, path);
  }
  keys.add(check_paths(profile->events, profile->admin, path));
  keys.add(check_key_log(profile->crypto.key_log_file, path));
  keys.add(check_state(state, path));
  auto own = keys.finish();
  if (!own) return own.error();
  return LoadedGateway{path, std::move(*profile), std::move(*own), std::move(preshared)};
}

Result<LoadedClient> load_client(const std::string& path) {
  const auto text = read_text_file(path);
  if (!text) return text.error();
  auto profile = parse_client_profile(*text, path);
  if (!profile) return profile.error();

  KeyLoader keys(profile->crypto, path);
  auto preshared = keys.preshared(profile->gateway, path);
  resolve_paths(*profile, path);
  std::string& ca_file = profile->fallback.ca_file.path;
  if (!ca_file.empty()) ca_file = resolve_path(ca_file, path);
  keys.add(check_paths(profile->events, profile->admin, path));
  keys.add(check_key_log(profile->crypto.key_log_file, path));
  keys.add(check_ca_file(profile->fallback.ca_file, path));
  auto own = keys.finish();
  if (!own) return own.error();
  return LoadedClient{path, std::move(*profile), std::move(*own), std::move(preshared)};
}

std::string warning(const GatewayProfile& profile) {
  const std::vector<uint32_t>& workers = profile.cores.workers;
  const auto shared = std::ranges::find(workers, profile.cores.control);
  if (shared == workers.end()) return {};
  return fmt::format(
      "cores.workers[{}]: CPU {} is cores.control's, too: under load handshakes and jumps wait for "
      "that worker; give it a CPU of its own, unless this is a lab",
      shared - workers.begin(), *shared);
}

}  // namespace jvpn::admin
