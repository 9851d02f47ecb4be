#include "control/session/invariants.h"

#include <algorithm>

namespace jvpn::session {
namespace {

LaneId first_lane_of(uint16_t number, uint16_t lanes) {
  return LaneId{static_cast<uint16_t>(number * lanes)};
}

/// Packets leave by the active binding of the current keys, and by no other.
bool sends_by_record(const Session& session, uint16_t lanes, const Published& published) {
  if (!session.has_transport() || !session.binding.tx_installed) return false;
  if (!published.tx) return published.refused;
  const PublishedTx& tx = *published.tx;
  const KeyGeneration& current = *session.current;
  return tx.next_hop_known && tx.path == session.path && tx.peer_index == current.remote &&
         tx.first_lane == first_lane_of(current.binding, lanes) &&
         tx.binding_version == session.binding_version();
}

void expect_indices(const Session& session, PublishedIndices& expected) {
  for (const KeyGeneration* keys :
       {session.current.get(), session.previous.get(), session.next.get()}) {
    if (keys == nullptr) continue;
    const uint16_t lanes = keys->peer_lanes;
    expected.push_back({keys->local, first_lane_of(keys->binding, lanes), lanes});
    for (const SpareBinding& spare : keys->spares) {
      if (!spare.installed()) continue;
      expected.push_back({spare.local, first_lane_of(spare.number, lanes), lanes});
    }
  }
}

/// Every index is one of the record's or drains, and each of the record's has its own lanes.
Detail audit_indices(const PeerState& peer, const Published& published) {
  if (published.rx.more()) return Detail::kSecondBinding;
  PublishedIndices expected;
  expect_indices(*peer.session, expected);
  if (peer.pending) expect_indices(*peer.pending, expected);
  for (const PublishedRx& rx : published.rx) {
    const bool ours = std::ranges::find(expected, rx.index, &PublishedRx::index) != expected.end();
    const bool drains =
        std::ranges::find(peer.draining, rx.index, &DrainingIndex::index) != peer.draining.end();
    if (!ours && !drains) return Detail::kSecondBinding;
  }
  for (const PublishedRx& wanted : expected) {
    const auto rx = std::ranges::find(published.rx, wanted.index, &PublishedRx::index);
    const bool same = rx != published.rx.end() && rx->first_lane == wanted.first_lane &&
                      rx->lanes == wanted.lanes;
    if (!same) return Detail::kStaleRecord;
  }
  return Detail::kNone;
}

}  // namespace

InvariantFindings audit_invariants(const PeerState& peer, uint16_t lanes,
                                   const Published& published) {
  const Session& session = *peer.session;
  InvariantFindings found;
  found.single_active = sends_by_record(session, lanes, published) ? audit_indices(peer, published)
                                                                   : Detail::kStaleRecord;
  if (session.id != session.bound_id) found.no_reset = Detail::kIdentityChanged;
  return found;
}

}  // namespace jvpn::session
