#include "tools/jvpn/qr_code.h"

#include <cerrno>
#include <memory>
#include <string_view>

#include <qrencode.h>
#include <unistd.h>

#include "common/secret.h"

namespace jvpn {
namespace {

constexpr int kQuiet = 2;  // light modules around it

struct FreeCode {
  void operator()(QRcode* code) const {
    wipe(code->data, static_cast<size_t>(code->width) * static_cast<size_t>(code->width));
    QRcode_free(code);
  }
};

bool is_dark(const QRcode& code, int x, int y) {
  if (x < 0 || y < 0 || x >= code.width || y >= code.width) return false;
  return (code.data[y * code.width + x] & 1) != 0;
}

}  // namespace

bool on_terminal() {
  return isatty(STDOUT_FILENO) == 1;
}

bool draw_qr_code(const std::string& text) {
  const std::unique_ptr<QRcode, FreeCode> code(
      QRcode_encodeString8bit(text.c_str(), 0, QR_ECLEVEL_L));
  if (!code) return false;
  constexpr std::string_view kBlocks[] = {"█", "▀", "▄", " "};  // light on a dark terminal
  std::string picture;
  picture.reserve(static_cast<size_t>(code->width + 2 * kQuiet + 1) *
                  static_cast<size_t>(code->width + 2 * kQuiet) * 2);
  for (int y = -kQuiet; y < code->width + kQuiet; y += 2) {
    for (int x = -kQuiet; x < code->width + kQuiet; ++x)
      picture += kBlocks[(is_dark(*code, x, y) ? 2 : 0) + (is_dark(*code, x, y + 1) ? 1 : 0)];
    picture += '\n';
  }
  std::string_view left = picture;
  while (!left.empty()) {
    const ssize_t bytes = write(STDOUT_FILENO, left.data(), left.size());
    if (bytes < 0 && errno == EINTR) continue;
    if (bytes <= 0) break;
    left.remove_prefix(static_cast<size_t>(bytes));
  }
  const bool whole = left.empty();
  wipe(picture.data(), picture.size());
  return whole;
}

}  // namespace jvpn
