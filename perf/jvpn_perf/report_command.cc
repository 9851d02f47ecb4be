// jvpn-perf report: files in, one page out.
#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>

#include "perf/jvpn_perf/command.h"
#include "perf/jvpn_perf/report_page.h"

namespace jvpn::perf {
namespace {

struct ReportOptions {
  std::vector<std::string> files;
  std::vector<std::string> against;
  std::string baseline;
  std::string output;
};

Result<std::vector<PerfResult>> load_all(const std::vector<std::string>& files) {
  std::vector<PerfResult> all;
  for (const std::string& file : files) {
    auto results = load_results(file);
    if (!results) return results.error();
    all.insert(all.end(), results->begin(), results->end());
  }
  return all;
}

Result<std::vector<std::string>> json_files_in(const std::string& folder) {
  std::vector<std::string> files;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(folder, error))
    if (entry.path().extension() == ".json") files.push_back(entry.path().string());
  if (error) return Error{folder + ": " + error.message()};
  if (files.empty()) return Error{folder + ": no .json file in it"};
  std::ranges::sort(files);
  return files;
}

Result<void> write_file(const std::string& path, const std::string& text) {
  std::ofstream out(path, std::ios::binary | std::ios::trunc);
  out.write(text.data(), static_cast<std::streamsize>(text.size()));
  out.close();
  if (!out) return errno_error(path);
  return {};
}

Result<void> write_report(const ReportOptions& options) {
  const auto results = load_all(options.files);
  if (!results) return results.error();
  std::vector<std::string> old_files = options.against;
  if (!options.baseline.empty()) {
    auto files = json_files_in(options.baseline);
    if (!files) return files.error();
    old_files = *std::move(files);
  }
  std::optional<std::vector<PerfResult>> before;
  if (!old_files.empty()) {
    auto old = load_all(old_files);
    if (!old) return old.error();
    before = *std::move(old);
  }
  return write_file(options.output, report_page(*results, before));
}

int run_report(const ReportOptions& options) {
  const auto written = write_report(options);
  if (written) return 0;
  std::fprintf(stderr, "jvpn-perf report: %s\n", written.error().message.c_str());
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
