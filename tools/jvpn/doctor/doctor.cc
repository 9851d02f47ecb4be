#include "tools/jvpn/doctor/doctor.h"

#include <algorithm>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "common/printable.h"
#include "tools/jvpn/doctor/checks.h"
#include "tools/jvpn/output.h"
#include "tools/shared/exit_code.h"

namespace jvpn::doctor {
namespace {

constexpr const char* kUsualProfile = "/etc/jvpn/jvpnd.yaml";

constexpr auto kChecks = {check_hugepages, check_memlock,      check_cpus,  check_isolation,
                          check_cpu_flags, check_clock,        check_iommu, check_vfio,
                          check_nics,      check_kernel_ports, check_tun};

Colour colour_of(Verdict verdict) {
  switch (verdict) {
    case Verdict::kGood:
      return Colour::kGreen;
    case Verdict::kBetter:
      return Colour::kYellow;
    case Verdict::kMissing:
      break;
  }
  return Colour::kRed;
}

size_t count_of(const Report& report, Verdict verdict) {
  return static_cast<size_t>(std::ranges::count(report, verdict, &Finding::verdict));
}

}  // namespace

Report examine(const Host& host, const Needs& needs) {
  Report report;
  for (const auto check : kChecks) check(host, needs, report);
  for (Finding& each : report)
    if (needs.profile.empty() && each.verdict == Verdict::kMissing) each.verdict = Verdict::kBetter;
  return report;
}

std::string render(const Report& report, const Needs& needs, bool with_colours) {
  TextTable table({"VERDICT", "CHECK", "OF", "WHAT"});
  for (const Finding& each : report) {
    table.add({{to_string(each.verdict), colour_of(each.verdict)},
               {each.check},
               {printable(each.of)},
               {printable(each.what)}});
    for (const Mend& mend : each.mend) table.add({{}, {}, {"mend:"}, {printable(to_string(mend))}});
  }
  const std::string sums =
      fmt::format("{} good, {} could be better, {} missing", count_of(report, Verdict::kGood),
                  count_of(report, Verdict::kBetter), count_of(report, Verdict::kMissing));
  const std::string whose =
      needs.profile.empty() ? "without a profile nothing is demanded" : "for " + needs.profile;
  return fmt::format("{}\n{} ({})\n", table.render(with_colours), sums, printable(whose));
}

nlohmann::json to_json(const Report& report, const Needs& needs) {
  nlohmann::json findings = nlohmann::json::array();
  for (const Finding& each : report) {
    nlohmann::json mends = nlohmann::json::array();
    for (const Mend& mend : each.mend) mends.push_back(to_string(mend));
    std::string verdict = to_string(each.verdict);
    std::ranges::replace(verdict, ' ', '_');
    findings.push_back({{"check", each.check},
                        {"of", each.of},
                        {"verdict", std::move(verdict)},
                        {"what", each.what},
                        {"mend", std::move(mends)}});
  }
  return {{"profile", needs.profile.empty() ? nlohmann::json() : nlohmann::json(needs.profile)},
          {"findings", std::move(findings)},
          {"good", count_of(report, Verdict::kGood)},
          {"could_be_better", count_of(report, Verdict::kBetter)},
          {"missing", count_of(report, Verdict::kMissing)}};
}

Result<Needs> needs_of(const std::string& profile, const Host& host) {
  if (!profile.empty()) return needs_of_profile(profile);
  return host.exists(kUsualProfile) ? needs_of_profile(kUsualProfile) : needs_of_any();
}

int run_doctor(const std::string& profile, bool as_json) {
  const Host host;
  const auto needs = needs_of(profile, host);
  if (!needs) {
    complain(needs.error().message);
    return kBadProfile;
  }
  const Report report = examine(host, *needs);
  const std::string text =
      as_json
          ? to_json(report, *needs).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) +
                '\n'
          : render(report, *needs, wants_colours());
  if (const int printed = print_text(text); printed != 0) return printed;
  return count_of(report, Verdict::kMissing) == 0 ? 0 : kUnhealthy;
}

}  // namespace jvpn::doctor
