// The keys of a program's sessions, written in the clear for whoever is to read captured packets
// (tools/wireshark/jvp1.lua). Off unless the profile names a file. Control thread only.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "common/file_descriptor.h"
#include "common/result.h"
#include "control/session/effects.h"

namespace jvpn::admin {

/// Appends one line for each key that is installed, in hexadecimal:
///
///     jvp1 INDEX SUITE DATA_KEY DATA_IV DATA_MASK CONTROL_KEY CONTROL_IV CONTROL_MASK
///
/// INDEX is the receiver index that packets have in the clear, a mask is a number (counter_mask()),
/// and `-` stands for what this end doesn't have here: the control key that it sends under is in
/// the log of the other end. Nothing secret is kept between two lines.
class KeyLog {
 public:
  using News = std::function<void(const std::string& line)>;

  /// Makes the file with mode 0600, or goes on with one that is this user's and that nobody else
  /// can read. Any other is an Error, which says what to do. `news` is told at once that keys are
  /// logged, and later when a line can't be written. Null without a path: the profile names none.
  static Result<std::unique_ptr<KeyLog>> open(const std::string& path, News news);

  /// Writes a line for each install among the effects. The first that fails is told; the program
  /// goes on, and later ones are tried, each on a line of its own.
  void write(const session::Effects& effects);

 private:
  KeyLog(FileDescriptor file, std::string path, News news);
  void append(std::string_view line);

  FileDescriptor file_;
  std::string path_;
  News news_;
  bool torn_ = false;    ///< the file ends within a line
  bool failed_ = false;  ///< and told
};

}  // namespace jvpn::admin
