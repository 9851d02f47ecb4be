// jvpn-perf store: what the stores of sessions take and give. Calls go to the product's own stores:
// SQLite in a folder, and etcd in three processes on loopback, which are started here.
//   latency    one commit after the other
//   rate       as many at once as a store takes
//   reattach   what an engine does for a jump, with its own memory and the embedded store in turns
//   takeover   of a gateway that goes silent: half by calls of the store, half by an engine, as
//              clients come
#include <algorithm>
#include <array>
#include <chrono>
#include <deque>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <poll.h>

#include "control/cluster/etcd_ownership.h"
#include "control/session/system_sources.h"
#include "control/store/sqlite_ownership.h"
#include "perf/harness/command.h"
#include "perf/harness/cpu_time.h"
#include "perf/harness/interrupt.h"
#include "perf/harness/options.h"
#include "perf/harness/progress.h"
#include "perf/store/reattaches.h"
#include "perf/store/takeover.h"
#include "tests/support/etcd_server.h"

namespace jvpn::perf {
namespace {

using Clock = std::chrono::steady_clock;
using Kind = session::OwnershipCall::Kind;
using Answer = session::OwnershipAnswer;

constexpr uint32_t kAtOnce = 2'048;  // half of what a store takes; the first sessions, too
constexpr Millis kSafe{3'000};
constexpr Millis kPatient{10'000};  // what is late on a busy machine is measured, too

constexpr uint32_t kSlicesPerRound = 4;  // short, so that both of a pair meet the same machine

struct StoreOptions {
  uint32_t sessions = 100'000;
  uint32_t commits = 2'000;
  uint32_t seconds = 3;
  /// A quarter of them in a slice: a store that is never asked for many at once batches little.
  uint32_t reattach_sessions = 4'096;
  uint32_t slices = 60;
  bool json = false;
};

double elapsed_s(Clock::time_point begin) {
  return as_seconds(Clock::now() - begin);
}

SessionId id_of(uint32_t number) {
  SessionId id;
  __builtin_memcpy(id.bytes.data(), &number, sizeof number);
  id.bytes[15] = 1;
  return id;
}

PublicKey peer_of(uint32_t number) {
  PublicKey peer{};
  __builtin_memcpy(peer.data() + 8, &number, sizeof number);
  for (size_t i = 0; i < 8; ++i) peer[i] = static_cast<uint8_t>(number * 0x9e3779b9U >> (i * 4));
  return peer;
}

/// One end of a store, asked as an engine asks it.
class Asker {
 public:
  using Keys = std::function<PublicKey(uint32_t number)>;
  explicit Asker(session::Ownership& store, Keys keys = peer_of)
      : store_(store), keys_(std::move(keys)) {}

  /// Waits while the store takes no more.
  void ask(session::OwnershipCall call, uint32_t number) {
    call.ticket = ++tickets_;
    call.session = id_of(number);
    call.record.id = call.session;
    call.record.peer = keys_(number);
    call.peer = PeerId{number};
    while (!store_.ask(session::boottime_now(), call)) wait();
    ++outstanding_;
  }
  /// The next reply; blocks.
  session::OwnershipReply take() {
    for (;;) {
      if (auto reply = store_.take()) {
        --outstanding_;
        return *reply;
      }
      wait();
    }
  }
  size_t outstanding() const { return outstanding_; }
  void wait() {
    store_.note_alive(session::boottime_now(), true);
    pollfd ready{store_.descriptor(), POLLIN, 0};
    if (!store_.has_replies()) poll(&ready, 1, 5);
  }

 private:
  session::Ownership& store_;
  Keys keys_;
  uint64_t tickets_ = 0;
  size_t outstanding_ = 0;
};

session::OwnershipCall acquire() {
  session::OwnershipCall call;
  call.kind = Kind::kAcquire;
  call.record.binding_version = BindingVersion{1};
  call.record.ceiling = call.ceiling = StateVersion{1'024};
  return call;
}

session::OwnershipCall commit(uint64_t from, uint64_t from_epoch = 0) {
  session::OwnershipCall call;
  call.kind = Kind::kCommit;
  call.expected = call.attempted = BindingVersion{from};
  call.next = BindingVersion{from + 1};
  call.from_epoch = from_epoch;
  call.ceiling = StateVersion{1'024};
  return call;
}

Result<void> refused(const session::OwnershipReply& reply) {
  if (reply.answer == Answer::kCommitted) return {};
  return Error{"a call was answered by " + std::to_string(static_cast<int>(reply.answer))};
}

/// Sessions [first, end).
Result<void> acquire_all(session::Ownership& store, uint32_t first, uint32_t end,
                         Asker::Keys keys = peer_of) {
  Asker asker(store, std::move(keys));
  for (uint32_t next = first; next < end || asker.outstanding() != 0;) {
    while (next < end && asker.outstanding() < kAtOnce) asker.ask(acquire(), next++);
    const auto reply = asker.take();
    if (reply.answer == Answer::kUnavailable)
      asker.ask(acquire(), reply.peer.value);  // late, on a busy machine; once more is the same
    else if (auto taken = refused(reply); !taken)
      return taken;
    if (interrupted()) return Error{"interrupted"};
  }
  return {};
}

/// {seconds of each commit}, one after the other.
Result<Json> latencies(session::Ownership& store, uint32_t commits) {
  Asker asker(store);
  Json each = Json::array();
  for (uint64_t version = 1; version <= commits; ++version) {
    const auto begin = Clock::now();
    asker.ask(commit(version), 0);
    if (auto taken = refused(asker.take()); !taken) return taken.error();
    each.push_back(elapsed_s(begin));
  }
  return each;
}

/// Commits in a second, of sessions in turns.
Result<double> rate(session::Ownership& store, uint32_t seconds) {
  Asker asker(store);
  std::vector<uint64_t> versions(kAtOnce, 1);
  uint64_t done = 0;
  const auto begin = Clock::now();
  for (uint32_t i = 1; i < kAtOnce; ++i) asker.ask(commit(versions[i]), i);
  while (asker.outstanding() != 0) {
    const auto reply = asker.take();
    if (auto taken = refused(reply); !taken) return taken.error();
    ++done;
    uint64_t& version = ++versions[reply.peer.value];
    if (elapsed_s(begin) < seconds) asker.ask(commit(version), reply.peer.value);
  }
  return static_cast<double>(done) / elapsed_s(begin);
}

Result<std::unique_ptr<cluster::EtcdOwnership>> open_node(const test::EtcdServers& servers,
                                                          const std::string& name,
                                                          const SecretKey& key) {
  cluster::EtcdOwnershipOptions options;
  options.etcd.endpoints = servers.endpoints();
  options.node = name;
  options.prefix = "perf";
  options.safe = kSafe;
  options.patience = kPatient;
  auto opened = cluster::EtcdOwnership::open(std::move(options), key);
  if (!opened) return opened;
  const auto begin = Clock::now();
  while ((*opened)->silent()) {
    if (elapsed_s(begin) > 30) return Error{"etcd isn't reached within 30 s"};
    (*opened)->note_alive(session::boottime_now(), true);
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return opened;
}

/// `owner` isn't asked and isn't kept alive any more: its run lapses. Each session is loaded, and
/// committed by `other` as soon as it may be.
Result<Json> take_over(cluster::EtcdOwnership& owner, session::Ownership& other,
                       uint32_t sessions) {
  const uint64_t from = owner.epoch();
  const auto begin = Clock::now();
  Asker asker(other);
  ProgressLine progress;
  std::deque<std::pair<uint32_t, bool>> todo;  // session, whether it was loaded
  for (uint32_t i = 0; i < sessions; ++i) todo.emplace_back(kAtOnce + i, false);  // at version 1
  uint32_t done = 0;
  double first = 0;
  while (done < sessions) {
    while (!todo.empty() && asker.outstanding() < kAtOnce) {
      const auto [number, loaded] = todo.front();
      todo.pop_front();
      session::OwnershipCall load;
      load.kind = Kind::kLoad;
      asker.ask(loaded ? commit(1, from) : load, number);
    }
    const auto reply = asker.take();
    // What wasn't answered in time may have been carried out.
    const bool ours = reply.found && reply.found->epoch == other.epoch();
    const bool committed =
        reply.kind == Kind::kCommit && (reply.answer == Answer::kCommitted || ours);
    if (committed && ++done == 1) first = elapsed_s(begin);
    if (!committed && reply.answer != Answer::kCommitted && reply.answer != Answer::kUnavailable)
      return Error{"a session can't be taken over"};
    if (!committed)
      todo.emplace_back(reply.peer.value,
                        reply.answer == Answer::kCommitted || reply.kind == Kind::kCommit);
    if (done % 1'000 == 0) progress.show(done, sessions, "sessions taken over");
    if (interrupted()) return Error{"interrupted"};
  }
  const double all = elapsed_s(begin);
  return Json{{"sessions", sessions},
              {"silent_s", first},
              {"seconds", all},
              {"writes_per_s", sessions / std::max(all - first, 1e-9)}};
}

/// {seconds of the gateway's engine for each jump}, slice by slice, without a store and with it.
Result<Json> measure_reattaches(session::Ownership& store, const StoreOptions& options) {
  struct Side {
    const char* name;
    session::Ownership* store;
    std::unique_ptr<Reattaches> world;
  };
  std::array<Side, 2> sides{{{"memory_s", nullptr, {}}, {"stored_s", &store, {}}}};
  for (Side& side : sides) {
    auto made = Reattaches::create({.sessions = options.reattach_sessions, .store = side.store});
    if (!made) return made.error();
    side.world = *std::move(made);
    if (auto warm = side.world->run(options.reattach_sessions); !warm) return warm.error();
  }
  Json all{{"sessions", options.reattach_sessions}};
  ProgressLine progress;
  for (uint32_t slice = 0; slice < options.slices && !interrupted(); ++slice) {
    for (size_t turn = 0; turn < sides.size(); ++turn) {  // each goes first as often
      Side& side = sides[(slice + turn) % sides.size()];
      const auto done = side.world->run(options.reattach_sessions / kSlicesPerRound);
      if (!done) return done.error();
      all[side.name].push_back(done->gateway_s / static_cast<double>(done->jumps));
    }
    progress.show(slice + 1, options.slices, "slices of reattaches");
  }
  return all;
}

/// Goes with what is in it.
class Folder {
 public:
  Folder()
      : path_(std::filesystem::temp_directory_path() /
              ("jvpn-perf-store." + std::to_string(getpid()))) {}
  ~Folder() { std::filesystem::remove_all(path_); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

Result<Json> measure_embedded(const StoreOptions& options, const SecretKey& key) {
  const Folder folder;
  auto store = store::SqliteOwnership::open({.directory = folder.path(), .news = {}}, key);
  if (!store) return store.error();
  if (auto made = acquire_all(**store, 0, kAtOnce); !made) return made.error();
  const auto per_second = rate(**store, options.seconds);
  if (!per_second) return per_second.error();
  auto each = latencies(**store, options.commits);
  if (!each) return each.error();
  auto reattaches = measure_reattaches(**store, options);
  if (!reattaches) return reattaches.error();
  return Json{{"latency_s", std::move(*each)},
              {"commits_per_s", *per_second},
              {"reattach", std::move(*reattaches)}};
}

/// Control of these gateways is at work, while something else is done on this thread.
class KeptAlive {
 public:
  explicit KeptAlive(std::vector<session::Ownership*> stores)
      : thread_([stores = std::move(stores)](const std::stop_token& stop) {
          while (!stop.stop_requested()) {
            for (session::Ownership* store : stores)
              store->note_alive(session::boottime_now(), true);
            std::this_thread::sleep_for(std::chrono::milliseconds(50));
          }
        }) {}

 private:
  std::jthread thread_;
};

/// Both ways of taking over; `owner` is dead by then.
Result<Json> measure_takeovers(cluster::EtcdOwnership& owner, cluster::EtcdOwnership& other,
                               const test::EtcdServers& servers, const StoreOptions& options,
                               Takeover& by_engine) {
  auto by_calls = take_over(owner, other, options.sessions);
  if (!by_calls) return by_calls;
  const auto etcd = servers.cpu_time();
  const auto done = by_engine.run();
  if (!done) return done.error();
  (*by_calls)["engine"] = {{"seconds", done->seconds},
                           {"engine_cpu_s", done->engine_s},
                           {"clients_cpu_s", done->clients_s},
                           {"store_cpu_s", done->store_s},
                           {"etcd_cpu_s", as_seconds(servers.cpu_time() - etcd)},
                           {"refused", done->refused},
                           {"resident_mb", done->resident_mb}};
  return by_calls;
}

Result<Json> measure_etcd(const StoreOptions& options, const SecretKey& key) {
  auto servers = test::EtcdServers::start({.members = 3});
  if (!servers) return servers.error();
  auto owner = open_node(**servers, "a", key);
  if (!owner) return owner.error();
  auto other = open_node(**servers, "b", key);
  if (!other) return other.error();
  auto alive =
      std::make_unique<KeptAlive>(std::vector<session::Ownership*>{owner->get(), other->get()});
  auto by_engine = Takeover::create({.sessions = options.sessions}, **other, key);
  if (!by_engine) return by_engine.error();
  const uint32_t of_engine = kAtOnce + options.sessions;
  if (auto made = acquire_all(**owner, 0, of_engine); !made) return made.error();
  const auto key_of = [&](uint32_t number) { return (*by_engine)->key_of(number - of_engine); };
  if (auto made = acquire_all(**owner, of_engine, of_engine + options.sessions, key_of); !made)
    return made.error();
  auto each = latencies(**owner, options.commits);
  if (!each) return each.error();
  const auto per_second = rate(**owner, options.seconds);
  if (!per_second) return per_second.error();
  (*by_engine)->prepare([&](uint32_t client) { return id_of(of_engine + client); });
  alive.reset();
  auto takeover = measure_takeovers(**owner, **other, **servers, options, **by_engine);
  if (!takeover) return takeover.error();
  return Json{{"latency_s", std::move(*each)},
              {"commits_per_s", *per_second},
              {"takeover", std::move(*takeover)}};
}

Result<Measured> measure_store(const StoreOptions& options) {
  const SecretKey key = generate_secret_key();
  auto embedded = measure_embedded(options, key);
  if (!embedded) return embedded.error();
  auto etcd = measure_etcd(options, key);
  if (!etcd) return etcd.error();
  return Measured{{{"embedded", std::move(*embedded)}, {"etcd", std::move(*etcd)}}};
}

void add_store_options(CLI::App& parser, StoreOptions& options) {
  add_number(parser, "--sessions", options.sessions, 2'048, 1'000'000, "that are taken over");
  add_number(parser, "--commits", options.commits, 10, 100'000, "one after the other");
  add_number(parser, "--seconds", options.seconds, 1, 60, "of commits at once");
  add_number(parser, "--reattach-sessions", options.reattach_sessions, 64, 16'384,
             "that reattach in turns");
  add_number(parser, "--slices", options.slices, 1, 360,
             "pairs of them, each of a reattach of a quarter of the sessions");
  add_json(parser, options.json);
}

}  // namespace

Command add_store(CLI::App& app) {
  return make_command(
      app, "store",
      "Commits of the stores of sessions: latency, rate, takeover of a dead gateway's", {},
      add_store_options, measure_store);
}

}  // namespace jvpn::perf
