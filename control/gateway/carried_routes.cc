#include "control/gateway/carried_routes.h"

#include <algorithm>
#include <span>
#include <utility>

#include <nlohmann/json.hpp>

#include "common/assert.h"

namespace jvpn::gateway {

void CarriedRoutes::change(PeerId peer) {
  uint64_t& latest = latest_[peer.value];
  by_change_.erase(latest);
  latest = ++changes_;
  by_change_.emplace_hint(by_change_.end(), latest, peer);
}

void CarriedRoutes::installed(PeerId peer) {
  JVPN_ASSERT(peer.value < carried_.size(), "ids are below the room");
  if (carried_[peer.value]) return;  // a rekey, a jump
  carried_[peer.value] = true;
  change(peer);
}

void CarriedRoutes::withdrawn(PeerId peer) {
  JVPN_ASSERT(peer.value < carried_.size(), "ids are below the room");
  if (!carried_[peer.value]) return;
  carried_[peer.value] = false;
  change(peer);
}

void CarriedRoutes::routed(PeerId peer) {
  if (carried_[peer.value]) change(peer);
}

class CarriedRoutes::Stream final : public admin::LineStream {
 public:
  Stream(const CarriedRoutes& routes, bool follow)
      : routes_(routes), follow_(follow), begun_(routes.changes_) {}

  More read(std::string& out, size_t most) override {
    const size_t before = out.size();
    const Millis now = routes_.clock_.now();
    const More more = go_on(out, most);
    if (out.size() == before && follow_ && now - wrote_at_ >= kAlive && out.size() < most)
      write(out, {{"alive", true}});
    if (out.size() != before) wrote_at_ = now;
    return more;
  }

 private:
  More go_on(std::string& out, size_t most) {
    if (routes_.peers_.silent()) return be_silent(out);
    if (std::exchange(silent_, false)) begun_ = routes_.changes_;
    while (out.size() < most) {
      const auto next = routes_.by_change_.upper_bound(done_);
      if (next == routes_.by_change_.end()) return end_snapshot(out);
      write_peer(out, next->first, next->second);
      if (routes_.limit_.spent()) return More::kNow;
    }
    return More::kNow;
  }

  /// Once; from the beginning when it is over.
  More be_silent(std::string& out) {
    if (!std::exchange(silent_, true)) write(out, {{"silent", true}});
    done_ = writing_ = 0;
    synced_ = false;
    return follow_ ? More::kLater : More::kNoMore;
  }

  More end_snapshot(std::string& out) {
    if (!std::exchange(synced_, true)) write(out, {{"synced", true}});
    return follow_ ? More::kLater : More::kNoMore;
  }

  /// All of it, or as much as a line holds. A peer that changes between two of its lines comes
  /// again, from its first.
  void write_peer(std::string& out, uint64_t change, PeerId peer) {
    if (change != writing_) from_ = 0;
    writing_ = change;
    const bool carried = routes_.carried_[peer.value];
    const auto all = carried ? routes_.peers_.allowed(peer) : std::span<const Prefix>{};
    const auto part = all.subspan(std::min(from_, all.size()));
    const auto some = part.first(std::min(part.size(), kPrefixesOfLine));
    const bool more = some.size() < part.size();
    const bool unknown = change <= begun_;  // to the follower, so far
    if (carried || !unknown) write(out, line_of(peer, some, more));
    from_ += some.size();
    if (!more) done_ = change;
  }

  nlohmann::json line_of(PeerId peer, std::span<const Prefix> prefixes, bool more) const {
    nlohmann::json texts = nlohmann::json::array();
    for (const Prefix& prefix : prefixes) texts.push_back(to_string(prefix));
    nlohmann::json line{
        {"peer", peer.value}, {"name", routes_.peers_.name(peer)}, {"routes", std::move(texts)}};
    if (from_ != 0) line["from"] = from_;
    if (more) line["more"] = true;
    return line;
  }

  static void write(std::string& out, const nlohmann::json& line) {
    out += line.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + '\n';
  }

  const CarriedRoutes& routes_;
  bool follow_;
  bool silent_ = false;
  bool synced_ = false;
  uint64_t begun_;        ///< the latest change when the lines began
  uint64_t done_ = 0;     ///< changes up to it are told
  uint64_t writing_ = 0;  ///< the change whose prefixes are told, up to from_
  size_t from_ = 0;
  Millis wrote_at_;
};

std::unique_ptr<admin::LineStream> CarriedRoutes::open(bool follow) const {
  return std::make_unique<Stream>(*this, follow);
}

}  // namespace jvpn::gateway
