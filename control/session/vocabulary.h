// Lets protocol/, jump/ and engine/ use the names of session/ without a prefix.
#pragma once

namespace jvpn {

namespace session {}
namespace protocol {
using namespace session;
}
namespace jump {
using namespace session;
}
namespace engine {
using namespace session;
}

}  // namespace jvpn
