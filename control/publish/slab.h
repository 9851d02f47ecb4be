// Memory for the records that workers read: objects of whole cache lines, carved from chunks of
// DPDK's heap that hold one size each, kept on free lists by that size. No object that fits into a
// page of 4 kB lies across two: whatever pages stand behind the heap, and behind those of a virtual
// machine, each object costs a packet one entry of the TLB. Released memory is wiped.
//
// Control thread only. Chunks return to the heap with the slab.
#pragma once

#include <cstddef>
#include <cstdint>
#include <new>
#include <type_traits>
#include <utility>
#include <vector>

#include "common/session_table.h"

namespace jvpn::publish {

class Slab {
 public:
  Slab() = default;
  ~Slab();
  Slab(const Slab&) = delete;
  Slab& operator=(const Slab&) = delete;

  /// Zeroed memory, aligned to a cache line; nullptr when DPDK's heap is short.
  void* allocate(size_t bytes);
  /// Wipes and takes back what allocate() gave for the same `bytes`.
  void release(void* memory, size_t bytes);

  /// `count` objects made in place; nullptr when the heap is short.
  template <typename T>
  T* make(size_t count = 1) {
    static_assert(std::is_trivially_destructible_v<T> && alignof(T) <= kCacheLine);
    void* memory = allocate(sizeof(T) * count);
    if (memory == nullptr) return nullptr;
    T* objects = static_cast<T*>(memory);
    for (size_t i = 0; i < count; ++i) new (objects + i) T();
    return objects;
  }
  template <typename T>
  void destroy(const T* objects, size_t count = 1) {
    release(const_cast<T*>(objects), sizeof(T) * count);
  }

  /// Bytes handed out and not yet released.
  size_t in_use() const { return in_use_; }

 private:
  static constexpr size_t kFirstChunk = size_t{16} << 10;
  static constexpr size_t kLargestChunk = size_t{256} << 10;
  struct Free {
    Free* next;
  };
  /// Of the objects of one size.
  struct Shelf {
    Free* free = nullptr;
    uint8_t* next = nullptr;  ///< unused rest of the newest chunk
    size_t left = 0;          ///< its cache lines
    size_t pages = 0;         ///< begun; they begin at differing lines, for the cache's sets
    size_t chunk_bytes = kFirstChunk;  ///< of the next one: twice the last, up to kLargestChunk

    void skip(size_t lines);
  };
  static size_t lines_of(size_t bytes) { return (bytes + kCacheLine - 1) / kCacheLine; }
  void* carve(Shelf& shelf, size_t lines);
  bool grow(Shelf& shelf, size_t lines);

  std::vector<Shelf> shelves_;  ///< by number of cache lines
  std::vector<void*> chunks_;
  size_t in_use_ = 0;
};

}  // namespace jvpn::publish
