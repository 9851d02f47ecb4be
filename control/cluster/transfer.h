// One request on its way: curl's handle, what it sends, and what has come back. One thread.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include <curl/curl.h>

#include "common/result.h"
#include "control/cluster/etcd_options.h"

namespace jvpn::cluster {

struct CleanEasy {
  void operator()(CURL* easy) const { curl_easy_cleanup(easy); }
};
struct FreeList {
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};

/// Calls a gRPC method (its protocol over HTTP/2; one message each way), again and again, each call
/// at most once: curl repeats a request when a connection that was kept is closed before the
/// answer, and nobody knows what became of the first.
class Transfer {
 public:
  /// No answer's body is larger; no more of its header and trailer is read.
  static constexpr size_t kLargestBody = size_t{4} << 20;
  static constexpr size_t kLargestHeader = size_t{64} << 10;

  /// `credentials` outlives it. An Error: curl lacks something, or there is no memory.
  static Result<std::unique_ptr<Transfer>> create(const Credentials& credentials);
  Transfer(const Transfer&) = delete;  // curl knows its address
  Transfer& operator=(const Transfer&) = delete;

  /// Makes it ready to be given to curl. `url` names the method. False: no memory.
  bool prepare(const std::string& url, std::string_view message);
  /// The answer's message, once curl has ended it with `code`. An Error is a reason for a person.
  Result<std::string> finish(CURLcode code);
  /// The request left, so it may be carried out.
  bool requested() const { return requested_; }

  CURL* handle() const { return easy_.get(); }
  /// The one that has this handle.
  static Transfer* of(CURL* easy);

 private:
  Transfer() = default;
  bool configure(const Credentials& credentials);
  bool configure_tls(const Credentials& credentials);

  // curl calls these; `self` is the transfer.
  static size_t on_header(char* bytes, size_t size, size_t count, void* self);
  static size_t on_body(char* bytes, size_t size, size_t count, void* self);
  static int on_request(void* self, char* to, char* from, int to_port, int from_port);
  void note_header(std::string_view line);
  Result<void> judge(CURLcode code) const;
  bool is_turned_away(CURLcode code) const;

  std::unique_ptr<CURL, CleanEasy> easy_;
  std::unique_ptr<curl_slist, FreeList> headers_;
  std::array<char, CURL_ERROR_SIZE> curl_says_{};
  std::string request_;
  std::string body_;
  std::string grpc_status_;   ///< as it came; empty: it didn't
  std::string grpc_message_;  ///< percent-encoded
  size_t header_bytes_ = 0;
  bool requested_ = false;
  bool too_large_ = false;
  bool repeated_ = false;
};

}  // namespace jvpn::cluster
