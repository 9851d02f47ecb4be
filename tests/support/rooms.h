// Tests name what they test without saying which room of control/ or tools/client/ it is in.
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
namespace netlink {}
namespace client::tunnel {}
namespace client::underlays {}
namespace client::dataplane {}
namespace client::control {}

using namespace session;
using namespace protocol;
using namespace jump;
using namespace engine;
using namespace events;
using namespace admin;
using namespace publish;
using namespace neighbor;
using namespace gateway;
using namespace netlink;
using namespace client::tunnel;
using namespace client::underlays;
using namespace client::dataplane;
using namespace client::control;

}  // namespace jvpn
