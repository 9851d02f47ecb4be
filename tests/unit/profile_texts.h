// Profiles that every profile test starts from. Their line numbers are part of the tests.
#pragma once

#include <string>
#include <string_view>

namespace jvpn::test {

inline constexpr std::string_view kGoodGateway = R"(role: gateway
node: gw1
cores: {control: 0, workers: [0, 1], idle: adaptive}
memory: {hugepages: true, megabytes: 384}
eal_args: ["--iova-mode=va"]
listen_port: 51900
ports:
  - name: wan0
    vdev: "net_af_xdp0,iface=wan0"
    role: outside
    addresses: [192.0.2.1/24, "2001:db8::1/64"]
    gateways: [192.0.2.254]
    mtu: 1400
    queues: 2
    rx_descriptors: 512
  - name: lan
    pci: 0000:3B:00.1
    role: inside
    addresses: [10.99.0.1/24]
    routes: [{to: 10.50.0.0/16, via: 10.99.0.7}]
crypto:
  private_key_file: gw.key
  suites: [aes-128-gcm, chacha20-poly1305]
  rekey_after_ms: 60000
lanes: 4
limits: {sessions: 2, mbufs: 8192, control_ring: 256}
peers:
  - name: laptop
    public_key: 3p7bfXt9wbTTW2HC7OQ1Nz+DQ8hbeGdNrfx+FG+IK08=
    preshared_key_file: laptop.psk
    allowed_ips: [10.77.0.2/32, "fd77::2/128"]
    endpoints: ["198.51.100.9:51900"]
  - name: edge
    public_key: hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=
    allowed_ips: [10.77.0.3/32]
policy:
  version: 7
  session: {max_lifetime_ms: 3600000}
  volatility: {quality_floor: 0.95}
  switching:
    failback: {when_stable_ms: 5000}
admin: {socket: /run/jvpn/gw1.sock}
)";

inline constexpr std::string_view kGoodClient = R"(role: client
node: laptop
interface: {name: jvpn1, mtu: 1380}
crypto: {private_key_file: laptop.key}
underlays:
  - {name: wifi, device: wlan0, source: 192.0.2.2}
  - {name: lte, device: wwan0}
gateway:
  public_key: 3p7bfXt9wbTTW2HC7OQ1Nz+DQ8hbeGdNrfx+FG+IK08=
  endpoints: ["192.0.2.1:51900"]
  allowed_ips: [10.99.0.0/24, "fd99::/64"]
policy: {version: 1}
)";

/// `text` with the first `from` replaced; as it was when there is none.
inline std::string replaced(std::string_view text, std::string_view from, std::string_view to) {
  std::string result(text);
  if (const size_t at = result.find(from); at != std::string::npos) {
    result.replace(at, from.size(), to);
  }
  return result;
}

}  // namespace jvpn::test
