#include "perf/jvpn_perf/report_page.h"

#include <algorithm>
#include <array>
#include <string_view>

#include <fmt/format.h>

#include "perf/jvpn_perf/report_chart.h"
#include "perf/jvpn_perf/report_plots.h"

namespace jvpn::perf {
namespace {

constexpr std::array<std::pair<std::string_view, std::string_view>, 8> kSections{
    {{"pipeline", "The worker's pipeline"},
     {"scale", "Over many sessions"},
     {"publish", "While bindings are published"},
     {"ndr", "Through real ports"},
     {"jump", "Traffic while a session jumps"},
     {"jump-load", "A worker while sessions jump"},
     {"handshake", "New sessions"},
     {"peers", "Beside other VPNs"}}};

constexpr std::string_view kHead = R"(<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>jvpn-perf report</title>
<style>
:root { color-scheme: light dark; --bg: #fff; --fg: #1c2128; --dim: #5a6472; --rule: #d8dde3;
  --good: #11713b; --bad: #b42318; --c0: #2f6fde; --c1: #d9822b; --c2: #2a9d6f; --c3: #a24bc2;
  --c4: #c93a52; --c5: #6b7a8c; --c6: #b59b00; --c7: #1798a6; }
@media (prefers-color-scheme: dark) { :root { --bg: #14181d; --fg: #e6e9ed; --dim: #98a3b0;
  --rule: #333b45; --good: #5fd28f; --bad: #ff8a7a; --c0: #6ea0f5; --c1: #eda75c; --c2: #5ec79b;
  --c3: #cb8be3; --c4: #ee7d90; --c5: #9aa7b6; --c6: #d8c24a; --c7: #57c4d0; } }
body { background: var(--bg); color: var(--fg); font: 15px/1.45 system-ui, sans-serif;
  max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h2 { margin-top: 2.5rem; border-bottom: 1px solid var(--rule); }
.dim, figcaption { color: var(--dim); }
figure { margin: 1rem 0 0; }
svg { width: 100%; max-width: 760px; font-size: 12px; }
svg text { fill: var(--fg); }
.grid { stroke: var(--rule); }
.whisker { stroke: var(--fg); fill: none; }
.line { fill: none; stroke-width: 2; }
.legend span { margin-right: 1rem; white-space: nowrap; }
.legend i { display: inline-block; width: .8em; height: .8em; margin-right: .35em; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; margin: .6rem 0; font-variant-numeric: tabular-nums; }
td, th { padding: .15rem .7rem .15rem 0; text-align: left; border-bottom: 1px solid var(--rule); }
td.n, th.n { text-align: right; }
.better { color: var(--good); font-weight: 600; }
.worse { color: var(--bad); font-weight: 600; }
</style>
</head>
<body>
)";

std::string environment_line(const PerfResult& result) {
  std::string text;
  const auto environment = result.json.find("environment");
  if (environment == result.json.end() || !environment->is_object())
    return "environment not stated";
  for (const auto& [name, value] : environment->items()) {
    const std::string shown = value.is_string() ? value.get<std::string>() : value.dump();
    text += fmt::format("{}{} {}", text.empty() ? "" : " · ", name, shown);
  }
  return text;
}

std::string result_title(const PerfResult& result) {
  const std::string settings = settings_of(result);
  return escape_html(result.file) +
         (settings.empty() ? "" : " <span class=\"dim\">" + escape_html(settings) + "</span>");
}

std::string notes(const PerfResult& result) {
  std::string html = "<p class=\"dim\">" + escape_html(environment_line(result)) + "</p>\n";
  const auto interrupted = result.json.find("interrupted");
  if (interrupted != result.json.end() && *interrupted == true)
    html += "<p class=\"worse\">Interrupted: what was done until then.</p>\n";
  const auto failed = result.json.find("failure");
  if (failed != result.json.end() && failed->is_string())
    html += "<p class=\"worse\">" + escape_html(failed->get<std::string>()) + "</p>\n";
  return html;
}

std::string figures_table(const PerfResult& result) {
  const std::vector<Figure> figures = figures_in(result);
  std::string html = "<div class=\"wide\"><table><tr><th>figure<th class=\"n\">value</tr>\n";
  for (const Figure& figure : figures)
    html += fmt::format("<tr><td>{}<td class=\"n\">{}</tr>\n", escape_html(figure.key),
                        number_text(figure.value));
  return figures.empty() ? "<p>No numbers in it.</p>\n" : html + "</table></div>\n";
}

std::string change_text(const Change& change) {
  if (!change.percent) return "from 0";
  return fmt::format("{:+.1f} %", *change.percent);
}

std::pair<const char*, const char*> verdict_text(Verdict verdict) {
  switch (verdict) {
    case Verdict::kBetter:
      return {"better", "better"};
    case Verdict::kWorse:
      return {"worse", "worse"};
    case Verdict::kSame:
      return {"dim", "same"};
    case Verdict::kUnjudged:
      return {"dim", ""};
  }
  return {"", ""};
}

std::string comparison_table(const PerfResult& before, const PerfResult& after) {
  const std::vector<Change> changes = compare(before, after);
  if (changes.empty()) return "<p>No figure in common.</p>\n";
  std::string html =
      "<div class=\"wide\"><table><tr><th>figure<th class=\"n\">before<th class=\"n\">after<th "
      "class=\"n\">change<th></tr>\n";
  for (const Change& change : changes) {
    const auto [style, word] = verdict_text(change.verdict);
    html += fmt::format(
        "<tr><td>{}<td class=\"n\">{}<td class=\"n\">{}<td class=\"n {}\">{}<td "
        "class=\"{}\">{}</tr>\n",
        escape_html(change.key), number_text(change.before), number_text(change.after), style,
        change_text(change), style, word);
  }
  return html + "</table></div>\n";
}

std::string comparison(const std::vector<PerfResult>& before,
                       const std::vector<PerfResult>& after) {
  const std::vector<const PerfResult*> old = match(before, after);
  std::string html = fmt::format(
      "<h2>Compared</h2>\n<p class=\"dim\">Change from before to after; under {} % it is called "
      "the "
      "same. Runs at different times on a shared machine differ by themselves: believe ratios "
      "first.</p>\n",
      kSamePercent);
  for (size_t i = 0; i < after.size(); ++i) {
    html += fmt::format("<h3>{}: {}</h3>\n", escape_html(after[i].command), result_title(after[i]));
    if (old[i] == nullptr) {
      html += "<p class=\"dim\">Nothing to compare with.</p>\n";
      continue;
    }
    html += "<p class=\"dim\">before: " + result_title(*old[i]) + "</p>\n";
    if (settings_of(*old[i]) != settings_of(after[i]))
      html += "<p class=\"worse\">Not the same settings.</p>\n";
    html += comparison_table(*old[i], after[i]);
  }
  return html;
}

std::string section(std::string_view command, std::string_view title,
                    const std::vector<const PerfResult*>& results) {
  std::string html = fmt::format("<h2>{} <span class=\"dim\">{}</span></h2>\n", title,
                                 escape_html(std::string(command)));
  html += plots_of(std::string(command), results);
  for (const PerfResult* result : results) {
    html += "<h3>" + result_title(*result) + "</h3>\n" + notes(*result);
    html += "<details><summary>All figures</summary>\n" + figures_table(*result) + "</details>\n";
  }
  return html;
}

/// Commands in the order of kSections, then those that aren't known.
std::vector<std::pair<std::string, std::string>> sections_of(
    const std::vector<PerfResult>& results) {
  std::vector<std::pair<std::string, std::string>> sections;
  for (const auto& [command, title] : kSections)
    if (std::ranges::find(results, command, &PerfResult::command) != results.end())
      sections.emplace_back(command, title);
  for (const PerfResult& result : results)
    if (std::ranges::find(sections, result.command, [](const auto& s) { return s.first; }) ==
        sections.end())
      sections.emplace_back(result.command, "Other results");
  return sections;
}

}  // namespace

std::string report_page(const std::vector<PerfResult>& results,
                        const std::optional<std::vector<PerfResult>>& before) {
  std::string html(kHead);
  html += "<h1>Jumping VPN: measurements</h1>\n";
  for (const auto& [command, title] : sections_of(results)) {
    std::vector<const PerfResult*> of_command;
    for (const PerfResult& result : results)
      if (result.command == command) of_command.push_back(&result);
    html += section(command, title, of_command);
  }
  if (before) html += comparison(*before, results);
  return html + "</body>\n</html>\n";
}

}  // namespace jvpn::perf
