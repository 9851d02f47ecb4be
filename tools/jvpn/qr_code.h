// A secret drawn on the operator's terminal, for a camera.
#pragma once

#include <string>

namespace jvpn {

/// Standard output is a terminal.
bool on_terminal();
/// Draws a QR code, two modules in a character, on standard output. False: the text is too long for
/// one, or can't be written. No copy of the picture is kept.
bool draw_qr_code(const std::string& text);

}  // namespace jvpn
