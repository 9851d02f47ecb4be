// The client's attendant: a process of its own for what the client's sandbox forbids. It runs the
// program that manages the host's name servers, looks the gateway's names up, and takes the kill
// switch's filter away in the end.
//
// It is forked before the client reads a key, and has its orders from the profile alone: later the
// client says which of these to do, with a firewall mark, and no text. It ends when the client
// does, however that ends, and first sets the name servers back.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/file_descriptor.h"
#include "common/ip.h"
#include "common/profile.h"
#include "common/result.h"

namespace jvpn::client::attendant {

/// What there is to do, all of it from the profile.
struct Duty {
  std::string interface;
  DnsProfile dns;
  std::vector<NamedEndpoint> names;
  bool kill_switch = false;
  bool needed() const { return !dns.servers.empty() || !names.empty() || kill_switch; }
};

/// What became of an order.
struct News {
  bool ended = false;  ///< the attendant is gone: there will be no more
  std::optional<std::string>
      dns{};  ///< the outcome of set_dns(): empty: done; else what is in the way
  /// The outcome of look_up(): of each name of the duty its addresses, or why there are none.
  std::vector<std::vector<IpAddress>> addresses{};
  std::vector<std::string> failures{};
};

class Attendant {
 public:
  /// Forks. The process has one thread, and no key in its memory. `confined`: it gives up what it
  /// doesn't need.
  static Result<std::unique_ptr<Attendant>> start(const Duty& duty, bool confined);
  /// Has it undo what it did, and waits for that, 5 s at most.
  ~Attendant();
  Attendant(const Attendant&) = delete;
  Attendant& operator=(const Attendant&) = delete;

  /// Readable when take() has something.
  int descriptor() const { return socket_.get(); }
  /// Orders; the outcome comes as News. Each at most once until its outcome has come.
  void set_dns();
  void look_up(std::optional<uint32_t> mark);
  /// Takes the kill switch's filter away; nothing comes of it.
  void open_host();
  /// Never blocks; nullopt: nothing new.
  std::optional<News> take();

 private:
  explicit Attendant(FileDescriptor socket) : socket_(std::move(socket)) {}
  FileDescriptor socket_;
  size_t names_ = 0;  ///< of the duty
};

}  // namespace jvpn::client::attendant
