#!/usr/bin/env python3
"""Makes one document of page.html, page.css and the scripts, and its Content-Security-Policy, as C++.

Usage: embed.py OUTPUT.cc PAGE.html STYLE.css SCRIPT.js...   (made at build time)
       from embed import document: what it is made of
"""
import base64
import hashlib
import sys
from pathlib import Path

POLICY = ("default-src 'none'; script-src '{script}'; style-src '{style}'; connect-src 'self'; img-src data:; "
          "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; "
          "trusted-types 'none'")


def hash_of(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def document(page: Path, style: Path, *scripts: Path) -> tuple[str, str]:
    """The page, and its policy."""
    css = "\n" + style.read_text()
    js = "\n\"use strict\";\n" + "\n".join(script.read_text() for script in scripts)
    text = page.read_text().replace("/* page.css */", css).replace("/* scripts */", js)
    return text, POLICY.format(script=hash_of(js), style=hash_of(css))


def cpp(page: str, policy: str) -> str:
    data = page.encode()
    arrays = ",\n".join(", ".join(str(byte) for byte in data[at:at + 40]) for at in range(0, len(data), 40))
    return ("// Made by tools/jvpn/console/embed.py.\n#include \"tools/jvpn/console/console_page.h\"\n\n"
            "namespace jvpn::console {\nnamespace {\n\n"
            f"constexpr unsigned char kBytes[] = {{\n{arrays}}};\n\n}}  // namespace\n\n"
            "const std::string_view kPage{reinterpret_cast<const char*>(kBytes), sizeof kBytes};\n"
            f"const char* const kContentSecurityPolicy =\n    \"{policy}\";\n\n}}  // namespace jvpn::console\n")


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(cpp(*document(*map(Path, sys.argv[2:]))))
