// The rooms of the engine speak of sessions, bindings and effects without qualification.
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
