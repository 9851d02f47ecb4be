#include "control/publish/slab.h"

#include <algorithm>

#include <rte_malloc.h>

#include "common/assert.h"
#include "common/secret.h"

namespace jvpn::publish {
namespace {

constexpr size_t kPageBytes = 4'096;
constexpr size_t kPageLines = kPageBytes / kCacheLine;

}  // namespace

Slab::~Slab() {
  for (void* chunk : chunks_) rte_free(chunk);
}

void* Slab::allocate(size_t bytes) {
  const size_t lines = lines_of(bytes);
  if (lines == 0) return nullptr;
  if (lines >= shelves_.size()) shelves_.resize(lines + 1);
  Shelf& shelf = shelves_[lines];
  void* memory = shelf.free;
  if (memory != nullptr) {
    shelf.free = shelf.free->next;
    wipe(memory, sizeof(Free));
  } else {
    memory = carve(shelf, lines);
  }
  if (memory != nullptr) in_use_ += lines * kCacheLine;
  return memory;
}

void Slab::release(void* memory, size_t bytes) {
  if (memory == nullptr) return;
  JVPN_ASSERT(reinterpret_cast<uintptr_t>(memory) % kCacheLine == 0, "objects begin at lines");
  const size_t lines = lines_of(bytes);
  wipe(memory, lines * kCacheLine);
  JVPN_ASSERT(lines != 0 && lines < shelves_.size(), "allocate() gave an object of that size");
  JVPN_ASSERT(in_use_ >= lines * kCacheLine, "no more comes back than was given");
  Shelf& shelf = shelves_[lines];
  shelf.free = new (memory) Free{shelf.free};
  in_use_ -= lines * kCacheLine;
}

void* Slab::carve(Shelf& shelf, size_t lines) {
  const size_t in_page = shelf.left % kPageLines;  // chunks end where a page does
  const bool small = lines <= kPageLines;
  if (small && in_page < lines) shelf.skip(in_page);
  if (shelf.left < lines && !grow(shelf, lines)) return nullptr;
  if (small && in_page < lines) shelf.skip(shelf.pages++ % (kPageLines % lines + 1));
  uint8_t* memory = shelf.next;
  shelf.skip(lines);
  return memory;
}

void Slab::Shelf::skip(size_t lines) {
  JVPN_ASSERT(lines <= left, "a chunk has no more lines");
  next += lines * kCacheLine;
  left -= lines;
}

bool Slab::grow(Shelf& shelf, size_t lines) {
  const size_t pages = (lines + kPageLines - 1) / kPageLines;
  const size_t bytes = std::max(shelf.chunk_bytes, pages * kPageBytes);
  void* chunk = rte_zmalloc("jvpn_slab", bytes, kPageBytes);
  if (chunk == nullptr) return false;
  chunks_.push_back(chunk);
  shelf.chunk_bytes = std::min(2 * shelf.chunk_bytes, kLargestChunk);
  shelf.next = static_cast<uint8_t*>(chunk);
  shelf.left = bytes / kCacheLine;
  return true;
}

}  // namespace jvpn::publish
