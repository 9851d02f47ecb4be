// Tests name what they test without saying which room of control/ it is in.
#pragma once

namespace jvpn {

namespace session {}
namespace protocol {}
namespace jump {}
namespace engine {}
namespace events {}
namespace admin {}
namespace publish {}
namespace neighbor {}
namespace gateway {}
namespace client {}

using namespace session;
using namespace protocol;
using namespace jump;
using namespace engine;
using namespace events;
using namespace admin;
using namespace publish;
using namespace neighbor;
using namespace gateway;
using namespace client;

}  // namespace jvpn
