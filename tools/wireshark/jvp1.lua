-- A Wireshark dissector for JVP/1: what stands in the clear, as docs/PROTOCOL.md has it. Nothing is decrypted.
--   wireshark -X lua_script:/usr/share/jvpn/wireshark/jvp1.lua      (or a link to it in ~/.local/lib/wireshark/plugins)
-- UDP port 51900; another one by "Decode As", or -d udp.port==4500,jvp1.

local jvp1 = Proto("jvp1", "Jumping VPN, JVP/1")

local TYPES = {
  [1] = "Initiation", [2] = "Response", [3] = "Cookie reply", [4] = "Data", [5] = "Control",
  [6] = "Retry", [7] = "Reset", [8] = "Inquiry", [9] = "Readiness",
}
local SUITES = { [1] = "AES-128-GCM", [2] = "AES-256-GCM", [3] = "ChaCha20-Poly1305" }

local f = {
  type = ProtoField.uint8("jvp1.type", "Type", base.DEC, TYPES),
  reserved = ProtoField.uint24("jvp1.reserved", "Reserved", base.HEX),
  sender = ProtoField.uint32("jvp1.sender", "Sender index", base.HEX),
  receiver = ProtoField.uint32("jvp1.receiver", "Receiver index", base.HEX),
  suite = ProtoField.uint8("jvp1.suite", "Suite", base.DEC, SUITES),
  padding = ProtoField.bytes("jvp1.reserved_suite", "Reserved"),
  ephemeral = ProtoField.bytes("jvp1.ephemeral", "Ephemeral key"),
  static = ProtoField.bytes("jvp1.static", "Static key, encrypted"),
  payload = ProtoField.bytes("jvp1.payload", "Payload, encrypted"),
  mac1 = ProtoField.bytes("jvp1.mac1", "MAC 1"),
  mac2 = ProtoField.bytes("jvp1.mac2", "MAC 2"),
  cookie = ProtoField.bool("jvp1.has_cookie", "With a cookie"),
  nonce = ProtoField.bytes("jvp1.nonce", "Nonce"),
  sealed = ProtoField.bytes("jvp1.sealed", "Value, encrypted"),
  token = ProtoField.bytes("jvp1.token", "Token"),
  earlier = ProtoField.bytes("jvp1.token_earlier", "Token of the period before"),
  counter = ProtoField.uint64("jvp1.counter", "Counter, masked", base.HEX),
  ciphertext = ProtoField.bytes("jvp1.ciphertext", "Ciphertext"),
  tag = ProtoField.bytes("jvp1.tag", "Tag"),
}
jvp1.fields = f

local malformed = ProtoExpert.new("jvp1.malformed", "Malformed", expert.group.MALFORMED, expert.severity.ERROR)
jvp1.experts = { malformed }

-- A part: its field, offset and size. A size below 0 counts from the end; "number" is little-endian.
local INITIATION = {
  { f.sender, 4, 4, "number" }, { f.suite, 8, 1, "number" }, { f.padding, 9, 7 }, { f.ephemeral, 16, 32 },
  { f.static, 48, 48 }, { f.payload, 96, 272 }, { f.mac1, 368, 16 }, { f.mac2, 384, 16 },
}
local COOKIE = { { f.receiver, 4, 4, "number" }, { f.nonce, 8, 24 }, { f.sealed, 32, 16 }, { f.tag, 48, 16 } }
local SEALED = { { f.receiver, 4, 4, "number" }, { f.counter, 8, 8, "number" } }

-- Sizes of whole messages, and what stands where. What a message's length decides is added by `rest`.
local LAYOUTS = {
  [1] = { least = 400, most = 400, parts = INITIATION },
  [2] = { least = 372, most = 400, parts = { { f.sender, 4, 4, "number" }, { f.receiver, 8, 4, "number" }, { f.ephemeral, 12, 32 } } },
  [3] = { least = 64, most = 64, parts = COOKIE },
  [4] = { least = 16 + 20 + 16, parts = SEALED },
  [5] = { least = 16 + 8 + 16, most = 16 + 9216 + 16, parts = SEALED },
  [6] = { least = 64, most = 64, parts = COOKIE },
  [7] = { least = 40, most = 40, parts = { { f.receiver, 4, 4, "number" }, { f.token, 8, 16 }, { f.earlier, 24, 16 } } },
  [8] = { least = 400, most = 400, parts = INITIATION },
  [9] = { least = 88, most = 88, parts = { { f.receiver, 4, 4, "number" }, { f.nonce, 8, 24 }, { f.sealed, 32, 40 }, { f.tag, 72, 16 } } },
}

local function is_zero(range)
  return not range:bytes():tohex():find("[1-9A-F]")
end

local function add(tree, buffer, part)
  local range = buffer(part[2], part[3])
  if part[4] == "number" then return tree:add_le(part[1], range) end
  return tree:add(part[1], range)
end

-- A response's payload and MACs, and the ciphertext and tag of what is sealed, end where the message does.
local function rest(kind, buffer, tree)
  local length = buffer:len()
  if kind == 2 then
    tree:add(f.payload, buffer(44, length - 44 - 32))
    tree:add(f.mac1, buffer(length - 32, 16))
    tree:add(f.mac2, buffer(length - 16, 16))
  elseif kind == 4 or kind == 5 then
    tree:add(f.ciphertext, buffer(16, length - 32))
    tree:add(f.tag, buffer(length - 16, 16))
  end
  if kind == 1 or kind == 2 or kind == 8 then
    tree:add(f.cookie, buffer(length - 16, 16), not is_zero(buffer(length - 16, 16))):set_generated()
  end
end

local function complain(tree, pinfo, what)
  tree:add_proto_expert_info(malformed, what)
  pinfo.cols.info:append(" [" .. what .. "]")
end

-- What is wrong with the clear bytes; nil: nothing.
local function fault(kind, buffer, layout)
  local length = buffer:len()
  if not is_zero(buffer(1, 3)) then return "reserved bytes aren't zero" end
  if length < layout.least then return string.format("%d bytes, at least %d expected", length, layout.least) end
  if layout.most and length > layout.most then
    return string.format("%d bytes, at most %d expected", length, layout.most)
  end
  if kind == 1 or kind == 8 then
    if not SUITES[buffer(8, 1):uint()] then return "no such suite" end
    if not is_zero(buffer(9, 7)) then return "reserved bytes aren't zero" end
  end
  if (kind == 1 or kind == 2 or kind == 8) and is_zero(buffer(4, 4)) then return "sender index is zero" end
  return nil
end

function jvp1.dissector(buffer, pinfo, root)
  local length = buffer:len()
  if length == 0 then return 0 end
  pinfo.cols.protocol = "JVP/1"
  local kind = buffer(0, 1):uint()
  local name, layout = TYPES[kind], LAYOUTS[kind]
  local tree = root:add(jvp1, buffer(), "Jumping VPN, JVP/1, " .. (name or "unknown type"))
  pinfo.cols.info = name or string.format("Unknown type %d", kind)
  tree:add(f.type, buffer(0, 1))
  if length >= 4 then tree:add_le(f.reserved, buffer(1, 3)) end
  if not layout then return complain(tree, pinfo, "no type of JVP/1") end
  if length < 4 then return complain(tree, pinfo, "shorter than every header") end
  for _, part in ipairs(layout.parts) do
    if part[2] + part[3] <= length then add(tree, buffer, part) end
  end
  local wrong = fault(kind, buffer, layout)
  if length >= layout.least then rest(kind, buffer, tree) end
  if length >= 12 then
    local first = buffer(4, 4):le_uint()
    if kind == 1 or kind == 8 then
      pinfo.cols.info:append(string.format(", sender 0x%08x, %s", first, SUITES[buffer(8, 1):uint()] or "no suite"))
    elseif kind == 2 then
      pinfo.cols.info:append(string.format(", sender 0x%08x, receiver 0x%08x", first, buffer(8, 4):le_uint()))
    else
      pinfo.cols.info:append(string.format(", receiver 0x%08x", first))
    end
  end
  pinfo.cols.info:append(string.format(", %d bytes", length))
  if wrong then complain(tree, pinfo, wrong) end
  return length
end

DissectorTable.get("udp.port"):add(51900, jvp1)
