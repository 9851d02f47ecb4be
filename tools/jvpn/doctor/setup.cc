#include "tools/jvpn/doctor/setup.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <iostream>

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include "common/file_descriptor.h"
#include "tools/jvpn/doctor/doctor.h"
#include "tools/jvpn/output.h"
#include "tools/shared/exit_code.h"
#include "tools/shared/run_command.h"

namespace jvpn::doctor {
namespace {

constexpr std::chrono::seconds kPatience{60};  // a gibibyte of hugepages may have to be gathered

bool is_ours(const Mend& mend) {
  return mend.kind != Mend::Kind::kByHand;
}

Result<void> write_file(const std::string& path, const std::string& text) {
  const FileDescriptor file(open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!file) return errno_error(path);
  if (::write(file.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size()))
    return errno_error(path);
  return {};
}

Result<void> carry_out_here(const Mend& mend) {
  if (mend.kind == Mend::Kind::kWrite) return write_file(mend.path, mend.text + '\n');
  const auto done = run_command({mend.words}, kPatience);
  if (!done) return done.error();
  return {};
}

bool ask_on_terminal() {
  std::fputs("  do it? [y/N] ", stdout);
  std::fflush(stdout);
  std::string answer;
  return std::getline(std::cin, answer) && (answer == "y" || answer == "yes");
}

std::string comment(const std::string& line) {
  return "# " + line + '\n';
}

int refuse(const std::string& what) {
  complain("setup: " + what);
  return kBadUsage;
}

Hands our_hands(const Host& host, bool yes) {
  return {.carry_out = carry_out_here,
          .may = [yes](const Step&) { return yes || ask_on_terminal(); },
          .tell = [](const std::string& line) { print_text(line + '\n'); },
          .in_use =
              [&host](const std::string& pci) { return nic_in_use(host, kernel_addresses, pci); }};
}

}  // namespace

std::vector<Step> plan(const Host& host, const AddressesOf& addresses, const Report& report) {
  std::vector<Step> steps;
  for (const Finding& finding : report) {
    for (const Mend& mend : finding.mend) {
      Step step{mend, fmt::format("{}{}{}: {}", finding.check, finding.of.empty() ? "" : " of ",
                                  finding.of, finding.what)};
      if (!mend.nic.empty()) step.refused = nic_in_use(host, addresses, mend.nic);
      steps.push_back(std::move(step));
    }
  }
  return steps;
}

std::string script_of(const std::vector<Step>& steps) {
  std::string text = "#!/bin/sh -e\n";
  std::string undo;
  for (const Step& step : steps) {
    text += '\n' + comment(step.why);
    const std::string command = to_string(step.mend);
    if (!is_ours(step.mend)) {
      text += comment("by hand: " + command);
    } else if (!step.refused.empty()) {
      text += comment("not done, " + step.refused + ": " + command);
    } else {
      text += command + '\n';
      undo.insert(0, comment(step.mend.undo));
    }
  }
  return undo.empty() ? text : text + "\n# These take it back, in this order:\n" + undo;
}

bool carry_out(const std::vector<Step>& steps, const Hands& hands) {
  bool well = true;
  std::vector<std::string> undo;
  for (const Step& step : steps) {
    const std::string command = to_string(step.mend);
    if (!is_ours(step.mend)) {
      hands.tell(fmt::format("{}\n  by hand: {}", step.why, command));
      continue;
    }
    hands.tell(fmt::format("{}\n  {}", step.why, command));
    const std::string used =
        step.mend.nic.empty() || !step.refused.empty() ? step.refused : hands.in_use(step.mend.nic);
    if (!used.empty()) {
      hands.tell("  not done: " + used);
      well = false;
      continue;
    }
    if (!hands.may(step)) {
      hands.tell("  left as it is");
      continue;
    }
    if (const auto done = hands.carry_out(step.mend); !done) {
      hands.tell("  failed: " + done.error().message);
      hands.tell("  if half of it was done, this takes it back: " + step.mend.undo);
      well = false;
      break;  // what follows may rest upon it
    }
    undo.push_back(step.mend.undo);
  }
  if (!undo.empty()) hands.tell("These take it back, in this order:");
  std::ranges::reverse(undo);
  for (const std::string& each : undo) hands.tell("  " + each);
  return well;
}

int run_setup(const SetupCommand& command, bool as_json) {
  if (as_json) return refuse("no JSON; jvpn doctor --json has the commands");
  const Host host;
  const auto needs = needs_of(command.profile, host);
  if (!needs) {
    complain(needs.error().message);
    return kBadProfile;
  }
  if (needs->profile.empty()) return refuse("expected a PROFILE, whose needs are to be met");
  const auto steps = plan(host, kernel_addresses, examine(host, *needs));
  if (command.script) return print_text(script_of(steps));
  if (steps.empty()) return print_text("nothing to do\n");
  const bool any = std::ranges::any_of(steps, [](const Step& step) { return is_ours(step.mend); });
  if (any && geteuid() != 0) return refuse("expected root; --script prints what root would do");
  if (any && !command.yes && isatty(STDIN_FILENO) != 1)
    return refuse("nobody to ask; --yes goes on without, --script prints what it would do");
  const bool well = carry_out(steps, our_hands(host, command.yes));
  print_text("\n" + render(examine(host, *needs), *needs, wants_colours()));
  return well ? 0 : kRuntimeFailure;
}

}  // namespace jvpn::doctor
