// What a profile says of places on this machine, looked at before anything is opened there. The
// programs would find out later: at an event file when it is too late, at a socket after the ports.
#pragma once

#include <string>
#include <vector>

#include "common/profile.h"

namespace jvpn::admin {

/// One finding for each event file that can't be appended to, and for an admin socket whose folder
/// can't be there. The paths are resolved; `file` is the profile's. Creates nothing.
std::vector<std::string> check_paths(const EventsProfile& events, const AdminProfile& admin,
                                     const std::string& file);

/// One finding when the state directory that the profile names can't be one; none when it can be
/// made. The default is looked at when the program starts: whoever checks a profile need not be its
/// user.
std::vector<std::string> check_state(const StateProfile& state, const std::string& file);

/// One finding when the file of certificates that a client's profile names can't be read.
std::vector<std::string> check_ca_file(const FileReference& ca, const std::string& file);

/// One finding when the key log that the profile names can't be one: a regular file that its owner
/// alone can read, or a place where one can be made. KeyLog::open() looks again at what it opens.
std::vector<std::string> check_key_log(const FileReference& log, const std::string& file);

}  // namespace jvpn::admin
