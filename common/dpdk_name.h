// Names of DPDK's objects, which it keeps in tables of the whole process.
#pragma once

#include <atomic>
#include <string>

namespace jvpn {

/// A name that no other object has. Any thread.
inline std::string unique_dpdk_name(const std::string& what) {
  static std::atomic<unsigned> objects{0};
  return "jvpn_" + what + "_" + std::to_string(objects.fetch_add(1));
}

}  // namespace jvpn
