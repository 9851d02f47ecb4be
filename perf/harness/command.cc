#include "perf/harness/command.h"

#include <cstdio>
#include <thread>

#include <fmt/args.h>
#include <fmt/format.h>
#include <unistd.h>

#include "perf/harness/interrupt.h"

namespace jvpn::perf {
namespace {

using Arguments = fmt::dynamic_format_arg_store<fmt::format_context>;

void add_arguments(const Json& json, const std::string& prefix, Arguments& arguments) {
  for (const auto& [key, value] : json.items()) {
    const std::string name = prefix + key;
    if (value.is_object()) add_arguments(value, name + "_", arguments);
    if (value.is_number_float())
      arguments.push_back(fmt::arg(name.c_str(), value.get<double>()));
    else if (value.is_number())
      arguments.push_back(fmt::arg(name.c_str(), value.get<int64_t>()));
    else if (value.is_string())
      arguments.push_back(fmt::arg(name.c_str(), value.get<std::string>()));
  }
}

}  // namespace

int run_command(const std::string& name, const Needs& needs, bool json,
                const std::function<Result<Measured>()>& measure) {
  const auto say = [&](const std::string& what) {
    std::fprintf(stderr, "jvpn-perf %s: %s\n", name.c_str(), what.c_str());
  };
  if ((needs.root && geteuid() != 0) || std::thread::hardware_concurrency() < needs.cpus) {
    say(std::string("needs ") + needs.why);
    return needs.root ? kExitUsage : kExitFailed;
  }
  catch_interrupts();
  Json environment = describe_environment();  // its load is that before the run
  auto measured = measure();
  const int cut_short = interrupted() ? kExitInterrupted : 0;
  if (!measured) {
    if (!cut_short) say(measured.error().message);
    return cut_short != 0 ? cut_short : kExitFailed;
  }
  environment.update(measured->environment);
  if (json) {
    Json whole{{"command", name}};
    whole.update(measured->json);
    whole["interrupted"] = interrupted();
    whole["environment"] = environment;
    std::puts(whole.dump(2).c_str());
  } else if (!measured->table.empty()) {
    const std::string machine = render(
        "machine    {cpu}, {cpus} CPUs, load {load:.1f} before the run; IPsec-MB on {ipsec_mb}\n"
        "build      {commit}, {build}\n",
        environment);
    std::fputs((measured->table + machine).c_str(), stdout);
    if (interrupted()) std::puts("interrupted: what was done until then");
  }
  std::fflush(stdout);
  if (const auto failure = measured->json.find("failure");
      failure != measured->json.end() && failure->is_string()) {
    say(failure->get<std::string>());
    return kExitFailed;
  }
  return cut_short;
}

void put_spread(Json& json, const std::string& key, const Spread& spread) {
  json[key] = spread.median;
  json[key + "_min"] = spread.min;
  json[key + "_max"] = spread.max;
}

std::string render(const std::string& text, const Json& json) {
  Arguments arguments;
  add_arguments(json, "", arguments);
  std::string whole = text;
  for (size_t at = 0; (at = whole.find("\\\n", at)) != std::string::npos;) whole.erase(at, 2);
  return fmt::vformat(whole, arguments);
}

}  // namespace jvpn::perf
