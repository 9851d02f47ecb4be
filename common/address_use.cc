#include "common/address_use.h"

#include <algorithm>

namespace jvpn {

IpAddress last_address(const Prefix& network) {
  IpAddress last = network.address;
  for (size_t bit = network.length; bit < last.bits(); ++bit)
    last.bytes[bit / 8] = static_cast<uint8_t>(last.bytes[bit / 8] | (0x80U >> (bit % 8)));
  return last;
}

std::optional<IpAddress> next_address(IpAddress address) {
  for (size_t i = address.size(); i-- > 0;)
    if (++address.bytes[i] != 0) return address;
  return std::nullopt;
}

void AddressUse::Sizes::count(const Prefix& network, uint32_t of) {
  const bool v4 = network.address.is_v4();
  uint32_t& hosts = v4 ? hosts_v4 : hosts_v6;
  uint32_t& prefixes = v4 ? prefixes_v4 : prefixes_v6;
  (network.is_host() ? hosts : prefixes) += of;
}

AddressUse::Sizes AddressUse::sizes() const {
  Sizes sizes;
  for (const auto family : {Family::kIpv4, Family::kIpv6}) {
    Prefix network{{family, {}}, 0};
    for (; network.length <= network.address.bits(); ++network.length)
      sizes.count(network, lengths_[network.address.is_v4() ? 0 : 1][network.length]);
  }
  return sizes;
}

void AddressUse::add(const Prefix& network, uint32_t owner) {
  const auto [at, fresh] = owners_.insert_or_assign(network, owner);
  if (fresh) ++count(network);
}

void AddressUse::remove(const Prefix& network, uint32_t owner) {
  const auto at = owners_.find(network);
  if (at == owners_.end() || at->second != owner) return;
  owners_.erase(at);
  --count(network);
}

std::optional<uint32_t> AddressUse::owner(const Prefix& network) const {
  const auto at = owners_.find(network);
  return at == owners_.end() ? std::nullopt : std::optional(at->second);
}

std::optional<Prefix> AddressUse::covering(const IpAddress& address) const {
  const auto& lengths = lengths_[address.is_v4() ? 0 : 1];
  for (uint8_t length = 0; length <= address.bits(); ++length) {
    if (lengths[length] == 0) continue;
    const Prefix network = Prefix{address, length}.network();
    if (owners_.contains(network)) return network;
  }
  return std::nullopt;
}

std::optional<Prefix> AddressUse::last_within(const Prefix& pool) const {
  const IpAddress last = last_address(pool);
  const auto behind = owners_.upper_bound(Prefix{last, last.bits()});
  if (behind == owners_.begin()) return std::nullopt;
  const Prefix& found = std::prev(behind)->first;
  return pool.contains(found.address) ? std::optional(found) : std::nullopt;
}

/// A pool of one or two addresses has them for hosts.
IpAddress AddressSearch::first() const {
  const bool small = pool_.length + 1 >= pool_.address.bits();
  return small ? pool_.address : *next_address(pool_.address);
}

bool AddressSearch::may_be_given(const IpAddress& address) const {
  const bool broadcast =
      pool_.address.is_v4() && pool_.length < 31 && address == last_address(pool_);
  return !broadcast && std::ranges::find(kept_, address) == kept_.end();
}

std::optional<Prefix> AddressSearch::go_on(const AddressUse& use, size_t most) {
  if (!begun_) {
    const auto last = use.last_within(pool_);
    at_ = last ? next_address(last_address(*last)) : first();
    begun_ = true;
  }
  for (; most > 0 && !ended_; --most) {
    if (!at_ || !pool_.contains(*at_)) {
      ended_ = again_;
      again_ = true;
      at_ = first();
    } else if (const auto covering = use.covering(*at_)) {
      at_ = next_address(last_address(*covering));
    } else if (!may_be_given(*at_)) {
      at_ = next_address(*at_);
    } else {
      return Prefix{*at_, at_->bits()};
    }
  }
  return std::nullopt;
}

}  // namespace jvpn
