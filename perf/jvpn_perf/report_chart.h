// Plots as inline SVG: no script, colours from the page's style sheet. All texts are escaped here.
// Pure, any thread.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace jvpn::perf {

/// Safe inside HTML and SVG, in attributes too.
std::string escape_html(const std::string& text);
/// Four significant digits; thousands apart.
std::string number_text(double value);

/// A horizontal bar of one or more parts, and the spread of its length.
struct Bar {
  std::string label;
  std::vector<std::pair<std::string, double>> parts;  ///< name, length; negative ones are left out
  std::optional<std::pair<double, double>> spread;    ///< min, max
};
/// Parts of one name have one colour in all bars. Empty without bars.
std::string bar_chart(const std::string& title, const std::string& unit,
                      const std::vector<Bar>& bars);

struct Line {
  std::string label;
  std::vector<std::pair<double, double>> points;
};
/// What stands on the x axis: numbers, logarithmic or not, or names at 0, 1, 2, ….
struct XAxis {
  std::string title;
  bool logarithmic = false;
  std::vector<std::string> names;
};
/// `log_y`: for values over decades. Points that a logarithmic axis can't show are left out.
std::string line_chart(const std::string& title, const std::string& unit, const XAxis& x,
                       bool log_y, const std::vector<Line>& lines);

}  // namespace jvpn::perf
