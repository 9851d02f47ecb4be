#include "control/slab.h"

#include <algorithm>

#include <rte_malloc.h>

#include "common/secret.h"

namespace jvpn {

Slab::~Slab() {
  for (void* chunk : chunks_) rte_free(chunk);
}

void* Slab::allocate(size_t bytes) {
  const size_t lines = lines_of(bytes);
  if (lines == 0) return nullptr;
  void* memory = nullptr;
  if (lines < free_.size() && free_[lines] != nullptr) {
    memory = free_[lines];
    free_[lines] = free_[lines]->next;
    wipe(memory, sizeof(Free));
  } else {
    memory = carve(lines);
  }
  if (memory != nullptr) in_use_ += lines * kCacheLine;
  return memory;
}

void Slab::release(void* memory, size_t bytes) {
  if (memory == nullptr) return;
  const size_t lines = lines_of(bytes);
  wipe(memory, lines * kCacheLine);
  push(memory, lines);
  in_use_ -= lines * kCacheLine;
}

void* Slab::carve(size_t lines) {
  if (left_ < lines && !grow(lines)) return nullptr;
  uint8_t* memory = next_;
  next_ += lines * kCacheLine;
  left_ -= lines;
  return memory;
}

bool Slab::grow(size_t lines) {
  const size_t bytes = std::max(kChunkBytes, lines * kCacheLine);
  void* chunk = rte_zmalloc("jvpn_slab", bytes, kCacheLine);
  if (chunk == nullptr) return false;
  if (left_ > 0) push(next_, left_);
  chunks_.push_back(chunk);
  next_ = static_cast<uint8_t*>(chunk);
  left_ = bytes / kCacheLine;
  return true;
}

void Slab::push(void* memory, size_t lines) {
  if (lines >= free_.size()) free_.resize(lines + 1, nullptr);
  Free* entry = static_cast<Free*>(memory);
  entry->next = free_[lines];
  free_[lines] = entry;
}

}  // namespace jvpn
