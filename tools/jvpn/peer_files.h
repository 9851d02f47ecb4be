// Where a gateway's peers are configured, for the commands that change one of them: its profile,
// the directory beside it, and the gateway itself when it runs.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "common/file_descriptor.h"
#include "common/profile.h"
#include "common/result.h"

namespace jvpn {

/// What all of `jvpn peer` has.
struct PeerCommand {
  std::string socket;
  std::string profile;  ///< empty: the running gateway's, else the default
  std::string name;
  bool as_json = false;
};

/// What a file says of a peer, in the fields that the gateway's answer to "peers" has; no secrets.
nlohmann::json peer_json(const PeerProfile& peer);

class PeerFiles {
 public:
  /// Finds the profile, asking the gateway at the socket for it, and reads it without the
  /// directory. Locks the directory against other commands, which it makes when it is missing.
  static Result<PeerFiles> open(const PeerCommand& command);
  /// The same for commands that only look.
  static Result<PeerFiles> look(const PeerCommand& command);

  const std::string& profile_path() const { return path_; }
  const GatewayProfile& profile() const { return profile_; }
  const std::string& directory() const { return profile_.enrolment.directory; }
  /// Of a peer's own file, or another one beside it.
  std::string file(const std::string& name) const;
  std::string beside(const std::string& file) const { return directory() + '/' + file; }
  bool has(const std::string& name) const;
  /// A gateway answered that has these files.
  bool running() const { return running_; }
  /// An Error that nobody has the name, and which was probably meant.
  Error no_such_peer(const std::string& name) const;

  /// One free address of each family in the profile's pools: the gateway knows, or, without one,
  /// all files are read.
  Result<std::vector<Prefix>> free_addresses() const;
  /// Has the running gateway make a peer what its file says, or without a file remove it.
  struct Refusal {
    std::string why;
    bool certain = true;  ///< false: the gateway didn't answer, it may have applied it
  };
  Result<nlohmann::json, Refusal> apply(const std::string& name) const;

 private:
  Result<void> find_profile(const PeerCommand& command);
  Result<void> lock();

  std::string socket_;
  std::string path_;
  GatewayProfile profile_;
  bool running_ = false;
  FileDescriptor lock_;
};

}  // namespace jvpn
