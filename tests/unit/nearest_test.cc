#include "common/nearest.h"

#include <gtest/gtest.h>

namespace jvpn {
namespace {

TEST(Nearest, IsTheWordThatWasProbablyMeant) {
  const std::vector<std::string> known{"show", "sync", "peer", "terminate", "laptop-of-bob"};
  struct Case {
    const char* word;
    const char* meant;
  };
  for (const Case& each :
       {Case{"shwo", "show"}, Case{"sho", "show"}, Case{"shw", "show"}, Case{"peers", "peer"},
        Case{"termiante", "terminate"}, Case{"term", "terminate"}, Case{"laptop", "laptop-of-bob"},
        Case{"laptp-of-bbo", "laptop-of-bob"}, Case{"te", ""}, Case{"wxyz", ""}, Case{"", ""}})
    EXPECT_EQ(nearest(each.word, known), each.meant) << each.word;
  EXPECT_EQ(nearest(std::string(64, 's'), known), "");
  EXPECT_EQ(did_you_mean("snyc", known), " (did you mean sync?)");
  EXPECT_EQ(did_you_mean("wxyz", known), "");
}

}  // namespace
}  // namespace jvpn
