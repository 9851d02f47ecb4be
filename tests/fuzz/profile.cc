// A profile's text, as either role: parsed into what is sound, or refused by findings with places.
#include "tests/fuzz/fuzz.h"
#include "tests/unit/profile_checks.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace jvpn;
  const std::string_view text = fuzz::text_of(data, size);
  if (const auto role = profile_role(text, "p"); !role) test::expect_findings(role.error().message);
  test::expect_parsed_or_refused(parse_gateway_profile, text);
  test::expect_parsed_or_refused(parse_client_profile, text);
  return 0;
}
