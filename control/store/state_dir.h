// The directory in which a gateway keeps its sessions: who may read it, who uses it, and what
// becomes of a file in it that isn't ours. Blocks; before the gateway starts.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "common/file_descriptor.h"
#include "common/result.h"
#include "control/store/session_db.h"

namespace jvpn::store {

/// Told what an operator should know, a line each.
using News = std::function<void(const std::string&)>;

class StateDir {
 public:
  /// Makes the directory when it is missing (0700), and takes it for this process alone. An Error
  /// says what is wrong with it and how to mend that.
  static Result<StateDir> open(const std::string& path);

  /// Names the directory: `fresh`, written now, or what was written before. An Error: it can't be.
  Result<std::array<uint8_t, 16>> instance(const std::array<uint8_t, 16>& fresh) const;
  /// Opens the sessions in it. A file that isn't ours is set aside under another name, which is
  /// told, and a new one is begun.
  Result<std::unique_ptr<SessionDb>> open_sessions(const RecordKey& key, const StoreTime& now,
                                                   const News& news) const;

 private:
  StateDir(std::string path, FileDescriptor lock)
      : path_(std::move(path)), lock_(std::move(lock)) {}
  Result<std::string> set_aside(const std::string& file, uint64_t wall_ms) const;

  std::string path_;
  FileDescriptor lock_;  ///< held while the process lives
};

/// Why a path can't be a state directory; empty when it can, or can be made. Changes nothing.
std::string state_dir_trouble(const std::string& path);

}  // namespace jvpn::store
