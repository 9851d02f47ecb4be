// `jvpn genkey`, `pubkey` and `genpsk`: keys as WireGuard users know them.
#pragma once

namespace jvpn {

/// Each prints one line of base64 and gives the exit status. `pubkey` reads a private key from
/// standard input. A secret that lands in a file others may read is warned of on standard error.
int run_genkey();
int run_pubkey();
int run_genpsk();

}  // namespace jvpn
