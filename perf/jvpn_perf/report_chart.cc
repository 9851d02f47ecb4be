#include "perf/jvpn_perf/report_chart.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

namespace jvpn::perf {
namespace {

constexpr double kChartWidth = 760;
constexpr double kLabels = 230;  // left of the bars
constexpr double kValues = 80;   // right of them
constexpr double kBarHeight = 18;
constexpr double kBarStep = 26;
constexpr double kTop = 34;
constexpr double kPlotLeft = 64;
constexpr double kPlotHeight = 240;
constexpr size_t kColours = 8;

std::string colour(size_t number) {
  return fmt::format("var(--c{})", number % kColours);
}

std::string open_svg(const std::string& title, double height) {
  return fmt::format(
      "<figure><figcaption>{0}</figcaption><svg viewBox=\"0 0 {1} {2:.0f}\" role=\"img\" "
      "aria-label=\"{0}\">\n",
      escape_html(title), kChartWidth, height);
}
constexpr const char* kCloseSvg = "</svg></figure>\n";

std::string text_at(double x, double y, const char* anchor, const std::string& text) {
  return fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"{}\">{}</text>\n", x, y, anchor,
                     escape_html(text));
}

/// 1, 2 or 5 times a power of ten, at least `value`.
double round_up(double value) {
  if (!(value > 0) || !std::isfinite(value)) return 1;
  const double decade = std::pow(10, std::floor(std::log10(value)));
  for (const double digit : {1.0, 2.0, 5.0})
    if (value <= digit * decade * (1 + 1e-9)) return digit * decade;
  return 10 * decade;
}

struct Legend {
  std::vector<std::string> names;

  size_t colour_of(const std::string& name) {
    const auto found = std::ranges::find(names, name);
    if (found != names.end()) return static_cast<size_t>(found - names.begin());
    names.push_back(name);
    return names.size() - 1;
  }
  std::string html() const {
    if (names.size() < 2) return "";
    std::string text = "<p class=\"legend\">";
    for (size_t i = 0; i < names.size(); ++i)
      text += fmt::format("<span><i style=\"background:{}\"></i>{}</span> ", colour(i),
                          escape_html(names[i]));
    return text + "</p>\n";
  }
};

double length_of(const Bar& bar) {
  double sum = 0;
  for (const auto& [name, length] : bar.parts) sum += std::max(length, 0.0);
  return sum;
}

std::string whisker(double from, double to, double y) {
  return fmt::format(
      "<path class=\"whisker\" d=\"M{0:.1f} {2:.1f}H{1:.1f}M{0:.1f} {3:.1f}v8M{1:.1f} "
      "{3:.1f}v8\"/>\n",
      from, to, y + kBarHeight / 2, y + kBarHeight / 2 - 4);
}

std::string one_bar(const Bar& bar, const std::string& unit, double y, double scale,
                    Legend& legend) {
  std::string svg = text_at(kLabels - 8, y + 13, "end", bar.label);
  double x = kLabels;
  for (const auto& [name, length] : bar.parts) {
    if (!(length > 0)) continue;
    svg += fmt::format(
        "<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{}\" fill=\"{}\"><title>{}: {} "
        "{}</title></rect>\n",
        x, y, length * scale, kBarHeight, colour(legend.colour_of(name)), escape_html(name),
        number_text(length), escape_html(unit));
    x += length * scale;
  }
  if (bar.spread) {
    const double end = kLabels + bar.spread->second * scale;
    svg += whisker(kLabels + bar.spread->first * scale, end, y);
    x = std::max(x, end);
  }
  return svg + text_at(x + 6, y + 13, "start", number_text(length_of(bar)));
}

/// One axis: where a value stands, and which values are marked.
class Scale {
 public:
  Scale(bool logarithmic, double low, double high, double from, double to)
      : logarithmic_(logarithmic), low_(of(low)), high_(of(high)), from_(from), to_(to) {
    if (!(high_ > low_)) high_ = low_ + 1;
  }
  bool shows(double value) const { return std::isfinite(value) && (!logarithmic_ || value > 0); }
  double at(double value) const {
    return from_ + (of(value) - low_) / (high_ - low_) * (to_ - from_);
  }
  std::vector<double> marks() const {
    std::vector<double> marks;
    if (logarithmic_) {
      for (double e = std::ceil(low_ - 1e-9); e <= high_ + 1e-9; ++e)
        marks.push_back(std::pow(10, e));
      return marks;
    }
    const double step = round_up((high_ - low_) / 5);
    for (double v = std::ceil(low_ / step) * step; v <= high_ + step / 1e6; v += step)
      marks.push_back(v);
    return marks;
  }

 private:
  double of(double value) const { return logarithmic_ ? std::log10(value) : value; }

  bool logarithmic_;
  double low_;
  double high_;
  double from_;
  double to_;
};

template <typename Member>
std::pair<double, double> range_of(const std::vector<Line>& lines, Member&& member, bool positive) {
  double low = INFINITY;
  double high = -INFINITY;
  for (const Line& line : lines) {
    for (const auto& point : line.points) {
      const double value = member(point);
      if (!std::isfinite(value) || (positive && !(value > 0))) continue;
      low = std::min(low, value);
      high = std::max(high, value);
    }
  }
  return low <= high ? std::pair{low, high} : std::pair{1.0, 10.0};
}

Scale x_scale(const XAxis& x, const std::vector<Line>& lines) {
  const auto [low, high] = range_of(
      lines, [](const auto& point) { return point.first; }, x.logarithmic);
  return {x.logarithmic, low, high, kPlotLeft, kChartWidth - 24};
}

Scale y_scale(bool logarithmic, const std::vector<Line>& lines) {
  const auto [low, high] = range_of(
      lines, [](const auto& point) { return point.second; }, logarithmic);
  const double bottom =
      logarithmic ? std::pow(10, std::floor(std::log10(low))) : std::min(low, 0.0);
  const double top = logarithmic ? std::pow(10, std::ceil(std::log10(high))) : high * 1.05;
  return {logarithmic, bottom, top, kTop + kPlotHeight, kTop};
}

std::string axes(const Scale& x_at, const Scale& y_at, const XAxis& x, const std::string& unit) {
  const double bottom = kTop + kPlotHeight;
  std::string svg = text_at(8, 18, "start", unit);
  for (const double value : y_at.marks()) {
    svg += fmt::format("<path class=\"grid\" d=\"M{} {:.1f}H{}\"/>\n", kPlotLeft, y_at.at(value),
                       kChartWidth - 24);
    svg += text_at(kPlotLeft - 6, y_at.at(value) + 4, "end", number_text(value));
  }
  if (x.names.empty())
    for (const double value : x_at.marks())
      svg += text_at(x_at.at(value), bottom + 18, "middle", number_text(value));
  for (size_t i = 0; i < x.names.size(); ++i)
    svg += text_at(x_at.at(static_cast<double>(i)), bottom + 18, "middle", x.names[i]);
  return svg + text_at(kChartWidth / 2, bottom + 38, "middle", x.title);
}

std::string one_line(const Line& line, const Scale& x_at, const Scale& y_at,
                     const std::string& stroke) {
  std::string path;
  std::string dots;
  for (const auto& [x, y] : line.points) {
    if (!x_at.shows(x) || !y_at.shows(y)) continue;
    path += fmt::format("{}{:.1f} {:.1f}", path.empty() ? "M" : "L", x_at.at(x), y_at.at(y));
    dots += fmt::format(
        "<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"3.5\" fill=\"{}\"><title>{}: "
        "{}</title></circle>\n",
        x_at.at(x), y_at.at(y), stroke, escape_html(line.label), number_text(y));
  }
  return fmt::format("<path class=\"line\" stroke=\"{}\" d=\"{}\"/>\n", stroke, path) + dots;
}

}  // namespace

std::string escape_html(const std::string& text) {
  std::string safe;
  for (const char c : text) {
    switch (c) {
      case '&':
        safe += "&amp;";
        break;
      case '<':
        safe += "&lt;";
        break;
      case '>':
        safe += "&gt;";
        break;
      case '"':
        safe += "&quot;";
        break;
      case '\'':
        safe += "&#39;";
        break;
      default:
        safe += c;
    }
  }
  return safe;
}

std::string number_text(double value) {
  if (!std::isfinite(value)) return "-";
  if (std::abs(value) < 1'000) return fmt::format("{:.4g}", value);
  std::string digits = fmt::format("{:.0f}", std::abs(value));
  for (size_t at = digits.size(); at > 3; at -= 3) digits.insert(at - 3, " ");
  return (value < 0 ? "-" : "") + digits;
}

std::string bar_chart(const std::string& title, const std::string& unit,
                      const std::vector<Bar>& bars) {
  if (bars.empty()) return "";
  double longest = 0;
  for (const Bar& bar : bars)
    longest = std::max({longest, length_of(bar), bar.spread ? bar.spread->second : 0});
  const double scale = (kChartWidth - kLabels - kValues) / (longest > 0 ? longest : 1);
  std::string svg = open_svg(title + ", " + unit, 8 + kBarStep * static_cast<double>(bars.size()));
  Legend legend;
  double y = 4;
  for (const Bar& bar : bars) {
    svg += one_bar(bar, unit, y, scale, legend);
    y += kBarStep;
  }
  return svg + kCloseSvg + legend.html();
}

std::string line_chart(const std::string& title, const std::string& unit, const XAxis& x,
                       bool log_y, const std::vector<Line>& lines) {
  if (lines.empty()) return "";
  const Scale x_at = x_scale(x, lines);
  const Scale y_at = y_scale(log_y, lines);
  std::string svg = open_svg(title, kTop + kPlotHeight + 48) + axes(x_at, y_at, x, unit);
  Legend legend;
  for (const Line& line : lines)
    svg += one_line(line, x_at, y_at, colour(legend.colour_of(line.label)));
  return svg + kCloseSvg + legend.html();
}

}  // namespace jvpn::perf
