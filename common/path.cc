#include "common/path.h"

namespace jvpn {

std::string to_string(const Path& path) {
  return to_string(path.local) + ">" + to_string(path.remote);
}

}  // namespace jvpn
