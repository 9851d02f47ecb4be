// jvpn-perf report: perf/report/report.py, which writes the page.
#include "perf/harness/script.h"

namespace jvpn::perf {

Command add_report(CLI::App& app) {
  return add_script(app, "report",
                    "One HTML page with plots from results of the other commands (--json)",
                    "perf/report/report.py", nullptr);
}

}  // namespace jvpn::perf
