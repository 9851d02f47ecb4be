-- The AEADs of JVP/1 for jvp1.lua, as Wireshark's Lua has none: AES-GCM (NIST SP 800-38D) and ChaCha20-Poly1305 (RFC
-- 8439), without associated data, opening only. In no constant time: whoever runs this has the keys.
--   new(suite, key) → open(nonce, ciphertext, tag) → plaintext, or nil when the tag is wrong. All are strings of bytes.

local bits = rawget(_G, "bit32") or rawget(_G, "bit") or require("bit")  -- of Lua 5.2; Wireshark's own
local band, bxor, lshift, rshift = bits.band, bits.bxor, bits.lshift, bits.rshift
local rotate = bits.lrotate or bits.rol
local byte, char, floor = string.byte, string.char, math.floor

-- Words as big-endian numbers, of a text that is padded with zeros up to whole blocks of 16 bytes.
local function words_of(text)
  local words = {}
  text = text .. string.rep("\0", -#text % 16)
  for at = 1, #text, 4 do
    local a, b, c, d = byte(text, at, at + 3)
    words[#words + 1] = ((a * 256 + b) * 256 + c) * 256 + d
  end
  return words
end

local function big_endian(word)
  return char(band(rshift(word, 24), 255), band(rshift(word, 16), 255), band(rshift(word, 8), 255), band(word, 255))
end

local function little_endian(word)
  return char(band(word, 255), band(rshift(word, 8), 255), band(rshift(word, 16), 255), band(rshift(word, 24), 255))
end

-- AES (FIPS 197), encryption alone, by tables of a round's columns.

local SBOX, COLUMN = { [0] = 0x63 }, { {}, {}, {}, {} }
do
  local function double(x) return band(bxor(lshift(x, 1), x >= 128 and 0x1B or 0), 255) end
  local p, q = 1, 1
  repeat  -- p runs through all powers of 3, q through their inverses
    p = bxor(p, double(p))
    q = bxor(q, lshift(q, 1))
    q = bxor(q, lshift(q, 2))
    q = band(bxor(q, lshift(q, 4)), 255)
    if q >= 128 then q = bxor(q, 9) end
    local around = q * 257  -- twice, so that a shift turns it
    SBOX[p] = band(bxor(q, rshift(around, 7), rshift(around, 6), rshift(around, 5), rshift(around, 4), 0x63), 255)
  until p == 1
  for x = 0, 255 do
    local s = SBOX[x]
    local word = bxor(lshift(double(s), 24), lshift(s, 16), lshift(s, 8), bxor(double(s), s))
    for i = 1, 4 do COLUMN[i][x] = rotate(word, 32 - 8 * (i - 1)) end
  end
end

local function substitute(word)
  return bxor(lshift(SBOX[band(rshift(word, 24), 255)], 24), lshift(SBOX[band(rshift(word, 16), 255)], 16),
              lshift(SBOX[band(rshift(word, 8), 255)], 8), SBOX[band(word, 255)])
end

local function round_keys(key)
  local words, size, constant = words_of(key), #key / 4, 1
  for i = size + 1, 4 * (size + 7) do
    local word = words[i - 1]
    if (i - 1) % size == 0 then
      word = bxor(substitute(rotate(word, 8)), lshift(constant, 24))
      constant = constant < 128 and 2 * constant or 0x1B
    elseif size == 8 and (i - 1) % size == 4 then
      word = substitute(word)
    end
    words[i] = bxor(words[i - size], word)
  end
  return words
end

local function encrypt(keys, a, b, c, d)
  local t1, t2, t3, t4 = COLUMN[1], COLUMN[2], COLUMN[3], COLUMN[4]
  local function column(w, x, y, z, key)
    return bxor(t1[band(rshift(w, 24), 255)], t2[band(rshift(x, 16), 255)], t3[band(rshift(y, 8), 255)], t4[band(z, 255)], key)
  end
  local function last(w, x, y, z, key)
    return bxor(lshift(SBOX[band(rshift(w, 24), 255)], 24), lshift(SBOX[band(rshift(x, 16), 255)], 16),
                lshift(SBOX[band(rshift(y, 8), 255)], 8), SBOX[band(z, 255)], key)
  end
  a, b, c, d = bxor(a, keys[1]), bxor(b, keys[2]), bxor(c, keys[3]), bxor(d, keys[4])
  for i = 5, #keys - 4, 4 do
    a, b, c, d = column(a, b, c, d, keys[i]), column(b, c, d, a, keys[i + 1]), column(c, d, a, b, keys[i + 2]),
                 column(d, a, b, c, keys[i + 3])
  end
  local i = #keys - 3
  return last(a, b, c, d, keys[i]), last(b, c, d, a, keys[i + 1]), last(c, d, a, b, keys[i + 2]), last(d, a, b, c, keys[i + 3])
end

-- GHASH, by what each value of each of the 32 half bytes of a block adds.

local function hash_tables(a, b, c, d)
  local tables = {}
  for place = 1, 32 do
    local adds = { [0] = { 0, 0, 0, 0 } }
    for _, value in ipairs({ 8, 4, 2, 1 }) do
      adds[value] = { a, b, c, d }
      local carry = band(d, 1)
      d = bxor(rshift(d, 1), lshift(band(c, 1), 31))
      c = bxor(rshift(c, 1), lshift(band(b, 1), 31))
      b = bxor(rshift(b, 1), lshift(band(a, 1), 31))
      a = bxor(rshift(a, 1), carry == 1 and 0xE1000000 or 0)
    end
    for value = 3, 15 do
      local least = band(value, -value)
      if least ~= value then
        local x, y = adds[value - least], adds[least]
        adds[value] = { bxor(x[1], y[1]), bxor(x[2], y[2]), bxor(x[3], y[3]), bxor(x[4], y[4]) }
      end
    end
    tables[place] = adds
  end
  return tables
end

local function hash(tables, words)
  local state = { 0, 0, 0, 0 }
  for at = 1, #words, 4 do
    local a, b, c, d = 0, 0, 0, 0
    for i = 0, 3 do
      local word = bxor(state[i + 1], words[at + i])
      for half = 0, 7 do
        local adds = tables[8 * i + half + 1][band(rshift(word, 28 - 4 * half), 15)]
        a, b, c, d = bxor(a, adds[1]), bxor(b, adds[2]), bxor(c, adds[3]), bxor(d, adds[4])
      end
    end
    state[1], state[2], state[3], state[4] = a, b, c, d
  end
  return state
end

local function aes_gcm(key)
  local keys = round_keys(key)
  local tables = hash_tables(encrypt(keys, 0, 0, 0, 0))
  return function(nonce, ciphertext, tag)
    local words, iv = words_of(ciphertext), words_of(nonce)
    local count = #words
    words[count + 1], words[count + 2], words[count + 3], words[count + 4] = 0, 0, 0, 8 * #ciphertext
    local state, mask = hash(tables, words), { encrypt(keys, iv[1], iv[2], iv[3], 1) }
    local right = ""
    for i = 1, 4 do right = right .. big_endian(bxor(state[i], mask[i])) end
    if right ~= tag then return nil end
    local plain = {}
    for at = 1, count, 4 do
      local a, b, c, d = encrypt(keys, iv[1], iv[2], iv[3], 2 + (at - 1) / 4)
      plain[at], plain[at + 1] = big_endian(bxor(a, words[at])), big_endian(bxor(b, words[at + 1]))
      plain[at + 2], plain[at + 3] = big_endian(bxor(c, words[at + 2])), big_endian(bxor(d, words[at + 3]))
    end
    return table.concat(plain):sub(1, #ciphertext)
  end
end

-- ChaCha20: the words of a text, little-endian, and one block of the key stream.

local function little_words(text)
  local words = {}
  for at = 1, #text, 4 do
    local a, b, c, d = byte(text, at, at + 3)
    words[#words + 1] = ((d * 256 + c) * 256 + b) * 256 + a
  end
  return words
end

local function quarter(x, a, b, c, d)
  x[a] = band(x[a] + x[b], 0xFFFFFFFF); x[d] = rotate(bxor(x[d], x[a]), 16)
  x[c] = band(x[c] + x[d], 0xFFFFFFFF); x[b] = rotate(bxor(x[b], x[c]), 12)
  x[a] = band(x[a] + x[b], 0xFFFFFFFF); x[d] = rotate(bxor(x[d], x[a]), 8)
  x[c] = band(x[c] + x[d], 0xFFFFFFFF); x[b] = rotate(bxor(x[b], x[c]), 7)
end

local function chacha_block(key, nonce, counter)
  local from = { 0x61707865, 0x3320646E, 0x79622D32, 0x6B206574 }
  for i = 1, 8 do from[4 + i] = key[i] end
  from[13] = counter
  for i = 1, 3 do from[13 + i] = nonce[i] end
  local x = {}
  for i = 1, 16 do x[i] = from[i] end
  for _ = 1, 10 do
    for i = 0, 3 do quarter(x, 1 + i, 5 + i, 9 + i, 13 + i) end
    for i = 0, 3 do quarter(x, 1 + i, 5 + (i + 1) % 4, 9 + (i + 2) % 4, 13 + (i + 3) % 4) end
  end
  for i = 1, 16 do x[i] = little_endian(band(x[i] + from[i], 0xFFFFFFFF)) end
  return table.concat(x)
end

-- Poly1305, in ten limbs of 13 bits: products and their sums stay exact in a double.

local LIMBS, LIMB = 10, 8192

local function limbs_of(bytes)
  local limbs, rest, size = {}, 0, 0
  for _, each in ipairs(bytes) do
    rest, size = rest + each * 2 ^ size, size + 8
    while size >= 13 do
      limbs[#limbs + 1], rest, size = rest % LIMB, floor(rest / LIMB), size - 13
    end
  end
  if #limbs < LIMBS then limbs[#limbs + 1] = rest end
  return limbs
end

-- Gives what is beyond the highest limb, in units of 2^130.
local function carry(h)
  local over = 0
  for i = 1, LIMBS do
    over = over + h[i]
    h[i], over = over % LIMB, floor(over / LIMB)
  end
  return over
end

-- Modulo 2^130 - 5, though not yet below it.
local function reduce(h)
  local over = carry(h)
  h[1] = h[1] + 5 * over
end

local function multiply(h, r)
  local product = {}
  for i = 1, LIMBS do
    local sum = 0
    for j = 1, LIMBS do sum = sum + h[j] * (j <= i and r[i - j + 1] or 5 * r[LIMBS + i - j + 1]) end
    product[i] = sum
  end
  reduce(product)
  reduce(product)
  return product
end

local function poly1305(key, text)
  local bytes = { byte(key, 1, 16) }
  for _, i in ipairs({ 4, 8, 12, 16 }) do bytes[i] = band(bytes[i], 15) end
  for _, i in ipairs({ 5, 9, 13 }) do bytes[i] = band(bytes[i], 252) end
  local r, h = limbs_of(bytes), { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 }
  for at = 1, #text, 16 do  -- whole blocks
    local block = { byte(text, at, at + 15) }
    block[17] = 1
    local limbs = limbs_of(block)
    for i = 1, LIMBS do h[i] = h[i] + limbs[i] end
    h = multiply(h, r)
  end
  reduce(h)
  reduce(h)
  carry(h)
  local less = { h[1] + 5 }  -- by 2^130 - 5, when it isn't below that
  for i = 2, LIMBS do less[i] = h[i] end
  if carry(less) > 0 then h = less end
  local tag, rest, size, limb, over = {}, 0, 0, 1, 0
  for i = 1, 16 do
    if size < 8 then
      rest, size, limb = rest + h[limb] * 2 ^ size, size + 13, limb + 1
    end
    over = over + rest % 256 + byte(key, 16 + i)
    tag[i] = char(over % 256)
    rest, size, over = floor(rest / 256), size - 8, floor(over / 256)
  end
  return table.concat(tag)
end

local function chacha20_poly1305(key)
  key = little_words(key)
  return function(nonce, ciphertext, tag)
    nonce = little_words(nonce)
    local text = ciphertext .. string.rep("\0", -#ciphertext % 16) .. string.rep("\0", 8) .. little_endian(#ciphertext) ..
                 string.rep("\0", 4)
    if poly1305(chacha_block(key, nonce, 0), text) ~= tag then return nil end
    local plain = {}
    for at = 1, #ciphertext, 64 do
      local stream = chacha_block(key, nonce, 1 + floor(at / 64))
      for i = at, math.min(at + 63, #ciphertext) do plain[i] = char(bxor(byte(ciphertext, i), byte(stream, i - at + 1))) end
    end
    return table.concat(plain)
  end
end

local SUITES = {
  ["aes-128-gcm"] = { key_bytes = 16, new = aes_gcm },
  ["aes-256-gcm"] = { key_bytes = 32, new = aes_gcm },
  ["chacha20-poly1305"] = { key_bytes = 32, new = chacha20_poly1305 },
}

-- What jvp1.lua asks for. nil: no such suite, or a key of another size.
return {
  new = function(suite, key)
    local known = SUITES[suite]
    return known and #key == known.key_bytes and known.new(key) or nil
  end,
}
