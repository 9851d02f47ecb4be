// What a look at the machine found, and what mends it.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace jvpn::doctor {

enum class Verdict : uint8_t { kGood, kBetter, kMissing };
/// `good`, `could be better`, `missing`.
const char* to_string(Verdict verdict);

/// One step of a mend, as a shell takes it.
struct Mend {
  enum class Kind : uint8_t {
    kRun,    ///< `jvpn setup` runs `words`
    kWrite,  ///< `jvpn setup` writes `text` to the file `path`
    kByHand  ///< `text` is for the operator: it needs a restart, or a decision
  };
  Kind kind = Kind::kByHand;
  std::vector<std::string> words{};
  std::string path{};
  std::string text{};
  std::string undo{};  ///< what takes it back, as a shell takes it
  std::string nic{};   ///< the PCI device that it takes from the kernel
};
std::string to_string(const Mend& mend);

/// What `jvpn setup` runs or writes, with what takes it back.
Mend run(std::vector<std::string> words, std::string undo);
Mend write(std::string path, std::string text, std::string before);
Mend by_hand(std::string text);
/// Adds to the kernel's command line, of Debian's boot loader.
Mend at_boot(const std::string& arguments);

struct Finding {
  std::string check{};
  std::string of{};  ///< a port, a device, CPUs; empty: the machine
  Verdict verdict = Verdict::kGood;
  std::string what{};
  std::vector<Mend> mend{};
};

using Report = std::vector<Finding>;

}  // namespace jvpn::doctor
