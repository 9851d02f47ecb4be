// The console's page, which tools/jvpn/console/embed.py makes of page.html, page.css and the
// scripts: one document, and the policy that lets a browser run nothing but what stands in it.
#pragma once

#include <string_view>

namespace jvpn::console {

extern const std::string_view kPage;
extern const char* const kContentSecurityPolicy;

}  // namespace jvpn::console
