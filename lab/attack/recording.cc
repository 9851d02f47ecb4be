#include "lab/attack/recording.h"

#include <array>
#include <memory>
#include <span>

#include <pcap/pcap.h>

namespace jvpn::lab {

Result<Messages> read_recording(const std::string& path, uint16_t port, MessageKind kind) {
  std::array<char, PCAP_ERRBUF_SIZE> why{};
  const std::unique_ptr<pcap_t, decltype(&pcap_close)> file(
      pcap_open_offline(path.c_str(), why.data()), &pcap_close);
  if (!file) return Error{why.data()};
  if (pcap_datalink(file.get()) != DLT_EN10MB) return Error{path + ": not of an Ethernet link"};
  Messages messages;
  pcap_pkthdr* header = nullptr;
  const uint8_t* bytes = nullptr;
  while (pcap_next_ex(file.get(), &header, &bytes) == 1) {
    const std::span frame(bytes, header->caplen);
    const auto at = parse_jvp(frame, port);
    const bool towards = at && (frame[at->udp + 2] << 8 | frame[at->udp + 3]) == port;
    if (!towards || !is(kind, *at)) continue;
    const auto message = frame.subspan(at->payload, at->payload_bytes);
    messages.emplace_back(message.begin(), message.end());
  }
  return messages;
}

}  // namespace jvpn::lab
