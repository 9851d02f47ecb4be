// Which prefixes are in use, by whom, and what of a pool is free. Single-threaded.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "common/ip.h"

namespace jvpn {

/// The last address of a network.
IpAddress last_address(const Prefix& network);
/// The address behind it; nullopt: there is none.
std::optional<IpAddress> next_address(IpAddress address);

/// Networks, each with a number of whoever has it.
class AddressUse {
 public:
  struct Sizes {
    uint32_t hosts_v4 = 0;
    uint32_t hosts_v6 = 0;
    uint32_t prefixes_v4 = 0;
    uint32_t prefixes_v6 = 0;
    /// One more, or `of` more.
    void count(const Prefix& network, uint32_t of = 1);
  };
  /// How many networks there are of each size.
  Sizes sizes() const;
  /// Replaces whoever had it.
  void add(const Prefix& network, uint32_t owner);
  /// No effect when it is another's.
  void remove(const Prefix& network, uint32_t owner);
  /// Of exactly this network.
  std::optional<uint32_t> owner(const Prefix& network) const;
  /// The widest network that the address is in.
  std::optional<Prefix> covering(const IpAddress& address) const;
  /// The last network that begins within the pool.
  std::optional<Prefix> last_within(const Prefix& pool) const;

 private:
  uint32_t& count(const Prefix& network) {
    return lengths_[network.address.is_v4() ? 0 : 1][network.length];
  }

  std::map<Prefix, uint32_t> owners_;
  std::array<std::array<uint32_t, 129>, 2> lengths_{};  ///< networks of each, by family
};

/// Looks for an address that nobody has: first behind the last one in use, so that the search is
/// short, then from the pool's beginning on. IPv4's network and broadcast address and IPv6's
/// anycast address of the pool are nobody's.
class AddressSearch {
 public:
  /// `kept` are not given either.
  AddressSearch(const Prefix& pool, std::vector<IpAddress> kept)
      : pool_(pool), kept_(std::move(kept)) {}
  /// Looks at `most` places. nullopt: none is free among them; ended() says whether that was all.
  std::optional<Prefix> go_on(const AddressUse& use, size_t most);
  bool ended() const { return ended_; }

 private:
  IpAddress first() const;
  bool may_be_given(const IpAddress& address) const;

  Prefix pool_;
  std::vector<IpAddress> kept_;
  std::optional<IpAddress> at_;
  bool begun_ = false;
  bool again_ = false;  ///< from the beginning
  bool ended_ = false;
};

}  // namespace jvpn
