// The TUN device: inner packets as the kernel's stack sends and takes them, super-packets included.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <sys/uio.h>

#include "common/file_descriptor.h"
#include "common/result.h"
#include "tools/client/tunnel/coalescer.h"
#include "tools/client/tunnel/tun_offload.h"

namespace jvpn::client::tunnel {

/// One TUN device that lives as long as this object. One thread.
class Tun : public SuperPacketSink {
 public:
  /// Creates the device; it must not exist. Fails without CAP_NET_ADMIN or /dev/net/tun.
  static Result<std::unique_ptr<Tun>> create(const std::string& name);

  int fd() const { return fd_.get(); }
  int index() const { return index_; }
  const std::string& name() const { return name_; }

  /// What one read brought; the packet's memory stays until the next read.
  struct Read {
    VnetHeader header;
    std::span<const uint8_t> packet;
  };
  /// Never blocks. `packet` is empty when there is nothing to read.
  Read read();

  /// Hands a packet to the kernel's stack. Never blocks; what the kernel refuses is counted.
  void write(std::span<const iovec> pieces) override;

  uint64_t refused() const { return refused_; }

 private:
  Tun() = default;
  FileDescriptor fd_;
  std::string name_;
  int index_ = 0;
  uint64_t refused_ = 0;
  std::vector<uint8_t> buffer_;
};

}  // namespace jvpn::client::tunnel
