#include "dataplane/route_cache.h"

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <new>

#include <sys/mman.h>

namespace jvpn {
namespace {

/// Memory that the kernel backs by large pages where it can.
template <typename Entry>
Entry* make_entries(size_t count) {
  constexpr size_t kPage = size_t{2} << 20;
  const size_t bytes = (count * sizeof(Entry) + kPage - 1) / kPage * kPage;
  void* memory = std::aligned_alloc(kPage, bytes);
  if (memory == nullptr) throw std::bad_alloc();
  madvise(memory, bytes, MADV_HUGEPAGE);  // a wish
  auto* entries = static_cast<Entry*>(memory);
  std::uninitialized_value_construct_n(entries, count);
  return entries;
}

}  // namespace

RouteCache::RouteCache(uint32_t peers)
    : mask_(std::clamp(std::bit_ceil(2 * size_t{peers}), kLeast, kMost) - 1),
      shift_(32 - static_cast<unsigned>(std::bit_width(mask_))),
      v4_(make_entries<EntryV4>(mask_ + 1)),
      v6_(make_entries<EntryV6>(mask_ + 1)) {}

void RouteCache::Free::operator()(void* memory) const {
  std::free(memory);
}

}  // namespace jvpn
