// jvpn-perf report: hands its files to report.py, which writes the page.
#include <cstdio>
#include <memory>

#include <fmt/format.h>
#include <unistd.h>

#include "common/result.h"
#include "perf/harness/command.h"

namespace jvpn::perf {
namespace {

constexpr const char* kScript = JVPN_SOURCE_ROOT "/perf/report/report.py";

struct ReportOptions {
  std::vector<std::string> files;
  std::vector<std::string> against;
  std::string baseline;
  std::string output;
};

/// Becomes the script; returns only when that failed.
int run_report(const ReportOptions& options) {
  std::vector<std::string> words{"python3", kScript, "--output=" + options.output};
  for (const std::string& file : options.against) words.push_back("--against=" + file);
  if (!options.baseline.empty()) words.push_back("--baseline=" + options.baseline);
  words.emplace_back("--");
  words.insert(words.end(), options.files.begin(), options.files.end());
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  const bool script = ::access(kScript, R_OK) == 0;
  if (script) ::execvp("python3", arguments.data());
  const Error error = errno_error(script ? "python3" : kScript);
  std::fprintf(stderr, "jvpn-perf report: %s\n", error.message.c_str());
  return kExitFailed;
}

}  // namespace

Command add_report(CLI::App& app) {
  auto options = std::make_shared<ReportOptions>();
  CLI::App* parser = app.add_subcommand(
      "report", "One HTML page with plots from results of the other commands (--json)");
  parser->add_option("files", options->files, "what they printed")->required();
  auto* against = parser->add_option("--against", options->against, "results to compare with");
  parser->add_option("--baseline", options->baseline, "a folder of them instead")
      ->excludes(against);
  parser->add_option("-o,--output", options->output, "the page")->required();
  return {parser, [options] { return run_report(*options); }};
}

}  // namespace jvpn::perf
