// What must hold at every moment of true time, over all nodes; docs/CLUSTER.md says why.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "common/aead.h"
#include "control/cluster/records.h"
#include "control/session/event.h"

namespace jvpn::sim {

class Checks {
 public:
  Checks(const cluster::Keys& keys, const cluster::RecordKey& mac);

  /// The first violation, for a person; nothing counts after it.
  const std::optional<std::string>& violation() const { return violation_; }
  void fail(std::string what);

  // ---- The store.

  /// A key was written; `before` is what was there.
  void on_write(const cluster::KeyValue* before, const cluster::KeyValue& after);
  /// The number of a node's present run; nullopt: it is over.
  std::optional<uint64_t> open_epoch(const std::string& node) const;
  /// A living session of that peer is kept: its id.
  std::optional<SessionId> kept(const PublicKey& peer) const;

  /// Told when a node's run is over.
  std::function<void(const std::string& node, uint64_t epoch)> on_over;

  /// Told what the store has now.
  std::function<void(const std::string& line)> on_record;

  // ---- What gateways tell. `run` names the program, `acts`: it is not silent.

  void on_event(uint64_t run, bool acts, const session::Event& event);
  /// A gateway's call that ends a session was answered, so it counts on that.
  void on_end_answered(const SessionId& session) { ended_.insert(session); }
  /// A gateway had ended it, and couldn't tell the store before its run was over: it went on.
  bool went_on(const std::string& session) const { return went_on_.contains(session); }

  // ---- What is sealed, by whoever.

  void on_data(uint64_t run, const RawKey& key, uint16_t lane, uint64_t sequence);
  void on_control(const RawKey& key, ReceiverIndex receiver, uint64_t counter);

 private:
  void on_session(const cluster::KeyValue* before, const cluster::KeyValue& after);
  void on_row(uint64_t run, bool acts, const session::Event& event);

  struct Told {
    std::set<uint64_t> versions;
    std::map<uint64_t, uint64_t> latest;  ///< by run
  };

  cluster::RecordKey mac_;
  std::string epochs_;  ///< folders
  std::string sessions_;
  std::optional<std::string> violation_;
  std::map<std::string, uint64_t> open_;  ///< by node
  std::map<SessionId, std::pair<BindingVersion, StateVersion>> kept_;
  std::map<PublicKey, SessionId> of_peer_;
  std::set<SessionId> ended_;  ///< the store says so
  std::set<SessionId> told_ended_;
  std::set<std::string> went_on_;
  std::map<SessionId, Told> told_;
  std::map<std::pair<RawKey, uint16_t>, std::pair<uint64_t, uint64_t>> lanes_;  ///< run, latest
  std::map<RawKey, std::set<std::pair<uint32_t, uint64_t>>> control_;  ///< receiver, counter
};

/// The first digits, for a person.
std::string brief(const SessionId& id);

}  // namespace jvpn::sim
