// The floor under every packet: nothing but IPsec-MB's best call for the suite, key schedule and
// payload prefetched a few packets ahead. No ring, no header, no lookup, no tag compared. One
// thread.
#pragma once

#include <span>
#include <utility>
#include <vector>

#include "common/aead.h"
#include "common/ipsec_mb.h"
#include "common/result.h"

namespace jvpn::perf {

class RawAead {
 public:
  static Result<RawAead> create();

  /// All of one suite; the tag goes behind the ciphertext.
  void seal(std::span<const AeadOp> ops);
  /// The computed tags are thrown away.
  void open(std::span<const AeadOp> ops);

 private:
  explicit RawAead(IpsecMbManager manager) : manager_(std::move(manager)) {}
  void run_chacha(std::span<const AeadOp> ops, IMB_CIPHER_DIRECTION direction);

  IpsecMbManager manager_;
  std::vector<uint8_t> tags_;
};

}  // namespace jvpn::perf
