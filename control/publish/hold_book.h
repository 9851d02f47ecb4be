// What workers are told of the packets that they hold (docs/DESIGN.md, hold): under which serial a
// record's packets are held, what the peer has said of those before, and the keys to open them.
//
//   commit → settle(): a new serial, the reports → describe(): the record of the install that
//   follows names them → published(): what it replaced goes after a grace period
//
// Keys and reports go, wiped, as soon as nothing can be held any more that they are about. Control
// thread only.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <unordered_map>
#include <vector>

#include "common/aead.h"
#include "common/hold_terms.h"
#include "common/lane_report.h"
#include "common/secret.h"
#include "common/session_table.h"
#include "control/publish/reclaimer.h"
#include "control/session/effects.h"

namespace jvpn::publish {

class HoldBook {
 public:
  HoldBook(SessionTable& table, Reclaimer& reclaimer, Aead& aead)
      : table_(table), reclaimer_(reclaimer), aead_(aead) {}

  /// How much workers may hold from now on. Wipes what nothing held can need any more.
  void tend(const GatewayHoldLimits& limits, uint64_t now_tsc);
  /// The peer told what it has: from the next install on, what was sent before is judged by these
  /// reports and earlier ones. When it tells nothing, `carried` says that the path of before, if it
  /// has one, carries it all; else nobody knows what became of it.
  void settle(PeerId peer, std::vector<LaneReport> reports, bool carried);
  /// No packets wait for the peer's next path any more: its session goes on elsewhere.
  void let_go(PeerId peer) { table_.set_waits(peer, 0); }
  /// Fills in what `record` says of the hold; it is about to be stored.
  void describe(const session::TxInstall& install, TxRecord& record, uint64_t now_tsc);
  /// The record was stored, or none is: what it doesn't name any more is freed.
  void published();
  /// The peer's session has ended, and its record is not in the table any more.
  void forget(PeerId peer);

  /// Sessions of which anything is kept.
  size_t size() const { return peers_.size(); }
  /// Keys of earlier records that are kept for a peer.
  size_t old_keys(PeerId peer) const;

 private:
  struct SentKey {
    ReceiverIndex index;
    Suite suite{};
    Secret<kRawKeyBytes> key;
    uint64_t replaced_tsc = 0;  ///< 0: it is the record's
  };
  struct Peer {
    uint32_t serial = 0;
    bool settles = false;  ///< with the next install
    bool carried = false;  ///< what was sent, by a path that lives
    std::deque<SentKey> keys;
    std::vector<LaneReport> reports;
    std::unique_ptr<HoldTerms> terms;  ///< as the record names them
    uint64_t settled_tsc = 0;
  };
  struct Due {
    uint64_t since_tsc;  ///< in order; how long it lasts is what the limits say then
    PeerId peer;
  };

  void note_key(Peer& peer, const session::TxInstall& install, uint64_t now_tsc);
  std::unique_ptr<HoldTerms> make_terms(const Peer& peer);
  void drop(PeerId peer);
  void expire(PeerId id, uint64_t now_tsc);

  SessionTable& table_;
  Reclaimer& reclaimer_;
  Aead& aead_;
  std::unordered_map<uint32_t, Peer> peers_;
  std::vector<std::unique_ptr<HoldTerms>> replaced_;  ///< until the record is stored
  std::deque<Due> due_;
  uint32_t last_serial_ = 0;
};

}  // namespace jvpn::publish
