// The operator's door: a unix stream socket, one JSON line in, one JSON line out, then it closes.
// Or one JSON line in, and lines out until either side has enough.
//
// Mode 0600. Everything is bounded: clients, request bytes, time. Free of DPDK; all calls on the
// control thread; nothing here blocks.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "common/result.h"
#include "common/types.h"

namespace jvpn::admin {

/// The lines that one client asked for.
class LineStream {
 public:
  enum class More : uint8_t {
    kNow,    ///< there may be more at this moment
    kLater,  ///< at a later poll(), which LineSource::descriptor() asks for
    kNoMore
  };
  virtual ~LineStream() = default;
  /// Appends whole lines that are there now, until `out` has about `most` bytes.
  virtual More read(std::string& out, size_t most) = 0;
};

/// What can be followed. Outlives the socket.
class LineSource {
 public:
  virtual ~LineSource() = default;
  /// None: the request asks for no stream, the handler answers it.
  virtual std::unique_ptr<LineStream> open(const nlohmann::json& request) = 0;
  /// Readable when there are new lines, until drain().
  virtual int descriptor() const = 0;
  virtual void drain() = 0;
  /// Whether anybody has a stream.
  virtual void set_followed(bool followed) = 0;
};

/// What a program says to a command that it has no answer to, or that is another program's: `jump`
/// is for clients, which choose the path, and `terminate` for gateways, which have many peers.
std::string not_answered(const std::string& program, const std::string& command,
                         const std::string& answers);

/// An answer that isn't there yet: asked at each poll() until it gives one, without a time limit.
using LaterAnswer = std::function<std::optional<nlohmann::json>()>;

class AdminSocket {
 public:
  using Answer = std::variant<nlohmann::json, LaterAnswer, std::unique_ptr<LineStream>>;
  /// Answers one request (always a JSON object) with one JSON value, or with lines. `{"error":
  /// "…"}` by convention says what was wrong.
  using Handler = std::function<Answer(const nlohmann::json& request)>;

  static constexpr size_t kMaxClients = 16;
  static constexpr size_t kMaxRequestBytes = 4'096;
  static constexpr Millis kClientTimeout{5'000};
  static constexpr size_t kMaxStreams = 8;         ///< of the clients; these have no time limit
  static constexpr size_t kStreamBuffer = 65'536;  ///< bytes that wait for a slow one

  /// Listens on `path`, creating its last folder if need be. A stale socket there is replaced; one
  /// that somebody listens on is an error, and so is anything that is no socket.
  static Result<std::unique_ptr<AdminSocket>> open(const std::string& path, Handler handler,
                                                   LineSource* source = nullptr);
  /// Removes the socket, and the folder if open() made it and it is empty.
  ~AdminSocket();
  AdminSocket(const AdminSocket&) = delete;
  AdminSocket& operator=(const AdminSocket&) = delete;

  /// A descriptor that is readable while poll() has work: for an epoll set.
  int descriptor() const { return epoll_; }
  /// Takes new clients, reads, answers one of them, feeds streams, and closes those that took
  /// longer than kClientTimeout. Whoever else has asked keeps descriptor() readable.
  void poll(Millis now);
  size_t clients() const { return clients_.size(); }

 private:
  struct Client {
    int descriptor = -1;
    Millis since;
    std::string request;
    std::string reply;
    size_t sent = 0;
    std::unique_ptr<LineStream> stream;
    bool of_source = false;  ///< the stream
    LaterAnswer later;
    bool hungry = true;  ///< epoll waits for room to write
  };

  AdminSocket(std::string path, Handler handler, LineSource* source);
  Result<void> listen_on_path();
  void accept_clients(Millis now);
  bool serve(Client& client, Millis now);
  bool serve_stream(Client& client);
  bool read_request(Client& client);
  bool write_reply(Client& client);
  void answer(Client& client, const std::string& line);
  void begin_stream(Client& client);
  bool ask_later(Client& client);
  void close_client(Client& client);

  std::string path_;
  Handler handler_;
  LineSource* source_;
  int listener_ = -1;
  int epoll_ = -1;
  bool bound_ = false;
  bool made_folder_ = false;
  std::vector<std::unique_ptr<Client>> clients_;
  size_t streams_ = 0;
  bool answered_ = false;  ///< one, in this poll()
};

}  // namespace jvpn::admin
