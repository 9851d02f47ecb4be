// `jvpn setup`: carries out what `jvpn doctor` names, as far as it can be taken back.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "common/result.h"
#include "tools/jvpn/doctor/finding.h"
#include "tools/jvpn/doctor/nic_use.h"

namespace jvpn::doctor {

struct SetupCommand {
  std::string profile;
  bool yes = false;     ///< asks nothing
  bool script = false;  ///< prints a script instead
};

/// A mend, and what it mends.
struct Step {
  Mend mend;
  std::string why;
  std::string refused{};  ///< why it isn't done; empty: it is
};

/// The mends of all findings that aren't good, in their order. Those that would take a NIC away
/// from somebody are refused.
std::vector<Step> plan(const Host& host, const AddressesOf& addresses, const Report& report);

/// The steps as a shell script, what they need an operator for as comments, with what takes them
/// back at its end.
std::string script_of(const std::vector<Step>& steps);

/// What setup does to the world, so that tests can play it.
struct Hands {
  std::function<Result<void>(const Mend&)> carry_out;
  std::function<bool(const Step&)> may;          ///< the operator's answer
  std::function<void(const std::string&)> tell;  ///< a line
  /// Asked again right before each step that takes a NIC: why not; empty: go on.
  std::function<std::string(const std::string& pci)> in_use;
};

/// Tells each command before it is carried out, and at the end what takes all that was done back,
/// the last first. Ends at the first that fails. True: nothing failed and nothing was refused.
bool carry_out(const std::vector<Step>& steps, const Hands& hands);

/// Exit status 0: done, or nothing to do; 1: a step failed, or was refused; 2: a bad
/// profile or none, nobody to ask, or not root.
int run_setup(const SetupCommand& command, bool as_json);

}  // namespace jvpn::doctor
