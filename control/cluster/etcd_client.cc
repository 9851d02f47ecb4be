#include "control/cluster/etcd_client.h"

#include <algorithm>
#include <ctime>
#include <utility>

#include <fmt/format.h>

#include "common/assert.h"
#include "control/cluster/etcd_messages.h"

namespace jvpn::cluster {
namespace {

constexpr size_t kLongestReason = 300;
// Far more than a caller that takes its answers ever leaves.
constexpr size_t kMostUntaken = 4096;
constexpr Millis kLongestPoll{60'000};

Millis clock_now() {
  timespec now{};
  clock_gettime(CLOCK_BOOTTIME, &now);
  return Millis{static_cast<uint64_t>(now.tv_sec) * 1000 +
                static_cast<uint64_t>(now.tv_nsec) / 1'000'000};
}

/// What others wrote, fit for a line of a log. ASCII alone: UTF-8 that is cut is none.
std::string one_line(std::string_view text) {
  std::string line(text.substr(0, kLongestReason));
  std::ranges::replace_if(
      line, [](char c) { return c < ' ' || c > '~'; }, '?');
  return line;
}

/// curl's own set-up; once in a process.
bool curl_is_ready() {
  static const bool ready = curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK;
  return ready;
}

}  // namespace

Result<std::unique_ptr<EtcdClient>> EtcdClient::create(EtcdOptions options) {
  if (options.endpoints.empty() || options.endpoints.size() > kMostEndpoints) {
    return Error{
        fmt::format("etcd endpoints: expected 1 to {}, such as https://10.0.0.1:2379, "
                    "got {}",
                    kMostEndpoints, options.endpoints.size())};
  }
  for (const std::string& each : options.endpoints) {
    const auto fit = check_endpoint(each);
    if (!fit) return fit.error();
  }
  auto credentials = read_credentials(options);
  if (!credentials) return credentials.error();
  std::unique_ptr<EtcdClient> client(new EtcdClient(std::move(options)));
  client->credentials_ = *std::move(credentials);
  const auto prepared = client->prepare();
  if (!prepared) return prepared.error();
  return client;
}

Result<void> EtcdClient::prepare() {
  if (curl_is_ready()) multi_.reset(curl_multi_init());
  // Connections that are kept while idle: one for each that may be under way.
  if (!multi_ ||
      curl_multi_setopt(multi_.get(), CURLMOPT_MAXCONNECTS, long{kMostUnderWay}) != CURLM_OK ||
      curl_multi_setopt(multi_.get(), CURLMOPT_PIPELINING, long{CURLPIPE_NOTHING}) != CURLM_OK) {
    return Error{std::string("libcurl doesn't start: ") + curl_version()};
  }
  for (size_t i = 0; i < kMostUnderWay; ++i) {
    auto transfer = Transfer::create(credentials_);
    if (!transfer) return transfer.error();
    slots_.push_back({.transfer = *std::move(transfer), .job = std::nullopt});
  }
  return {};
}

EtcdClient::~EtcdClient() {
  for (Slot& slot : slots_) {
    if (slot.job) release(slot);
  }
}

void EtcdClient::send(uint64_t number, const Txn& txn, Millis patience) {
  if (waiting_.size() >= kMostWaiting) {
    answer_trouble(number,
                   fmt::format("etcd: {} transactions are under way or wait already", in_flight()));
    return;
  }
  waiting_.push_back({.number = number,
                      .asked = without_values(txn),
                      .message = encode_txn(txn),
                      .patience = patience,
                      .deadline = saturating_add(clock_now(), patience)});
  start_waiting();
}

/// polling_ before the last look at woken_, and wake() the other way round: one of them sees the
/// other's.
void EtcdClient::wait(Millis most) {
  const Millis until = saturating_add(clock_now(), most);
  for (;;) {
    turn(clock_now());
    const Millis now = clock_now();
    polling_.store(true);
    const bool over = woken_.exchange(false) || !answers_.empty() || now >= until;
    // A failure to poll is one to be seen by the transactions' patience: the caller goes on.
    const bool polled = !over && curl_multi_poll(multi_.get(), nullptr, 0, poll_ms(now, until),
                                                 nullptr) == CURLM_OK;
    polling_.store(false);
    if (!polled) return;
  }
}

/// A thread that doesn't poll looks by itself. Whoever was first since it looked ends the poll:
/// another system call would change nothing.
void EtcdClient::wake() {
  if (!woken_.exchange(true) && polling_.load()) curl_multi_wakeup(multi_.get());
}

std::optional<TxnAnswer> EtcdClient::take() {
  if (answers_.empty()) return std::nullopt;
  TxnAnswer oldest = std::move(answers_.front());
  answers_.pop_front();
  return oldest;
}

size_t EtcdClient::in_flight() const {
  const auto busy = std::ranges::count_if(slots_, [](const Slot& slot) { return !!slot.job; });
  return static_cast<size_t>(busy) + waiting_.size();
}

/// One look at all there is to do.
void EtcdClient::turn(Millis now) {
  int running = 0;
  const CURLMcode code = curl_multi_perform(multi_.get(), &running);
  collect();
  if (code != CURLM_OK) {  // out of memory: curl can't go on with any of them
    for (Slot& slot : slots_) {
      if (slot.job) fail(slot, curl_multi_strerror(code));
    }
  }
  expire(now);
  start_waiting();
}

/// Gives what waits to slots that are free, the oldest first.
void EtcdClient::start_waiting() {
  for (Slot& slot : slots_) {
    if (waiting_.empty()) return;
    if (slot.job) continue;
    Job job = std::move(waiting_.front());
    waiting_.pop_front();
    start(slot, std::move(job));
  }
}

void EtcdClient::start(Slot& slot, Job job) {
  slot.endpoint = endpoint_;
  slot.choice = choices_;
  const std::string url = endpoints_[endpoint_] + "/etcdserverpb.KV/Txn";
  const bool ready = slot.transfer->prepare(url, job.message);
  job.message = {};
  slot.job = std::move(job);
  if (!ready || curl_multi_add_handle(multi_.get(), slot.transfer->handle()) != CURLM_OK) {
    fail(slot, "no memory for the request");
  }
}

/// Ends the transfers that curl has ended.
void EtcdClient::collect() {
  int left = 0;
  while (const CURLMsg* const message = curl_multi_info_read(multi_.get(), &left)) {
    if (message->msg != CURLMSG_DONE) continue;
    const Transfer* const transfer = Transfer::of(message->easy_handle);
    const CURLcode code = message->data.result;
    const auto slot = std::ranges::find_if(
        slots_, [&](const Slot& each) { return each.transfer.get() == transfer; });
    JVPN_ASSERT(slot != slots_.end() && slot->job, "curl ends what was started");
    end(*slot, code);
  }
}

/// Answers what has no patience left.
void EtcdClient::expire(Millis now) {
  for (Slot& slot : slots_) {
    if (!slot.job || now < slot.job->deadline) continue;
    fail(slot,
         fmt::format("no {} within {} ms", slot.transfer->requested() ? "answer" : "connection",
                     slot.job->patience.value));
  }
  std::erase_if(waiting_, [&](const Job& job) {
    if (now < job.deadline) return false;
    answer_trouble(job.number,
                   fmt::format("etcd: those before it took more than {} ms", job.patience.value));
    return true;
  });
}

void EtcdClient::end(Slot& slot, CURLcode code) {
  const auto answer = slot.transfer->finish(code);
  if (!answer) return fail(slot, answer.error().message);
  auto reply = decode_reply(slot.job->asked, *answer);
  if (!reply) return fail(slot, reply.error().message);
  JVPN_ASSERT(answers_.size() < kMostUntaken, "answers are taken");
  answers_.push_back({.number = slot.job->number, .reply = *std::move(reply)});
  release(slot);
}

/// Answers without a reply, and leaves the endpoint, unless that was done since it was sent there.
void EtcdClient::fail(Slot& slot, const std::string& reason) {
  const std::string& endpoint = endpoints_[slot.endpoint];
  answer_trouble(slot.job->number, fmt::format("etcd {}: {}", endpoint, one_line(reason)));
  if (slot.choice == choices_) {
    endpoint_ = (endpoint_ + 1) % endpoints_.size();
    ++choices_;
  }
  release(slot);
}

/// Makes it free. What is still under way is broken off, and its connection closed.
void EtcdClient::release(Slot& slot) {
  curl_multi_remove_handle(multi_.get(), slot.transfer->handle());
  slot.job.reset();
}

void EtcdClient::answer_trouble(uint64_t number, std::string trouble) {
  JVPN_ASSERT(answers_.size() < kMostUntaken, "answers are taken");
  answers_.push_back({.number = number, .reply = std::nullopt, .trouble = std::move(trouble)});
}

/// Until the next end of patience, at most until `until`.
int EtcdClient::poll_ms(Millis now, Millis until) const {
  Millis next = std::min(until, saturating_add(now, kLongestPoll));
  for (const Slot& slot : slots_) {
    if (slot.job) next = std::min(next, slot.job->deadline);
  }
  for (const Job& job : waiting_) next = std::min(next, job.deadline);
  return static_cast<int>((next - now).value);
}

}  // namespace jvpn::cluster
