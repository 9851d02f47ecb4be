// A sink that sends events to a collector on the network, as syslog messages (RFC 5424) by UDP
// (RFC 5426) or TCP (RFC 6587, octet counting). Used by one thread, see event_sink.h.
#pragma once

#include <string>
#include <string_view>

#include "control/events/event_sink.h"
#include "control/events/syslog_message.h"

namespace jvpn::events {

/// Dials again and again. By TCP a message that the collector got in part it gets whole from the
/// next connection; what was on its way when one broke is lost without anybody's knowing, as is
/// what a network drops by UDP.
class CollectorSink : public EventSink {
 public:
  CollectorSink(const CollectorAddress& to, SyslogSender sender)
      : to_(to), sender_(std::move(sender)) {}
  ~CollectorSink() override { shut(); }
  CollectorSink(const CollectorSink&) = delete;
  CollectorSink& operator=(const CollectorSink&) = delete;

  Wrote write(std::string_view line) override;

 private:
  bool is_closed() const;
  Wrote dial();
  Wrote connected();
  void shut();

  const CollectorAddress to_;
  const SyslogSender sender_;
  int socket_ = -1;
  bool dialling_ = false;
};

}  // namespace jvpn::events
