#include "control/cluster/etcd_ownership.h"

#include <algorithm>
#include <utility>

#include <pthread.h>

#include "common/bytes.h"
#include "control/session/system_sources.h"
#include "control/store/store_time.h"

namespace jvpn::cluster {
namespace {

constexpr size_t kNotices = 1'024;
constexpr Millis kLongestWait{100};
constexpr uint64_t kControlLate = 3;  // of the safe time: control stands still for a third of it

NodeTime node_time() {
  return {session::boottime_now(), session::realtime_ms()};
}

uint64_t random_u64() {
  std::array<uint8_t, sizeof(uint64_t)> bytes{};
  session::fill_random(bytes);
  return load_u64(bytes.data());
}

NodeOptions node_options(const EtcdOwnershipOptions& options, const Instance& instance) {
  NodeOptions node;
  node.node = options.node;
  node.prefix = options.prefix + "/";
  node.instance = instance;
  const std::string boot = store::store_time_now().boot_id;
  std::copy_n(boot.begin(), std::min(boot.size(), node.boot.size()), node.boot.begin());
  node.safe = options.safe;
  node.patience = options.patience;
  node.random = random_u64;
  node.news = options.news;
  return node;
}

}  // namespace

Result<std::unique_ptr<EtcdOwnership>> EtcdOwnership::open(EtcdOwnershipOptions options,
                                                           const SecretKey& node) {
  if (!options.news) options.news = [](const std::string&) {};
  auto client = EtcdClient::create(options.etcd);
  if (!client) return client.error();
  std::optional<store::StateDir> directory;
  Instance instance{};
  session::fill_random(instance);
  if (!options.directory.empty()) {
    auto opened = store::StateDir::open(options.directory);
    if (!opened) return opened.error();
    const auto named = opened->instance(instance);
    if (!named) return named.error();
    instance = *named;
    directory = std::move(*opened);
  }
  std::unique_ptr<EtcdOwnership> made(new EtcdOwnership(std::move(options), std::move(directory),
                                                        std::move(*client), store::record_key(node),
                                                        instance));
  if (!made->rings_) return errno_error("eventfd");
  made->note_alive(session::boottime_now(), true);
  made->thread_ = std::thread([store = made.get()] { store->run(); });
  return made;
}

EtcdOwnership::EtcdOwnership(EtcdOwnershipOptions options, std::optional<store::StateDir> directory,
                             std::unique_ptr<EtcdClient> client, const RecordKey& mac,
                             Instance instance)
    : options_(std::move(options)),
      directory_(std::move(directory)),
      client_(std::move(client)),
      node_(node_options(options_, instance), mac,
            [this](uint64_t number, const Txn& txn, Millis patience) {
              sent_us_[number] = session::boottime_us();
              client_->send(number, txn, patience);
            }),
      rings_(options_.calls),
      notices_(kNotices),
      endpoint_(client_->endpoint()) {}

EtcdOwnership::~EtcdOwnership() {
  stop_.store(true, std::memory_order_release);
  if (!thread_.joinable()) return;
  client_->wake();
  thread_.join();
}

// ---- Control.

bool EtcdOwnership::silent() const {
  return session::boottime_now() > safe_until();
}

bool EtcdOwnership::ask(Millis, const session::OwnershipCall& call) {
  if (!rings_.ask(call)) return false;
  client_->wake();
  return true;
}

std::optional<session::OwnershipNotice> EtcdOwnership::take_notice() {
  session::OwnershipNotice notice;
  if (!notices_.pop(notice)) return std::nullopt;
  return notice;
}

void EtcdOwnership::begin_again() {
  begin_again_.store(true, std::memory_order_release);
  client_->wake();
}

void EtcdOwnership::hurry(bool hurried) {
  hurried_.store(hurried, std::memory_order_relaxed);
  client_->wake();
}

session::OwnershipStatus EtcdOwnership::status() const {
  session::OwnershipStatus status{.kind = "etcd", .endpoints = options_.etcd.endpoints};
  status.waiting = rings_.unanswered();
  times_.tell(status);
  const std::lock_guard lock(told_mutex_);
  status.endpoint = endpoint_;
  status.trouble = trouble_;
  return status;
}

// ---- The thread.

void EtcdOwnership::run() {
  pthread_setname_np(pthread_self(), "jvpn-store");
  while (!stop_.load(std::memory_order_acquire)) {
    const NodeTime now = node_time();
    turn(now);
    const Millis due = node_.due();
    client_->wait(std::min(due - now.boot, kLongestWait));
  }
  finish();
}

void EtcdOwnership::turn(const NodeTime& now) {
  while (const auto call = rings_.next()) node_.ask(now, *call);
  const bool carries = carries_.load(std::memory_order_relaxed);
  if (!carries && node_.epoch() != 0) node_.resign(now);
  if (carries && begin_again_.exchange(false, std::memory_order_acq_rel)) node_.begin_again(now);
  node_.hurry(hurried_.load(std::memory_order_relaxed));
  node_.hold_beats(control_is_late(now));
  while (const auto answer = client_->take()) {
    note_answer(*answer);
    node_.answered(now, *answer);
  }
  node_.serve(now);
  publish();
  note_reach(now);
}

/// A run whose control stands still is of no use to its clients: others take it over.
bool EtcdOwnership::control_is_late(const NodeTime& now) const {
  const Millis seen{alive_.load(std::memory_order_relaxed)};
  return now.boot - seen > Millis{options_.safe.value / kControlLate};
}

void EtcdOwnership::publish() {
  // The end of a run before the notice of it: nobody acts on what is another's.
  safe_until_.store(node_.safe_until().value, std::memory_order_release);
  epoch_.store(node_.epoch(), std::memory_order_release);
  bool told = false;
  while (const auto notice = node_.take_notice()) {
    // Without room: asks come again with the next beat; the end of the run must not be lost.
    while (!notices_.push(*notice) && notice->kind == session::OwnershipNotice::Kind::kEpochOver &&
           !stop_.load(std::memory_order_acquire))
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    told = true;
  }
  while (const auto reply = node_.take_reply()) {
    rings_.answer(*reply);
    told = true;
  }
  if (told) rings_.wake();
}

/// For an operator.
void EtcdOwnership::note_answer(const TxnAnswer& answer) {
  if (const auto sent = sent_us_.extract(answer.number); sent && answer.reply)
    times_.add(session::boottime_us() - sent.mapped());
  const std::string& endpoint = client_->endpoint();
  if (answer.trouble == trouble_ && endpoint == endpoint_) return;  // nobody else writes them
  const std::lock_guard lock(told_mutex_);
  trouble_ = answer.trouble;
  endpoint_ = endpoint;
}

/// Once when it begins, once when it is over.
void EtcdOwnership::note_reach(const NodeTime& now) {
  const bool reached = now.boot < node_.safe_until();
  if (reached == std::exchange(reached_, reached)) return;
  if (reached) {
    options_.news("the cluster's store is reached: sessions are owned as epoch " +
                  std::to_string(node_.epoch()));
  } else if (node_.epoch() == 0) {
    options_.news("our run is over: its sessions are left to other gateways");
  } else if (control_is_late(now)) {
    options_.news("control stands still: silent, since another gateway may own our sessions");
  } else {
    const std::string& why = node_.trouble();
    options_.news("the cluster's store wasn't reached for " + std::to_string(options_.safe.value) +
                  " ms: silent, since another gateway may own our sessions" +
                  (why.empty() ? why : "; " + why));
  }
}

void EtcdOwnership::finish() {
  const Millis until = node_time().boot + options_.patience;
  while (const auto call = rings_.next()) node_.ask(node_time(), *call);
  const auto work = [this](Millis end, const auto& done) {
    while (!done() && node_time().boot < end) {
      const NodeTime now = node_time();
      while (const auto answer = client_->take()) node_.answered(now, *answer);
      node_.serve(now);
      while (node_.take_reply()) continue;
      client_->wait(Millis{10});
    }
  };
  work(until, [this] { return node_.idle(); });
  node_.close(node_time());
  work(until + options_.patience, [this] { return node_.epoch() == 0; });
}

}  // namespace jvpn::cluster
