#include "control/publish/hold_book.h"

#include <algorithm>
#include <utility>

#include "common/assert.h"

namespace jvpn::publish {
namespace {

constexpr size_t kDueAtOnce = 64;

}  // namespace

void HoldBook::settle(PeerId id, std::vector<LaneReport> reports, bool carried) {
  if (!table_.hold_limits().holds()) return;
  Peer& peer = peers_[id.value];
  peer.settles = true;
  peer.carried = carried && reports.empty() && table_.tx(id) != nullptr;
  for (LaneReport& report : reports) {
    std::erase_if(peer.reports, [&](const LaneReport& each) { return each.index == report.index; });
    peer.reports.push_back(std::move(report));
  }
  if (peer.reports.size() <= HoldTerms::kMostReports) return;
  const size_t surplus = peer.reports.size() - HoldTerms::kMostReports;
  peer.reports.erase(peer.reports.begin(), peer.reports.begin() + static_cast<long>(surplus));
}

/// The record sends under this key from now on; those before it are kept as long as what they
/// sealed may be held.
void HoldBook::note_key(Peer& peer, const session::TxInstall& install, uint64_t now_tsc) {
  if (!peer.keys.empty() && peer.keys.back().index == install.peer_index) return;
  if (!peer.keys.empty()) {
    peer.keys.back().replaced_tsc = now_tsc;
    due_.push_back({now_tsc, install.peer});
  }
  if (peer.keys.size() == HoldTerms::kMostKeys) peer.keys.pop_front();
  SentKey key;
  key.index = install.peer_index;
  key.suite = install.suite;
  key.key = Secret<kRawKeyBytes>{std::span<const uint8_t, kRawKeyBytes>(install.traffic_key)};
  peer.keys.push_back(std::move(key));
}

std::unique_ptr<HoldTerms> HoldBook::make_terms(const Peer& peer) {
  auto terms = std::make_unique<HoldTerms>();
  for (const SentKey& each : peer.keys) {
    HoldTerms::Key& key = terms->keys.at(terms->key_count++);
    key.index = each.index;
    RawKey raw;
    std::ranges::copy(each.key.span(), raw.begin());
    aead_.expand(each.suite, raw, key.key);
    wipe(raw.data(), raw.size());
  }
  terms->reports = peer.reports;
  terms->carried = peer.carried;
  return terms;
}

void HoldBook::describe(const session::TxInstall& install, TxRecord& record, uint64_t now_tsc) {
  const GatewayHoldLimits limits = table_.hold_limits();
  // Its key is one of before, then, which nobody would learn of later.
  if (!limits.holds()) return drop(install.peer);
  Peer& peer = peers_[install.peer.value];
  note_key(peer, install, now_tsc);
  if (peer.serial == 0 || peer.settles) {
    if (++last_serial_ == 0) ++last_serial_;  // 0 stands for none
    peer.serial = last_serial_;
  }
  if (peer.settles) {
    if (peer.terms) replaced_.push_back(std::move(peer.terms));
    peer.terms = make_terms(peer);
    peer.settled_tsc = now_tsc;
    peer.settles = false;
    due_.push_back({now_tsc, install.peer});
  }
  record.hold_serial = peer.serial;
  record.hold_terms.store(peer.terms.get(), std::memory_order_relaxed);
}

void HoldBook::published() {
  for (std::unique_ptr<HoldTerms>& each : replaced_)
    reclaimer_.defer([old = std::shared_ptr<HoldTerms>(std::move(each))] {});
  replaced_.clear();
}

void HoldBook::drop(PeerId id) {
  const auto at = peers_.find(id.value);
  if (at == peers_.end()) return;
  if (at->second.terms) replaced_.push_back(std::move(at->second.terms));
  peers_.erase(at);
}

void HoldBook::forget(PeerId id) {
  drop(id);
  published();
}

size_t HoldBook::old_keys(PeerId id) const {
  const auto at = peers_.find(id.value);
  return at == peers_.end() || at->second.keys.empty() ? 0 : at->second.keys.size() - 1;
}

void HoldBook::tend(const GatewayHoldLimits& limits, uint64_t now_tsc) {
  table_.set_hold_limits(limits);
  // Once, while there is nothing to move: a growing table would keep control from its turn.
  if (limits.holds() && peers_.empty()) peers_.reserve(table_.peers());
  for (size_t done = 0; done < kDueAtOnce && !due_.empty(); ++done) {
    if (now_tsc < due_.front().since_tsc + limits.longest_tsc) return;
    const PeerId peer = due_.front().peer;
    due_.pop_front();
    expire(peer, now_tsc);
  }
}

void HoldBook::expire(PeerId id, uint64_t now_tsc) {
  const auto at = peers_.find(id.value);
  if (at == peers_.end()) return;
  Peer& peer = at->second;
  const uint64_t longest = table_.hold_limits().longest_tsc;
  const auto over = [&](uint64_t since) { return now_tsc >= since + longest; };
  while (!peer.keys.empty() && peer.keys.front().replaced_tsc != 0 &&
         over(peer.keys.front().replaced_tsc))
    peer.keys.pop_front();
  if (!peer.terms || peer.settles || !over(peer.settled_tsc)) return;
  peer.reports.clear();
  if (const TxRecord* record = table_.tx(id))
    record->hold_terms.store(nullptr, std::memory_order_release);
  replaced_.push_back(std::move(peer.terms));
  published();
}

}  // namespace jvpn::publish
