#include "tools/jvpn/peer_files.h"

#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <utility>

#include <fcntl.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <sys/file.h>
#include <sys/stat.h>

#include "common/address_use.h"
#include "common/nearest.h"
#include "common/peer_file.h"
#include "common/printable.h"
#include "control/admin/peer_directory.h"
#include "control/admin/profile_file.h"
#include "tools/jvpn/admin_client.h"
#include "tools/jvpn/output.h"

namespace jvpn {
namespace {

using Json = nlohmann::json;

constexpr const char* kDefaultProfile = "/etc/jvpn/jvpnd.yaml";
constexpr size_t kSearchAtOnce = 1'024;

/// The profile alone, its directory resolved.
Result<GatewayProfile> read_profile(const std::string& path) {
  const auto text = admin::read_text_file(path);
  if (!text) {
    return Error{text.error().message +
                 " (--profile names the gateway's profile when no gateway runs)"};
  }
  auto profile = parse_gateway_profile(*text, path);
  if (!profile) return profile;
  profile->enrolment.directory = admin::resolve_path(profile->enrolment.directory, path);
  return profile;
}

bool same_place(const std::string& one, const std::string& other) {
  std::error_code ignored;
  return std::filesystem::weakly_canonical(one, ignored) ==
         std::filesystem::weakly_canonical(other, ignored);
}

std::vector<IpAddress> own_addresses(const GatewayProfile& profile) {
  std::vector<IpAddress> own;
  for (const PortProfile& port : profile.ports)
    for (const Prefix& address : port.addresses) own.push_back(address.address);
  return own;
}

}  // namespace

Json peer_json(const PeerProfile& peer) {
  Json json{{"name", peer.name},
            {"public_key", key_to_base64(peer.public_key)},
            {"enabled", !peer.disabled},
            {"enrolled", peer.enrolled},
            {"allowed_ips", Json::array()},
            {"endpoints", Json::array()}};
  for (const Prefix& each : peer.allowed_ips) json["allowed_ips"].push_back(to_string(each));
  for (const Endpoint& each : all_endpoints(peer)) json["endpoints"].push_back(to_string(each));
  return json;
}

/// The gateway's word is asked for first; one that isn't there is no Error.
Result<void> PeerFiles::find_profile(const PeerCommand& command) {
  socket_ = command.socket;
  const bool listens = is_listened_at(socket_);
  const auto told =
      listens ? ask_admin_json(socket_, {{"command", "enrol"}}) : Result<Json>(Error{"no socket"});
  if (listens && !told) return told.error();  // it may be busy: it isn't gone
  const Json& place = told ? field(*told, "enrol") : Json();
  const std::string running = place.is_object() ? place.value("profile", "") : "";
  path_ = !command.profile.empty() ? command.profile : running.empty() ? kDefaultProfile : running;
  auto profile = read_profile(path_);
  if (!profile) return profile.error();
  profile_ = std::move(*profile);
  if (running.empty()) return {};
  running_ = same_place(place.value("directory", ""), directory());
  if (running_) return {};
  return Error{fmt::format(
      "{}: its peers are in {}, those of the gateway at {} in {}: give that one's profile, its "
      "socket by --socket, or jvpn reload it first",
      path_, directory(), socket_, printable(place.value("directory", "")))};
}

Result<void> PeerFiles::lock() {
  if (mkdir(directory().c_str(), 0700) != 0 && errno != EEXIST)
    return Error{
        fmt::format("{}: can't make the folder of peers: {}", directory(), std::strerror(errno))};
  lock_ = FileDescriptor(::open(directory().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!lock_ || flock(lock_.get(), LOCK_EX) != 0)
    return Error{
        fmt::format("{}: can't lock the folder of peers: {}", directory(), std::strerror(errno))};
  return {};
}

Result<PeerFiles> PeerFiles::open(const PeerCommand& command) {
  if (!is_peer_file_name(command.name))
    return Error{fmt::format("NAME: expected {}, got {}", kPeerNameForm,
                             printable(command.name.substr(0, 64)))};
  auto files = look(command);
  if (!files) return files;
  if (auto locked = files->lock(); !locked) return locked.error();
  return files;
}

Result<PeerFiles> PeerFiles::look(const PeerCommand& command) {
  PeerFiles files;
  if (auto found = files.find_profile(command); !found) return found.error();
  return files;
}

std::string PeerFiles::file(const std::string& name) const {
  return admin::peer_file_path(directory(), name);
}

bool PeerFiles::has(const std::string& name) const {
  return std::filesystem::exists(file(name));
}

Error PeerFiles::no_such_peer(const std::string& name) const {
  for (const PeerProfile& peer : profile_.peers) {
    if (peer.name != name) continue;
    return Error{
        fmt::format("peer {} stands in the profile itself: change it there ({}), then jvpn reload",
                    name, path_)};
  }
  const auto names = admin::list_peer_files(directory());
  const std::string meant = names ? did_you_mean(name, *names) : "";
  return Error{fmt::format("no such peer: {} has no {}{}{}; jvpn peer list has them all",
                           directory(), name, kPeerFileEnd, meant)};
}

Result<std::vector<Prefix>> PeerFiles::free_addresses() const {
  const std::vector<Prefix>& pools = profile_.enrolment.pool;
  std::vector<Prefix> found;
  if (running_) {
    Json named = Json::array();
    for (const Prefix& pool : pools) named.push_back(to_string(pool));
    const auto told = ask_admin_json(socket_, {{"command", "enrol"}, {"pool", named}});
    if (!told) return told.error();
    for (const Json& each : field(field(*told, "enrol"), "free"))
      if (const auto prefix = Prefix::parse(each.is_string() ? each.get<std::string>() : ""))
        found.push_back(*prefix);
    return found;
  }
  GatewayProfile all = profile_;
  const auto findings = admin::add_enrolled(all, path_);
  if (!findings.empty()) return Error{findings.front()};
  AddressUse use;
  for (const PeerProfile& peer : all.peers)
    for (const Prefix& prefix : peer.allowed_ips) use.add(prefix, 0);
  for (const Family family : {Family::kIpv4, Family::kIpv6}) {
    std::optional<Prefix> free;
    for (size_t i = 0; i < pools.size() && !free; ++i) {
      if (pools[i].address.family != family) continue;
      AddressSearch search(pools[i], own_addresses(profile_));
      while (!free && !search.ended()) free = search.go_on(use, kSearchAtOnce);
    }
    if (free) found.push_back(*free);
  }
  return found;
}

Result<Json, PeerFiles::Refusal> PeerFiles::apply(const std::string& name) const {
  const auto answer =
      ask_admin(socket_, Json{{"command", "peer"}, {"name", name}}.dump(), kReadingPatience);
  if (!answer) return Refusal{answer.error().message, false};
  Json reply = Json::parse(*answer, nullptr, false);
  if (!reply.is_object()) return Refusal{"the gateway closed the connection", false};
  if (const Json& error = field(reply, "error"); error.is_string())
    return Refusal{printable_lines(error.get<std::string>()), true};
  return reply;
}

}  // namespace jvpn
