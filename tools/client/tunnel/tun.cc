#include "tools/client/tunnel/tun.h"

#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <unistd.h>

namespace jvpn::client::tunnel {
namespace {

constexpr unsigned kTunUso4 = 0x20;  // TUN_F_USO4, TUN_F_USO6: newer than Debian 12's headers
constexpr unsigned kTunUso6 = 0x40;

Error failure(const std::string& name, const char* what) {
  return errno_error("TUN " + name + ": " + what);
}

}  // namespace

Result<std::unique_ptr<Tun>> Tun::create(const std::string& name) {
  if (name.empty() || name.size() >= IFNAMSIZ)
    return Error{"TUN " + name + ": a name of 1 to 15 characters expected"};
  std::unique_ptr<Tun> tun(new Tun);
  tun->fd_ = FileDescriptor(::open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC));
  if (!tun->fd_) return failure(name, "cannot open /dev/net/tun (is the tun module loaded?)");

  ifreq request{};
  std::memcpy(request.ifr_name, name.c_str(), name.size() + 1);
  const int flags = IFF_TUN | IFF_NO_PI | IFF_VNET_HDR | IFF_TUN_EXCL;
  request.ifr_flags = static_cast<short>(flags);
  if (::ioctl(tun->fd(), TUNSETIFF, &request) != 0)
    return failure(name, "cannot create it (another device of that name, or no CAP_NET_ADMIN)");
  tun->name_ = request.ifr_name;
  tun->index_ = static_cast<int>(::if_nametoindex(request.ifr_name));

  const unsigned tcp = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6;
  const unsigned udp = kTunUso4 | kTunUso6;  // Linux 6.2 and later hands over its super-packets too
  if (::ioctl(tun->fd(), TUNSETOFFLOAD, tcp | udp) != 0 &&
      ::ioctl(tun->fd(), TUNSETOFFLOAD, tcp) != 0)
    return failure(name, "cannot switch its offloads on");
  tun->buffer_.resize(sizeof(VnetHeader) + kMaxSuperPacket);
  return tun;
}

Tun::Read Tun::read() {
  ssize_t bytes;
  do {
    bytes = ::read(fd(), buffer_.data(), buffer_.size());
  } while (bytes < 0 && errno == EINTR);
  Read read;
  if (bytes <= static_cast<ssize_t>(sizeof(VnetHeader))) return read;
  std::memcpy(&read.header, buffer_.data(), sizeof read.header);
  read.packet = std::span<const uint8_t>(buffer_.data(), static_cast<size_t>(bytes))
                    .subspan(sizeof(VnetHeader));
  return read;
}

void Tun::write(std::span<const iovec> pieces) {
  ssize_t bytes;
  do {
    bytes = ::writev(fd(), pieces.data(), static_cast<int>(pieces.size()));
  } while (bytes < 0 && errno == EINTR);
  if (bytes < 0) ++refused_;
}

}  // namespace jvpn::client::tunnel
