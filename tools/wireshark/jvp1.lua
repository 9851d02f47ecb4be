-- A Wireshark dissector for JVP/1: what stands in the clear, as docs/PROTOCOL.md has it; and with the key log of either
-- end (crypto.key_log_file) data, with the packets inside, and control messages.
--   wireshark -X lua_script:/usr/share/jvpn/wireshark/jvp1.lua [-o jvp1.keylog:/var/lib/jvpn/keys.log]
-- or links to jvp1.lua and jvp1_ciphers.lua in ~/.local/lib/wireshark/plugins. UDP port 51900; another one by "Decode As",
-- or -d udp.port==4500,jvp1.

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
  decrypted = ProtoField.bool("jvp1.decrypted", "Decrypted"),
  lane = ProtoField.uint16("jvp1.lane", "Lane"),
  binding = ProtoField.uint16("jvp1.binding", "Binding, by its number"),
  sequence = ProtoField.uint64("jvp1.sequence", "Sequence"),
  version = ProtoField.uint8("jvp1.control.version", "Version"),
  critical = ProtoField.bool("jvp1.control.critical", "Critical", 8, nil, 0x01),
  spare_index = ProtoField.uint32("jvp1.control.spare.index", "Spare index", base.HEX),
  spare_number = ProtoField.uint16("jvp1.control.spare.number", "Number"),
  spare_token = ProtoField.bytes("jvp1.control.spare.token", "Reset token"),
  field_type = ProtoField.uint16("jvp1.control.field.type", "Field"),
  field_value = ProtoField.bytes("jvp1.control.field.value", "Value"),
}

local malformed = ProtoExpert.new("jvp1.malformed", "Malformed", expert.group.MALFORMED, expert.severity.ERROR)
local wrong_tag = ProtoExpert.new("jvp1.wrong_tag", "The tag is wrong under every key that the key log has of this index",
                                  expert.group.DECRYPTION, expert.severity.WARN)
jvp1.experts = { malformed, wrong_tag }
jvp1.prefs.keylog = Pref.string("Key log file", "", "What crypto.key_log_file of a gateway's or client's profile names")

-- Control messages: what stands behind the eight bytes that each begins with. `name:size`; `-` isn't shown.
local CONTROL = {
  { "HEARTBEAT", "clock_us:8 binding_version:8" },
  { "HEARTBEAT_ACK", "echo_us:8 clock_us:8 binding_version:8" },
  { "QUALITY_REPORT", "binding_version:8 loss_ppm:4 -:4" },
  { "IDLE", "binding_version:8 interval_ms:4 -:4" },
  { "TRANSPORT_DEAD", "binding_version:8" },
  { "PATH_PROBE", "nonce:8 clock_us:8 receiver:4 lanes:2 -:2 -:16", padded = true },
  { "PATH_CHALLENGE", "nonce:8 echo_us:8 token:16", padded = true },
  { "PATH_RESPONSE", "nonce:8 token:16 receiver:4 -:4", padded = true },
  { "REATTACH_REQUEST", "session_id:16 nonce:8 clock_ms:8 binding_version:8 receiver:4 lanes:2 retire_active:1 cause:1 -:80" },
  { "REATTACH_CHALLENGE", "nonce:8 token:16" },
  { "REATTACH_RESPONSE", "nonce:8 token:16" },
  { "REATTACH_ACK", "nonce:8 binding_version:8 clock_ms:8 sender:4 -:4 spares:88" },
  { "REATTACH_REJECT", "nonce:8 reason:2 detail:2 retry_after_ms:4 binding_version:8 clock_ms:8 spares:88" },
  { "NEW_INDICES", "spares:88" },
  { "REKEY_INITIATION", "sender:4 noise:112" },
  { "REKEY_RESPONSE", "sender:4 receiver:4 noise:168" },
  { "POLICY_HINT", "binding_version:8 hint:1 -:3" },
  { "TERMINATE", "reason:2 detail:2 -:4" },
  { "MTU_PROBE", "nonce:8 receiver:4 path_mtu:2 -:2", padded = true },
  { "MTU_ACK", "nonce:8", padded = true },
}
local VALUES = {
  cause = { [1] = "dead", [2] = "planned", [3] = "quality", [4] = "failback", [5] = "rebind" },
  hint = { [1] = "rebind", [2] = "quality", [3] = "drain", [4] = "leave", [5] = "silent" },
}
local control_names = {}
for kind, message in ipairs(CONTROL) do
  control_names[kind], message.fields, message.size = message[1], {}, 8
  for name, size in message[2]:gmatch("([%w_-]+):(%d+)") do
    size = tonumber(size)
    local kinds = { [1] = "uint8", [2] = "uint16", [4] = "uint32", [8] = "uint64" }
    local key, number = "control_" .. name, kinds[size]
    if name ~= "-" and name ~= "spares" and not f[key] then
      local shown = (name == "receiver" or name == "sender") and base.HEX or base.DEC
      f[key] = number and ProtoField[number]("jvp1.control." .. name, name, shown, VALUES[name])
               or ProtoField.bytes("jvp1.control." .. name, name)
    end
    message.fields[#message.fields + 1] = { name, f[key], message.size, size, number and "number" }
    message.size = message.size + size
  end
end
f.control_type = ProtoField.uint8("jvp1.control.type", "Type", base.DEC, control_names)
jvp1.fields = f

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

-- Ciphers stand beside this file, or where the package has them.
local function load_ciphers()
  for _, folder in ipairs({ __DIR__ or ".", "/usr/share/jvpn/wireshark" }) do
    local path = folder .. "/jvp1_ciphers.lua"
    local file = io.open(path)
    if file then
      file:close()
      return dofile(path)
    end
  end
  return nil
end

-- What the key log has: keys[index][type] is a list of { open, iv, mask }, for an index may come again with other keys.
local log = { path = "", read = 0, keys = {}, known = {} }

local function bytes_of(hex)
  return (hex:gsub("%x%x", function(digits) return string.char(tonumber(digits, 16)) end))
end

local function add_key(index, kind, suite, key, iv, mask)
  local name = table.concat({ index, kind, suite, key, iv }, " ")
  if log.known[name] or #iv ~= 24 or #mask ~= 16 then return end
  local open = log.ciphers.new(suite, bytes_of(key))
  if not open then return end
  log.known[name] = true
  log.keys[index] = log.keys[index] or {}
  log.keys[index][kind] = log.keys[index][kind] or {}
  table.insert(log.keys[index][kind], { open = open, iv = bytes_of(iv), mask = bytes_of(mask) })
end

-- Once for each key log.
local function tell(what)
  if not log.told then report_failure("jvp1: " .. what) end
  log.told = true
  return false
end

-- Reads what has come since the last time, whole lines alone: a running program may be writing one. True: something has.
local function read_key_log()
  local path = jvp1.prefs.keylog
  if path ~= log.path then log = { path = path, read = 0, keys = {}, known = {}, ciphers = log.ciphers } end
  if path == "" then return false end
  local file, why = io.open(path, "rb")
  log.ciphers = log.ciphers or load_ciphers()
  if not file then return tell("can't read the key log: " .. why) end
  if not log.ciphers then tell("jvp1_ciphers.lua has to stand beside jvp1.lua, or nothing can be decrypted") end
  local size = file:seek("end")
  if size < log.read then log.read = 0 end  -- another file has its name now
  if size == log.read or not log.ciphers then
    file:close()
    return false
  end
  file:seek("set", log.read)
  local text = file:read("*a"):match("^.*\n") or ""
  file:close()
  log.read = log.read + #text
  for line in text:gmatch("[^\n]+") do
    local index, suite, key, iv, mask, control_key, control_iv, control_mask =
      line:match("^jvp1 (%x+) ([%w-]+) (%x+) (%x+) (%x+) ([%x-]+) ([%x-]+) ([%x-]+)$")
    if index then
      add_key(tonumber(index, 16), 4, suite, key, iv, mask)
      if control_key ~= "-" then add_key(tonumber(index, 16), 5, suite, control_key, control_iv, control_mask) end
    end
  end
  return #text > 0
end

local function xor(a, b)
  local bits = rawget(_G, "bit32") or rawget(_G, "bit") or require("bit")
  local out = {}
  for i = 1, #a do out[i] = string.char(bits.bxor(a:byte(i), b:byte(i))) end
  return table.concat(out)
end

-- The plaintext and its key; or nil, and whether there was a key to try.
local function try_keys(kind, buffer, first)
  local keys = (log.keys[buffer(4, 4):le_uint()] or {})[kind] or {}
  local length, header = buffer:reported_len(), buffer(4, 12):raw()
  for i = first, #keys do
    local plain = keys[i].open(xor(header, keys[i].iv), buffer(16, length - 32):raw(), buffer(length - 16, 16):raw())
    if plain then return plain, keys[i] end
  end
  return nil, #keys
end

local function decrypt(kind, buffer)
  if jvp1.prefs.keylog ~= log.path then read_key_log() end
  local plain, key = try_keys(kind, buffer, 1)
  if plain or not read_key_log() then return plain, key end
  return try_keys(kind, buffer, key + 1)
end

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
  local length = buffer:reported_len()
  if buffer:captured_len() < length then return end
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

-- The counter without its mask: what it is of data or of a binding's control messages.
local function show_counter(kind, buffer, tree, mask)
  local counter = xor(buffer(8, 8):raw():reverse(), mask)
  local function number(first, last) return tonumber((counter:sub(first, last):gsub(".", function(each)
    return string.format("%02x", each:byte())
  end)), 16) end
  tree:add(kind == 4 and f.lane or f.binding, buffer(14, 2), number(1, 2)):set_generated()
  tree:add(f.sequence, buffer(8, 6), UInt64.new(number(5, 8), number(3, 4))):set_generated()
end

local function show_spares(tree, range)
  for i = 0, 3 do
    if not is_zero(range(4 * i, 4)) then
      local spare = tree:add_le(f.spare_index, range(4 * i, 4))
      spare:add_le(f.spare_number, range(16 + 2 * i, 2))
      spare:add(f.spare_token, range(24 + 16 * i, 16))
    end
  end
end

-- Behind the fixed part: {type u16, length u16, value} each.
local function show_fields(tree, pinfo, range, at)
  while at + 4 <= range:len() and range(at, 2):le_uint() ~= 0 do
    local length = range(at + 2, 2):le_uint()
    if at + 4 + length > range:len() then return complain(tree, pinfo, "a field ends behind the message") end
    local field = tree:add_le(f.field_type, range(at, 2))
    if length > 0 then field:add(f.field_value, range(at + 4, length)) end
    at = at + 4 + length
  end
end

local function show_control(plain, pinfo, root)
  local range = ByteArray.new(plain, true):tvb("JVP/1 control message"):range()
  local message = CONTROL[range(1, 1):uint()]
  local name = message and message[1] or string.format("control message of type %d", range(1, 1):uint())
  local tree = root:add(jvp1, range, "JVP/1 control message, " .. name)
  pinfo.cols.info:append(", " .. name)
  tree:add(f.version, range(0, 1))
  tree:add(f.control_type, range(1, 1))
  tree:add(f.critical, range(2, 1))
  if not message then return end
  if range:len() < message.size then return complain(tree, pinfo, "shorter than its type's fixed part") end
  for _, field in ipairs(message.fields) do
    if field[1] == "spares" then
      show_spares(tree, range(field[3], 88))
    elseif field[2] then
      add(tree, range, { field[2], field[3], field[4], field[5] })
    end
  end
  if not message.padded then show_fields(tree, pinfo, range, message.size) end
end

-- With a key log: what is inside. Without a key of this index nothing is said.
local function show_inside(kind, buffer, pinfo, tree, root)
  local plain, key = decrypt(kind, buffer)
  if not plain then
    if key > 0 then tree:add_proto_expert_info(wrong_tag) end
    return
  end
  tree:add(f.decrypted, buffer(16), true):set_generated()
  show_counter(kind, buffer, tree, key.mask)
  if kind == 5 then return show_control(plain, pinfo, root) end
  local inner = plain:byte(1) >= 0x60 and "ipv6" or "ip"
  Dissector.get(inner):call(ByteArray.new(plain, true):tvb("JVP/1 data"), pinfo, root)
end

-- What is wrong with the clear bytes; nil: nothing, as far as they were captured.
local function fault(kind, buffer, layout)
  local length, captured = buffer:reported_len(), buffer:captured_len()
  if captured >= 4 and not is_zero(buffer(1, 3)) then return "reserved bytes aren't zero" end
  if length < layout.least then return string.format("%d bytes, at least %d expected", length, layout.least) end
  if layout.most and length > layout.most then
    return string.format("%d bytes, at most %d expected", length, layout.most)
  end
  if (kind == 1 or kind == 8) and captured >= 16 then
    if not SUITES[buffer(8, 1):uint()] then return "no such suite" end
    if not is_zero(buffer(9, 7)) then return "reserved bytes aren't zero" end
  end
  if (kind == 1 or kind == 2 or kind == 8) and captured >= 8 and is_zero(buffer(4, 4)) then return "sender index is zero" end
  return nil
end

function jvp1.dissector(buffer, pinfo, root)
  local length, captured = buffer:reported_len(), buffer:captured_len()
  if captured == 0 then return 0 end
  pinfo.cols.protocol = "JVP/1"
  local kind = buffer(0, 1):uint()
  local name, layout = TYPES[kind], LAYOUTS[kind]
  local tree = root:add(jvp1, buffer(), "Jumping VPN, JVP/1, " .. (name or "unknown type"))
  pinfo.cols.info = name or string.format("Unknown type %d", kind)
  tree:add(f.type, buffer(0, 1))
  if captured >= 4 then tree:add_le(f.reserved, buffer(1, 3)) end
  if not layout then return complain(tree, pinfo, "no type of JVP/1") end
  if length < 4 then return complain(tree, pinfo, "shorter than every header") end
  for _, part in ipairs(layout.parts) do
    if part[2] + part[3] <= captured then add(tree, buffer, part) end
  end
  local wrong = fault(kind, buffer, layout)
  if length >= layout.least then rest(kind, buffer, tree) end
  if captured >= 12 then
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
  if captured < length then pinfo.cols.info:append(string.format(", %d captured", captured)) end
  if wrong then
    complain(tree, pinfo, wrong)
  elseif (kind == 4 or kind == 5) and captured == length and jvp1.prefs.keylog ~= "" then
    show_inside(kind, buffer, pinfo, tree, root)
  end
  return captured
end

DissectorTable.get("udp.port"):add(51900, jvp1)
