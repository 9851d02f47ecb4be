// Walks the real transition function breadth-first, over every event, guard and clock relation, to
// a fixed point, and checks each edge. Then does it again with deliberate faults put between the
// function and the walk: each must be caught.
//
// Time goes in units of 20 s, every bound of the policy is a small multiple of it, and a record is
// kept as ages that saturate where nothing depends on them any more: so the states are finite while
// each deadline is met before, at and after its time. Versions are judged on each edge and then set
// back. Between steps the walk does what the engine does: time passes, authentic messages arrive,
// keys and lifetimes run out, candidates come and go.
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <set>
#include <string>
#include <unordered_set>
#include <vector>

#include "control/session/state_machine.h"
#include "tests/model/ages.h"
#include "tests/model/checks.h"
#include "tests/model/faults.h"
#include "tests/support/rooms.h"

namespace jvpn::model {
namespace {

bool same(const Step& a, const Step& b) {
  return a.applied == b.applied && a.refused == b.refused && a.record == b.record &&
         a.reason == b.reason && a.detail == b.detail && a.row_count == b.row_count &&
         a.all_rows == b.all_rows;
}

class Walk {
 public:
  explicit Walk(Transition transition) : transition_(std::move(transition)) {}

  /// Empty, or the first fault found.
  std::string run() {
    for (const Shape& shape : kShapes) {
      policy_ = policy_of(shape);
      nodes_.clear();
      seen_.clear();
      visit(Node{});
      for (size_t i = 0; i < nodes_.size() && fault_.empty(); ++i) expand(Node{nodes_[i]});
      states_ += nodes_.size();
      if (!fault_.empty()) return fault_;
    }
    for (const TableRow& row : table_rows()) {
      if (!reached_.contains(row)) {
        return std::string("row never reached: ") + to_string(row.from) + " to " +
               to_string(row.to) + " " + to_string(row.reason);
      }
    }
    return "";
  }

  size_t states() const { return states_; }
  uint64_t edges() const { return edges_; }
  size_t rows() const { return reached_.size(); }

 private:
  void visit(const Node& node) {
    if (seen_.insert(key_of(node)).second) nodes_.push_back(node);
  }

  void expand(const Node& node) {
    visit(one_unit_later(node));
    if (node.transport) {
      visit(heard(node, false));
      visit(heard(node, true));
    }
    const SessionRecord plain = record_of(node);
    if (!(node_of(plain) == node)) return blame("the model's own: a node isn't its record's");
    for (const Guard& guard : kGuards) {
      SessionRecord record = plain;
      guard.prepare(record);
      for (const Input& input : inputs()) {
        take(record, input, guard);
        if (!fault_.empty()) return;
      }
    }
    near_the_last_version(plain);
    corrupted(plain);
  }

  void take(const SessionRecord& record, const Input& input, const Guard& guard) {
    const Step taken = transition_(record, input.event, policy_);
    ++edges_;
    const Edge edge{record, input.event, policy_, taken};
    const char* fault = nullptr;
    if (!same(taken, transition_(record, input.event, policy_))) fault = "not deterministic";
    for (const auto check : kChecks) {
      if (fault == nullptr) fault = check(edge);
    }
    if (fault != nullptr) {
      return blame(std::string(fault) + ": " + to_string(record.state) + ", " + input.name + ", " +
                   guard.name + " -> " + to_string(taken.record.state));
    }
    for (const AppliedRow& row : taken.rows()) reached_.insert({row.from, row.to, row.reason});
    visit(node_of(taken.record));
  }

  void near_the_last_version(const SessionRecord& plain) {
    if (plain.state == State::kBirth) return;
    for (const uint64_t left : {uint64_t{0}, uint64_t{1}, uint64_t{2}}) {
      SessionRecord record = plain;
      record.version = StateVersion{UINT64_MAX - left};
      for (const Input& input : inputs()) {
        const Step taken = transition_(record, input.event, policy_);
        ++edges_;
        if (taken.record.version.value - record.version.value != taken.row_count ||
            taken.record.version < record.version) {
          return blame(std::string("the version wraps: ") + input.name);
        }
      }
    }
  }

  void corrupted(const SessionRecord& plain) {
    if (plain.state == State::kTerminated) return;
    for (const bool version : {true, false}) {
      SessionRecord record = plain;
      if (version) {
        record.version = StateVersion{plain.state == State::kBirth ? 1U : 0U};
      } else if (plain.state == State::kRecovering || plain.state == State::kDegraded) {
        record.binding_version = BindingVersion{0};
      } else {
        record.has_transport = !plain.has_transport;
      }
      const Step taken = transition_(record, {Trigger::kTick}, policy_);
      ++edges_;
      if (taken.reason != Reason::kFatalProtocolError) return blame("a corrupt record lives on");
    }
  }

  void blame(std::string fault) {
    if (fault_.empty()) fault_ = std::move(fault);
  }

  Transition transition_;
  Policy policy_;
  std::vector<Node> nodes_;
  std::unordered_set<uint64_t> seen_;
  std::set<TableRow> reached_;
  size_t states_ = 0;
  uint64_t edges_ = 0;
  std::string fault_;
};

size_t uncaught(const std::vector<Fault>& faults) {
  size_t missed = 0;
  for (const Fault& fault : faults) {
    const std::string found = Walk(fault.transition).run();
    std::printf("  %-34s %s\n", fault.name, found.empty() ? "NOT CAUGHT" : found.c_str());
    missed += found.empty() ? 1 : 0;
  }
  return missed;
}

int check_all() {
  const auto started = std::chrono::steady_clock::now();
  Walk walk(real);
  const std::string fault = walk.run();
  std::printf("model_check: %zu states, %llu edges, %zu of %zu rows reached, %zu policies\n",
              walk.states(), static_cast<unsigned long long>(walk.edges()), walk.rows(),
              table_rows().size(), kShapes.size());
  if (!fault.empty()) {
    std::printf("FAULT: %s\n", fault.c_str());
    return 1;
  }
  std::printf("deliberate faults:\n");
  const auto rows = faulty_rows();
  const auto bounds = faulty_bounds();
  const size_t missed = uncaught(rows) + uncaught(bounds);
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - started;
  std::printf("%zu of %zu faults caught, %.1f s\n", rows.size() + bounds.size() - missed,
              rows.size() + bounds.size(), took.count());
  return missed == 0 ? 0 : 1;
}

}  // namespace
}  // namespace jvpn::model

int main() {
  return jvpn::model::check_all();
}
