#include "tools/client/control/attendant_keeper.h"

#include <algorithm>
#include <utility>

#include <spdlog/spdlog.h>

#include "tools/client/control/gateway_peer.h"

namespace jvpn::client::control {

AttendantKeeper::AttendantKeeper(std::unique_ptr<attendant::Attendant> attendant,
                                 PeerProfile gateway, session::EnginePeer peer, bool dns,
                                 AttendantKeeperParts parts)
    : attendant_(std::move(attendant)),
      parts_(parts),
      gateway_(std::move(gateway)),
      peer_(std::move(peer)),
      known_(gateway_),
      addresses_(gateway_.named.size()),
      failures_(gateway_.named.size()),
      dns_(dns ? "waiting" : "none"),
      dns_due_(dns),
      due_(gateway_.named.empty() ? kNever : Millis{0}) {}

void AttendantKeeper::follow(Millis now) {
  if (!attendant_) return;
  if (dns_due_ && parts_.tunnel.mtu() != 0) {  // it has addresses: the servers can be reached
    dns_due_ = false;
    attendant_->set_dns();
  }
  if (gateway_.named.empty()) return;
  const bool has_path = parts_.data_path.path().has_value();
  if (had_path_ && !has_path && !asked_) {
    pause_ = kFirstPause;
    due_ = now;
  }
  had_path_ = has_path;
  if (has_path || due_ > now) {
    if (has_path) due_ = kNever;
    return;
  }
  asked_ = true;
  due_ = kNever;
  attendant_->look_up(parts_.tunnel.mark());
}

bool AttendantKeeper::take(Millis now) {
  bool changed = false;
  while (attendant_) {
    const auto news = attendant_->take();
    if (!news) break;
    if (news->ended) {
      attendant_.reset();
      due_ = kNever;
      spdlog::error(
          "the attendant has ended: names are looked up no more, and name servers stay as they "
          "are until a restart");
    } else if (news->dns) {
      take_dns(*news->dns);
    } else {
      changed |= take_addresses(now, *news);
    }
  }
  return changed;
}

void AttendantKeeper::take_dns(const std::string& trouble) {
  dns_ = trouble.empty() ? "set" : trouble;
  if (trouble.empty())
    spdlog::info("{}: name servers set", parts_.tunnel.tun().name());
  else
    spdlog::warn("name servers are not set: {}", trouble);
}

bool AttendantKeeper::take_addresses(Millis now, const attendant::News& news) {
  asked_ = false;
  const bool has_path = parts_.data_path.path().has_value();
  had_path_ = has_path;
  due_ = has_path ? kNever : now + pause_;
  pause_ = std::min(kLongestPause, pause_ + pause_);
  for (size_t n = 0; n < gateway_.named.size(); ++n) {
    const std::string& why = news.failures[n];
    if (why != failures_[n] && !why.empty()) spdlog::warn("{}: {}", gateway_.named[n].host, why);
    failures_[n] = why;
    // What was known once is better than nothing.
    if (!news.addresses[n].empty()) addresses_[n] = news.addresses[n];
  }
  PeerProfile fresh = with_addresses(gateway_, addresses_);
  // Who has a session goes on where it is.
  const auto& path = parts_.data_path.path();
  if (path && gateway_name(fresh, parts_.fallback, path->remote).empty())
    fresh.endpoints.push_back(path->remote);
  if (fresh == known_) return false;
  known_ = std::move(fresh);
  pause_ = kFirstPause;
  std::string list;
  for (const Endpoint& each : all_endpoints(known_)) list += ' ' + to_string(each);
  spdlog::info("the gateway's addresses:{}", list);
  const std::vector<Endpoint> endpoints = all_endpoints(known_);
  const std::vector<Endpoint> outside = outer_endpoints(known_, parts_.fallback);
  // First the rules: what is sent to an address before finds the tunnel instead of its way out.
  if (const auto set = parts_.tunnel.set_endpoints(outside); !set)
    spdlog::error("{}", set.error().message);
  peer_.gateways = path_gateways(known_, parts_.fallback);
  parts_.engine.update_peer(kGateway, peer_);
  parts_.host.set_endpoints(endpoints);
  parts_.paths.set_endpoints(gateway_endpoints(known_));
  parts_.keeper.set_endpoints(now, endpoints);
  return true;
}

Result<void> AttendantKeeper::end(bool open) {
  if (!attendant_)
    return Error{
        "the attendant has ended before: `jvpn-client --release PROFILE` sets the host back"};
  if (open) attendant_->open_host();
  attendant_.reset();
  return {};
}

std::vector<std::string> AttendantKeeper::troubles() const {
  std::vector<std::string> all;
  for (size_t n = 0; n < failures_.size(); ++n)
    if (!failures_[n].empty()) all.push_back(gateway_.named[n].host + ": " + failures_[n]);
  if (dns_ != "none" && dns_ != "waiting" && dns_ != "set")
    all.push_back("name servers are not set: " + dns_);
  return all;
}

}  // namespace jvpn::client::control
