// The operator's door: a unix stream socket, one JSON line in, one JSON line out, then it closes.
//
// Mode 0600. Everything is bounded: clients, request bytes, time. Free of DPDK; all calls on the
// control thread; nothing here blocks.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "common/result.h"
#include "common/types.h"

namespace jvpn {

class AdminSocket {
 public:
  /// Answers one request (always a JSON object) with one JSON value. `{"error": "…"}` by convention
  /// says what was wrong.
  using Handler = std::function<nlohmann::json(const nlohmann::json& request)>;

  static constexpr size_t kMaxClients = 16;
  static constexpr size_t kMaxRequestBytes = 4'096;
  static constexpr Millis kClientTimeout{5'000};

  /// Listens on `path`, creating its last folder if need be. A stale socket there is replaced; one
  /// that somebody listens on is an error, and so is anything that is no socket.
  static Result<std::unique_ptr<AdminSocket>> open(const std::string& path, Handler handler);
  /// Removes the socket, and the folder if open() made it and it is empty.
  ~AdminSocket();
  AdminSocket(const AdminSocket&) = delete;
  AdminSocket& operator=(const AdminSocket&) = delete;

  /// A descriptor that is readable while poll() has work: for an epoll set.
  int descriptor() const { return epoll_; }
  /// Takes new clients, reads, answers, and closes those that took longer than kClientTimeout.
  void poll(Millis now);
  size_t clients() const { return clients_.size(); }

 private:
  struct Client {
    int descriptor = -1;
    Millis since;
    std::string request;
    std::string reply;
    size_t sent = 0;
  };

  AdminSocket(std::string path, Handler handler);
  Result<void> listen_on_path();
  void accept_clients(Millis now);
  bool serve(Client& client);
  bool read_request(Client& client);
  bool write_reply(Client& client);
  std::string answer(const std::string& line) const;
  void close_client(Client& client);

  std::string path_;
  Handler handler_;
  int listener_ = -1;
  int epoll_ = -1;
  bool bound_ = false;
  bool made_folder_ = false;
  std::vector<std::unique_ptr<Client>> clients_;
};

}  // namespace jvpn
