// `jvpn peer add`: keys and addresses → the client's bundle → the peer's files → the gateway.
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <optional>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "common/limits.h"
#include "common/peer_file.h"
#include "control/admin/profile_file.h"
#include "control/files/whole_file.h"
#include "control/session/system_sources.h"
#include "tools/jvpn/client_profile.h"
#include "tools/jvpn/output.h"
#include "tools/jvpn/peer_orders.h"
#include "tools/jvpn/qr_code.h"
#include "tools/shared/exit_code.h"
#include "tools/shared/peer_bundle.h"

namespace jvpn {
namespace {

using Json = nlohmann::json;

constexpr mode_t kOwnerOnly = 0600;

/// What is made of a new peer, before anything is written.
struct NewPeer {
  PeerProfile profile;
  PresharedKey preshared;
  PeerBundle bundle;
};

/// The prefixes and endpoints of the command line, or an Error that names the option.
Result<void> take_words(const PeerAddition& addition, PeerProfile& peer) {
  for (const std::string& word : addition.allowed_ips) {
    const auto prefix = Prefix::parse(word);
    if (!prefix || *prefix != prefix->network())
      return Error{
          fmt::format("--allowed-ips: expected networks with their host bits zero such as "
                      "10.77.0.9/32, got {}",
                      word)};
    if (std::ranges::find(peer.allowed_ips, *prefix) == peer.allowed_ips.end())
      peer.allowed_ips.push_back(*prefix);
  }
  for (const std::string& word : addition.endpoints) {
    const auto endpoint = Endpoint::parse(word);
    if (!endpoint || endpoint->port == 0)
      return Error{
          fmt::format("--endpoint: expected one such as 192.0.2.1:51900 or "
                      "[2001:db8::1]:51900, got {}",
                      word)};
    peer.endpoints.push_back(*endpoint);
  }
  return {};
}

Result<void> choose_addresses(const PeerFiles& files, PeerProfile& peer) {
  if (!peer.allowed_ips.empty()) return {};
  if (files.profile().enrolment.pool.empty())
    return Error{fmt::format(
        "{}: enrolment.pool: expected networks of inner addresses, got nothing: write, for "
        "example, `enrolment: {{pool: [10.77.0.0/16, \"fd77::/64\"]}}`, or give --allowed-ips",
        files.profile_path())};
  auto free = files.free_addresses();
  if (!free) return free.error();
  if (free->empty())
    return Error{fmt::format(
        "{}: enrolment.pool: expected a free address, all are taken: add a network to it",
        files.profile_path())};
  peer.allowed_ips = std::move(*free);
  return {};
}

/// The client's key: made here, or only its public half is told.
Result<void> take_key(const PeerAddition& addition, NewPeer& fresh) {
  if (addition.public_key.empty()) {
    fresh.bundle.private_key = generate_secret_key();
    fresh.profile.public_key = public_key_of(*fresh.bundle.private_key);
    return {};
  }
  const auto key = key_from_base64(addition.public_key);
  if (!key || *key == PublicKey{})
    return Error{
        "--public-key: expected a public key of 32 bytes in base64, as jvpn pubkey prints"};
  fresh.profile.public_key = *key;
  return {};
}

Result<NewPeer> make_peer(const PeerFiles& files, const PeerCommand& command,
                          const PeerAddition& addition) {
  NewPeer fresh;
  fresh.profile.name = command.name;
  fresh.profile.enrolled = true;
  const std::string secret = preshared_key_file(command.name);
  fresh.profile.preshared_key_file = FileReference{secret, "preshared_key_file", {}};
  if (auto taken = take_words(addition, fresh.profile); !taken) return taken.error();
  if (auto chosen = choose_addresses(files, fresh.profile); !chosen) return chosen.error();
  if (auto taken = take_key(addition, fresh); !taken) return taken.error();
  const FileReference& own = files.profile().crypto.private_key_file;
  const auto private_key = admin::read_key_file(own, files.profile_path());
  if (!private_key) return private_key.error();
  session::fill_random(fresh.preshared.bytes());
  fresh.bundle.name = command.name;
  fresh.bundle.preshared_key = fresh.preshared;
  fresh.bundle.profile =
      client_profile_text(files.profile(), public_key_of(*private_key), command.name, true);
  return fresh;
}

/// Nobody has the name yet.
Result<void> check_name(const PeerFiles& files, const std::string& name) {
  for (const PeerProfile& peer : files.profile().peers)
    if (peer.name == name)
      return Error{fmt::format("{}: peer {} stands in the profile itself: choose another name",
                               files.profile_path(), name)};
  if (!files.has(name)) return {};
  return Error{
      fmt::format("{}: there is such a peer already: choose another name, or jvpn peer "
                  "remove {} first",
                  files.file(name), name)};
}

std::string bundle_path(const PeerCommand& command, const PeerAddition& addition) {
  std::string file = command.name + std::string(kBundleEnd);
  if (addition.out.empty()) return file;
  if (std::filesystem::is_directory(addition.out))
    return (std::filesystem::path(addition.out) / file).string();
  return addition.out;
}

/// The files of one new peer; those that were written go again unless they are kept.
class Written {
 public:
  Written() = default;
  Written(const Written&) = delete;
  Written& operator=(const Written&) = delete;
  ~Written() { take_back(); }

  Result<void> write(const std::string& path, std::string_view text) {
    auto done = files::write_whole(path, text, kOwnerOnly, files::Existing::kKeep);
    if (done) paths_.push_back(path);
    return done;
  }
  void keep() { paths_.clear(); }
  void take_back() {
    for (const std::string& path : std::exchange(paths_, {})) (void)files::remove_file(path);
  }

 private:
  std::vector<std::string> paths_;
};

/// The peer's own file is the last: whoever reads the directory finds its key there.
Result<void> write_files(const PeerFiles& files, const NewPeer& fresh, const std::string& bundle,
                         std::string_view bundle_text, Written& written) {
  if (auto done = written.write(bundle, bundle_text); !done) return done;
  std::string key = key_to_base64(fresh.preshared.bytes());
  auto done = written.write(files.beside(fresh.profile.preshared_key_file->path), key);
  wipe(key.data(), key.size());
  if (!done) return done;
  return written.write(files.file(fresh.profile.name), peer_file_text(fresh.profile));
}

Json added_json(const NewPeer& fresh, const std::string& bundle) {
  Json json{{"name", fresh.profile.name},
            {"public_key", key_to_base64(fresh.profile.public_key)},
            {"allowed_ips", Json::array()},
            {"bundle", bundle}};
  for (const Prefix& each : fresh.profile.allowed_ips)
    json["allowed_ips"].push_back(to_string(each));
  return json;
}

int print_added(const PeerCommand& command, const NewPeer& fresh, const std::string& bundle,
                const Json* applied) {
  Json added = added_json(fresh, bundle);
  added["applied"] = applied != nullptr;
  if (applied != nullptr) added.update(field(*applied, "peer"));
  std::string text = added.dump() + '\n';
  if (!command.as_json) {
    text = fmt::format(
        "{} added: {}, {}\n{}: its profile and keys, secret; on its host: "
        "jvpn-client --import {}\n",
        command.name, list_of(added["allowed_ips"]),
        applied != nullptr ? "applied by the gateway"
                           : "no gateway runs with these files, it is applied when "
                             "one starts",
        bundle, std::filesystem::path(bundle).filename().string());
    if (!fresh.bundle.private_key)
      text += fmt::format("it has no private key: put that of {} there as {}, mode 0600\n",
                          added["public_key"].get<std::string>(), private_key_file(command.name));
  }
  if (const int printed = print_text(text); printed != 0) return printed;
  if (applied == nullptr) return kNotRunning;
  const std::string failed = list_of(field(field(*applied, "peer"), "failed"));
  return failed.empty() ? 0 : complain("not all of it could be applied: " + failed);
}

int add_peer(const PeerFiles& files, const PeerCommand& command, const PeerAddition& addition) {
  if (auto free = check_name(files, command.name); !free) return complain(free.error().message);
  const auto fresh = make_peer(files, command, addition);
  if (!fresh) return complain(fresh.error().message);
  const std::string bundle = bundle_path(command, addition);
  std::string text = bundle_text(fresh->bundle);
  Written written;
  auto done = write_files(files, *fresh, bundle, text, written);
  std::optional<Json> applied;
  if (done && files.running()) {
    auto told = files.apply(command.name);
    if (told) {
      applied = std::move(*told);
    } else if (!told.error().certain) {
      written.keep();
      wipe(text.data(), text.size());
      return complain(told.error().why +
                      "; the files are written, and whether the gateway has "
                      "taken them isn't known: jvpn sync makes it so");
    } else {
      std::fprintf(stderr, "%s\n", told.error().why.c_str());
      done = Error{"the gateway refuses it; nothing has changed"};
    }
  }
  if (done) written.keep();
  const bool drawn = !done || !addition.qr || draw_qr_code(text);
  wipe(text.data(), text.size());
  if (!done) return complain(done.error().message);
  const int status = print_added(command, *fresh, bundle, applied ? &*applied : nullptr);
  return drawn ? status : complain("the bundle is too long for a QR code, or memory is missing");
}

}  // namespace

int run_peer_add(const PeerCommand& command, const PeerAddition& addition) {
  if (addition.qr && !on_terminal())
    return complain("--qr: expected a terminal on standard output, as the picture holds the keys");
  const auto files = PeerFiles::open(command);
  if (!files) return complain(files.error().message);
  return add_peer(*files, command, addition);
}

}  // namespace jvpn
