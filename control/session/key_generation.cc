#include "control/session/key_generation.h"

namespace jvpn::session {
namespace {

constexpr size_t kMostSpares = 2 * wire::kSpareIndices;  // those given back among them

}  // namespace

wire::SpareIndices SpareSet::offered() const {
  wire::SpareIndices list{};
  size_t count = 0;
  for (const SpareBinding& spare : list_) {
    if (spare.status != SpareStatus::kOffered || count == wire::kSpareIndices) continue;
    list.index[count] = spare.local.value;
    list.token[count] = spare.reset_token.bytes();
    list.number[count++] = spare.number;
  }
  return list;
}

void KeyGeneration::learn_spares(const wire::SpareIndices& told) {
  for (size_t i = 0; i < wire::kSpareIndices; ++i) {
    if (told.index[i] == 0 || told.number[i] <= last_number) continue;
    if (spares.size() >= kMostSpares) return;
    last_number = told.number[i];
    spares.add({.number = told.number[i],
                .status = SpareStatus::kUnused,
                .local = ReceiverIndex{},
                .remote = ReceiverIndex{told.index[i]},
                .reset_token = Secret<16>(told.token[i])});
  }
}

std::unique_ptr<KeyGeneration> make_generation(Millis now, const NoiseKeys& keys, bool initiator,
                                               ReceiverIndex local, ReceiverIndex remote,
                                               uint16_t peer_lanes) {
  auto generation = std::make_unique<KeyGeneration>();
  generation->keys = derive_session_keys(keys, initiator);
  generation->chain = keys.chain;
  generation->local = local;
  generation->remote = remote;
  generation->peer_lanes = peer_lanes;
  generation->created = now;
  return generation;
}

}  // namespace jvpn::session
