#include "control/admin/peer_directory.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <memory>
#include <utility>

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/file_descriptor.h"
#include "common/printable.h"
#include "control/admin/profile_file.h"

namespace jvpn::admin {
namespace {

constexpr const char* kFolderForm =
    "a folder that can be read, and that only root or the program's user can write (mkdir -m 0700 "
    "makes one)";

constexpr size_t kLargestFile = size_t{128} * 1'024;  // 1024 prefixes, and remarks
constexpr size_t kMostFindings = 20;                  // files that are told of at once

struct CloseDirectory {
  void operator()(DIR* directory) const { closedir(directory); }
};

Error unreadable(const std::string& path, std::string_view expected, int error) {
  return Error{profile_finding(path, {1, 1}, "peer", expected, std::strerror(error))};
}

/// The text of a file in an open directory, or -errno.
int read_text(int directory, const std::string& file, std::string& text) {
  // Non-blocking, so that a FIFO can't hold the program up.
  const FileDescriptor opened(openat(directory, file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!opened) return -errno;
  text.resize(4'096);
  size_t filled = 0;
  for (;;) {
    if (filled == text.size()) text.resize(text.size() * 2);
    const ssize_t bytes = read(opened.get(), text.data() + filled, text.size() - filled);
    if (bytes < 0 && errno == EINTR) continue;
    if (bytes < 0) return -errno;
    if (bytes == 0) break;
    filled += static_cast<size_t>(bytes);
    if (filled > kLargestFile) return -EFBIG;
  }
  text.resize(filled);
  return 0;
}

/// -1 and errno: EPERM when others may write there, and so say who is a peer.
FileDescriptor open_directory(const std::string& path) {
  FileDescriptor opened(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  struct stat found {};
  if (!opened || fstat(opened.get(), &found) != 0) return {};
  const bool ours = found.st_uid == geteuid() || found.st_uid == 0;
  if (ours && (found.st_mode & (S_IWGRP | S_IWOTH)) == 0) return opened;
  errno = EPERM;
  return {};
}

Result<std::optional<PeerFile>> read_in(int descriptor, const std::string& directory,
                                        const std::string& name) {
  const std::string path = peer_file_path(directory, name);
  std::string text;
  const int error = read_text(descriptor, name + std::string(kPeerFileEnd), text);
  if (error == -ENOENT) return std::optional<PeerFile>();
  if (error != 0) return unreadable(path, "a readable file of at most 128 KiB", -error);
  auto parsed = parse_peer_file(text, path, name);
  if (!parsed) return parsed.error();
  return std::optional(std::move(*parsed));
}

/// The peers of one directory, and the profile's before them.
class Union {
 public:
  Union(GatewayProfile& profile, std::string file)
      : profile_(profile), file_(std::move(file)), inline_(profile.peers.size()) {}

  void add_all() {
    const std::string& directory = profile_.enrolment.directory;
    const FileDescriptor opened = open_directory(directory);
    if (!opened && errno == ENOENT && profile_.enrolment.place.line == 0) return;
    if (!opened) {
      return add(profile_finding(file_, profile_.enrolment.place, "enrolment.directory",
                                 kFolderForm,
                                 fmt::format("{} ({})", std::strerror(errno), directory)));
    }
    const auto names = list_peer_files(directory);
    if (!names) return add(names.error().message);
    profile_.peers.reserve(inline_ + names->size());
    files_.reserve(names->size());
    for (const std::string& name : *names) add_one(opened.get(), name);
  }

  std::vector<std::string> compare() && {
    check_count();
    check_names();
    check_keys();
    check_prefixes();
    if (found_.size() > kMostFindings) {
      const size_t more = found_.size() - kMostFindings;
      found_.resize(kMostFindings);
      found_.push_back(fmt::format("{}: {} more findings like these", file_, more));
    }
    return std::move(found_);
  }

 private:
  struct Places {
    Place key;
    std::vector<Place> prefixes;
  };

  void add(std::string finding) { found_.push_back(std::move(finding)); }

  void add_one(int descriptor, const std::string& name) {
    auto read = read_in(descriptor, profile_.enrolment.directory, name);
    if (!read) return add(read.error().message);
    if (!*read) return;  // it was removed this moment
    profile_.peers.push_back(std::move((*read)->peer));
    files_.push_back({(*read)->key, std::move((*read)->prefixes)});
  }

  /// `peers[3]` of the profile, or a file.
  std::string where(size_t peer) const {
    if (peer < inline_) return fmt::format("peers[{}]", peer);
    return profile_.peers[peer].name + std::string(kPeerFileEnd);
  }
  /// What the profile's own peers have twice, its parser has found.
  void repeated(size_t first, size_t again, Place place, const char* key, const char* noun,
                const std::string& value) {
    if (again < inline_) return;
    const std::string path =
        peer_file_path(profile_.enrolment.directory, profile_.peers[again].name);
    add(profile_finding(path, place, key, noun, fmt::format("{} (as {})", value, where(first))));
  }

  void check_count() {
    const size_t most = profile_.limits.sessions;
    if (profile_.peers.size() <= most) return;
    add(profile_finding(file_, {1, 1}, "limits.sessions",
                        fmt::format("at least the {} peers, those of {} with them",
                                    profile_.peers.size(), profile_.enrolment.directory),
                        fmt::format("{}", most)));
  }
  /// Two files can't have one name.
  void check_names() {
    for (size_t own = 0; own < inline_; ++own) {
      const auto begin = profile_.peers.begin() + static_cast<ptrdiff_t>(inline_);
      const auto same = std::ranges::lower_bound(begin, profile_.peers.end(),
                                                 profile_.peers[own].name, {}, &PeerProfile::name);
      if (same == profile_.peers.end() || same->name != profile_.peers[own].name) continue;
      repeated(own, static_cast<size_t>(same - profile_.peers.begin()), {1, 1}, "name",
               "a file's name that no other peer has", same->name);
    }
  }
  void check_keys() {
    std::vector<std::pair<PublicKey, size_t>> keys;
    keys.reserve(profile_.peers.size());
    for (size_t i = 0; i < profile_.peers.size(); ++i)
      keys.emplace_back(profile_.peers[i].public_key, i);
    std::ranges::sort(keys);
    for (size_t i = 1; i < keys.size(); ++i) {
      if (keys[i].first != keys[i - 1].first || keys[i].second < inline_) continue;
      repeated(keys[i - 1].second, keys[i].second, files_[keys[i].second - inline_].key,
               "public_key", "a public key that no other peer has", key_to_base64(keys[i].first));
    }
  }
  void check_prefixes() {
    struct Named {
      Prefix prefix;
      size_t peer;
      size_t index;
      auto operator<=>(const Named&) const = default;
    };
    std::vector<Named> all;
    all.reserve(profile_.peers.size() * 2);
    for (size_t i = 0; i < profile_.peers.size(); ++i)
      for (size_t j = 0; j < profile_.peers[i].allowed_ips.size(); ++j)
        all.push_back({profile_.peers[i].allowed_ips[j], i, j});
    std::ranges::sort(all);
    for (size_t i = 1; i < all.size(); ++i) {
      const Named& each = all[i];
      if (each.prefix != all[i - 1].prefix || each.peer < inline_) continue;
      repeated(all[i - 1].peer, each.peer, files_[each.peer - inline_].prefixes[each.index],
               "allowed_ips", "a prefix that no other peer has", to_string(each.prefix));
    }
  }

  GatewayProfile& profile_;
  const std::string file_;
  const size_t inline_;        ///< peers of the profile itself
  std::vector<Places> files_;  ///< of those behind them
  std::vector<std::string> found_;
};

}  // namespace

std::string peer_file_path(std::string_view directory, std::string_view name) {
  return fmt::format("{}/{}{}", directory, name, kPeerFileEnd);
}

Result<std::vector<std::string>> list_peer_files(const std::string& directory) {
  const std::unique_ptr<DIR, CloseDirectory> opened(opendir(directory.c_str()));
  if (!opened) return unreadable(directory, kFolderForm, errno);
  std::vector<std::string> names;
  for (;;) {
    errno = 0;
    const dirent* const entry = readdir(opened.get());
    if (entry == nullptr && errno != 0) return unreadable(directory, kFolderForm, errno);
    if (entry == nullptr) break;
    const std::string_view file = entry->d_name;
    const bool read = file.ends_with(kPeerFileEnd) && !file.starts_with('.');
    if (!read && !file.ends_with(".yml")) continue;
    const std::string_view name = file.substr(0, file.size() - kPeerFileEnd.size());
    if (read && is_peer_file_name(name)) {
      names.emplace_back(name);
      continue;
    }
    return Error{profile_finding(fmt::format("{}/{}", directory, printable(file)), {1, 1}, "peer",
                                 fmt::format("a file NAME{}, NAME {}", kPeerFileEnd, kPeerNameForm),
                                 printable(file))};
  }
  std::ranges::sort(names);
  return names;
}

Result<std::optional<PeerFile>> read_peer_file(const std::string& directory,
                                               const std::string& name) {
  const FileDescriptor opened = open_directory(directory);
  if (!opened && errno == ENOENT) return std::optional<PeerFile>();
  if (!opened) return unreadable(directory, kFolderForm, errno);
  return read_in(opened.get(), directory, name);
}

Result<std::optional<ConfiguredPeer>> load_peer(const std::string& directory,
                                                const std::string& name, const PublicKey& own) {
  auto read = read_peer_file(directory, name);
  if (!read) return read.error();
  if (!*read) return std::optional<ConfiguredPeer>();
  ConfiguredPeer peer{std::move((*read)->peer), {}};
  const std::string path = peer_file_path(directory, name);
  if (peer.profile.public_key == own) {
    return Error{profile_finding(path, (*read)->key, "public_key", "another's public key",
                                 "that of this node")};
  }
  if (peer.profile.preshared_key_file) {
    auto secret = read_key_file(*peer.profile.preshared_key_file, path);
    if (!secret) return secret.error();
    peer.preshared = std::move(*secret);
  }
  return std::optional(std::move(peer));
}

std::vector<std::string> add_enrolled(GatewayProfile& profile, const std::string& file) {
  Union peers(profile, file);
  peers.add_all();
  return std::move(peers).compare();
}

}  // namespace jvpn::admin
