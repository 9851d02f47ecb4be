// The parts of an engine and how they are joined: each is given what it depends on, and nothing
// else. Control thread only.
#pragma once

#include <array>
#include <span>

#include "control/jump/failback.h"
#include "control/jump/jumper.h"
#include "control/jump/path_mtu.h"
#include "control/jump/path_validator.h"
#include "control/jump/path_watch.h"
#include "control/jump/prober.h"
#include "control/jump/quality_monitor.h"
#include "control/jump/reattach_responder.h"
#include "control/jump/spare_keeper.h"
#include "control/protocol/acceptor.h"
#include "control/protocol/cookies.h"
#include "control/protocol/dialer.h"
#include "control/protocol/drainer.h"
#include "control/protocol/idleness.h"
#include "control/protocol/inquirer.h"
#include "control/protocol/inquiry_responder.h"
#include "control/protocol/liveness.h"
#include "control/protocol/rekeyer.h"
#include "control/protocol/resets.h"
#include "control/session/lifecycle.h"

namespace jvpn::engine {

struct Parts {
  Parts(Context& shared, const protocol::Identity& self, const MacKey& token_secret, Millis now)
      : context(shared),
        reporter(context),
        bindings(context),
        channel(context),
        lifecycle(context, reporter, bindings, channel),
        cookies(context, self.public_key, now),
        old_keys(bindings),
        liveness(context, lifecycle, bindings, channel),
        idleness(context, lifecycle, channel),
        dialer(context, self, cookies, reporter, bindings, lifecycle, liveness),
        inquirer(context, self, reporter, bindings),
        resumer(context, reporter, lifecycle, bindings, dialer),
        acceptor(context, self, cookies, reporter, bindings, lifecycle, dialer, resumer, now),
        inquiries(context, self, cookies, reporter, acceptor, now),
        rekeyer(context, self, lifecycle, reporter, bindings, channel, liveness, dialer),
        resets(context, reporter, bindings, dialer, now),
        drainer(context, reporter, channel),
        candidates(context),
        quality(context, lifecycle, channel, candidates),
        prober(context, lifecycle, bindings, channel, candidates),
        path_mtu(context, lifecycle, bindings, channel, candidates),
        spares(context, bindings, channel, candidates),
        jumper(context, lifecycle, reporter, bindings, channel, candidates, quality, prober,
               liveness),
        failback(context, candidates, jumper),
        validator(context, lifecycle, reporter, channel, token_secret),
        responder(context, lifecycle, reporter, bindings, channel, liveness, token_secret),
        watch(context, liveness, candidates, prober, jumper, responder) {
    lifecycle.set_parts(served);
  }
  Parts(const Parts&) = delete;
  Parts& operator=(const Parts&) = delete;

  Context& context;
  Reporter reporter;
  Bindings bindings;
  ControlChannel channel;
  Lifecycle lifecycle;

  protocol::Cookies cookies;
  protocol::OldKeys old_keys;
  protocol::Liveness liveness;
  protocol::Idleness idleness;
  protocol::Dialer dialer;
  protocol::Inquirer inquirer;
  protocol::Resumer resumer;
  protocol::Acceptor acceptor;
  protocol::InquiryResponder inquiries;
  protocol::Rekeyer rekeyer;
  protocol::Resets resets;
  protocol::Drainer drainer;

  jump::Candidates candidates;
  jump::QualityMonitor quality;
  jump::Prober prober;
  jump::PathMtu path_mtu;
  jump::SpareKeeper spares;
  jump::Jumper jumper;
  jump::Failback failback;
  jump::PathValidator validator;
  jump::ReattachResponder responder;
  jump::PathWatch watch;

  /// In the order in which a session is served and parts hear of what happened to it: signs of life
  /// before quality, quality before a jump that it may cause, a jump before new keys.
  std::array<Part*, 17> served{&old_keys,      &liveness, &watch,  &quality,  &idleness,
                               &jumper,        &failback, &prober, &path_mtu, &spares,
                               &responder,     &rekeyer,  &dialer, &inquirer, &candidates,
                               &context.store, &drainer};
  /// Of them, in the same order, those that have a time at a session that the peer dialled.
  std::array<Part*, 7> served_at_responder{&old_keys,  &liveness,      &watch,  &quality,
                                           &responder, &context.store, &drainer};

  std::span<Part* const> served_of(const Session& session) const {
    if (session.initiates()) return served;
    return served_at_responder;
  }
};

}  // namespace jvpn::engine
