"""Noise IKpsk2 by the package dissononce, and what docs/PROTOCOL.md derives: keys, IVs, MACs, cookies."""
import hashlib
import hmac
from dataclasses import dataclass, field

import wire
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.cmac import CMAC
from dissononce.cipher.aesgcm import AESGCMCipher
from dissononce.cipher.chachapoly import ChaChaPolyCipher
from dissononce.dh.keypair import KeyPair
from dissononce.dh.x25519.x25519 import PrivateKey, PublicKey, X25519DH
from dissononce.exceptions.decrypt import DecryptFailedException  # noqa: F401
from dissononce.extras.dh.dangerous.dh_nogen import NoGenDH
from dissononce.hash.blake2s import Blake2sHash
from dissononce.processing.handshakepatterns.interactive.IK import IKHandshakePattern
from dissononce.processing.impl.cipherstate import CipherState
from dissononce.processing.impl.handshakestate import HandshakeState
from dissononce.processing.impl.symmetricstate import SymmetricState
from dissononce.processing.modifiers.psk import PSKPatternModifier

AES_128_GCM, AES_256_GCM, CHACHA20_POLY1305 = 1, 2, 3
NO_PSK = bytes(32)


def blake2s(data: bytes) -> bytes:
    return hashlib.blake2s(data).digest()


def hmac_blake2s(key: bytes, data: bytes) -> bytes:
    return hmac.new(key, data, hashlib.blake2s).digest()


def expand(key: bytes, label: bytes) -> bytes:
    """HKDF-Expand (RFC 5869), one block."""
    return hmac_blake2s(key, label + b"\x01")


def cmac(key: bytes, data: bytes) -> bytes:
    mac = CMAC(AES(key))
    mac.update(data)
    return mac.finalize()


def key_pair(private: bytes | None = None) -> KeyPair:
    return X25519DH().generate_keypair(PrivateKey(private) if private else None)


class Handshake:
    """One IKpsk2 run: of the initiator when the remote static key is known, else of the responder."""

    def __init__(self, suite: int, prologue: bytes, static: KeyPair, psk: bytes, remote: bytes | None = None,
                 ephemeral: bytes | None = None) -> None:
        cipher = ChaChaPolyCipher() if suite == CHACHA20_POLY1305 else AESGCMCipher()
        self._symmetric = SymmetricState(CipherState(cipher), Blake2sHash())
        dh = NoGenDH(X25519DH(), PrivateKey(ephemeral)) if ephemeral else X25519DH()
        self._state = HandshakeState(self._symmetric, dh)
        self._state.initialize(PSKPatternModifier(2).modify(IKHandshakePattern()), remote is not None, prologue,
                               s=static, rs=PublicKey(remote) if remote else None, psks=(psk,))

    def write(self, payload: bytes) -> bytes:
        message = bytearray()
        self._state.write_message(payload, message)
        return bytes(message)

    def read(self, message: bytes) -> bytes:
        """Raises DecryptFailedException."""
        payload = bytearray()
        self._state.read_message(message, payload)
        return bytes(payload)

    def mix_hash(self, clear: bytes) -> None:
        self._symmetric.mix_hash(clear)

    @property
    def remote(self) -> bytes:
        return self._state.rs.data

    @property
    def chaining_key(self) -> bytes:
        return self._symmetric._ck  # dissononce has no name for it

    def split(self) -> tuple[bytes, bytes, bytes]:
        """Keys from initiator to responder and back, and the chain."""
        return Blake2sHash().hkdf(self.chaining_key, b"", 3)


class Sealer:
    """One key and its IV."""

    def __init__(self, suite: int, key: bytes, iv: bytes) -> None:
        self._aead = ChaCha20Poly1305(key) if suite == CHACHA20_POLY1305 else \
            AESGCM(key[:16] if suite == AES_128_GCM else key)
        self._iv = iv[:12]

    def _nonce(self, header: bytes) -> bytes:
        return bytes(a ^ b for a, b in zip(header[4:16], self._iv))

    def seal(self, header: bytes, plaintext: bytes) -> bytes:
        return header + self._aead.encrypt(self._nonce(header), plaintext, None)

    def open(self, message: bytes) -> bytes:
        """Raises cryptography.exceptions.InvalidTag."""
        return self._aead.decrypt(self._nonce(message[:16]), message[16:], None)


class DirectionKeys:
    def __init__(self, suite: int, key: bytes) -> None:
        self.traffic = Sealer(suite, expand(key, b"JVP/1 traffic"), expand(key, b"JVP/1 traffic iv"))
        self.control = Sealer(suite, expand(key, b"JVP/1 control"), expand(key, b"JVP/1 control iv"))
        self._counters = expand(key, b"JVP/1 counters")[:16]

    def masked(self, kind: int, receiver: int, counter: int) -> int:
        """A counter as it goes over the wire, or back."""
        mask = cmac(self._counters, bytes([kind]) + receiver.to_bytes(4, "little"))[:8]
        return counter ^ int.from_bytes(mask, "little")


@dataclass
class MacKeys:
    """Of the messages to one static public key."""

    public: bytes
    mac1: bytes = field(init=False)
    cookie: bytes = field(init=False)

    def __post_init__(self) -> None:
        self.mac1 = blake2s(b"JVP/1 mac1" + self.public)[:16]
        self.cookie = blake2s(b"JVP/1 cookie" + self.public)

    def add_macs(self, message: bytes, cookie: bytes | None = None) -> bytes:
        """The message with mac1 and mac2 behind it."""
        message += cmac(self.mac1, message)
        return message + (cmac(cookie, message) if cookie else bytes(16))

    def again(self, message: bytes) -> bytes:
        """With new MACs in the place of its own."""
        return self.add_macs(message[:-32])

    def good_mac1(self, message: bytes) -> bool:
        return hmac.compare_digest(cmac(self.mac1, message[:-32]), message[-32:-16])


def retry_key(chaining_key: bytes) -> bytes:
    return expand(chaining_key, b"JVP/1 retry")


def readiness_key(chaining_key: bytes, psk: bytes) -> bytes:
    return hmac_blake2s(expand(chaining_key, b"JVP/1 readiness"), psk)


class ResetTokens:
    """Of the responder with that static private key."""

    def __init__(self, private: bytes) -> None:
        self._key = expand(private, b"JVP/1 reset")[:16]

    def of(self, index: int, period: int) -> bytes:
        return cmac(self._key, index.to_bytes(4, "little") + period.to_bytes(8, "little"))

    def message(self, index: int, period: int) -> bytes:
        return wire.RESET_MESSAGE.pack(type=wire.RESET, receiver=index, token=self.of(index, period),
                                       earlier=self.of(index, period - 1))


def seal_reply(kind: int, key: bytes, nonce: bytes, value: bytes, initiation: bytes) -> bytes:
    """A cookie reply, a retry or a readiness."""
    sealed = ChaCha20Poly1305(blake2s(key + nonce)).encrypt(bytes(12), value, initiation[-32:-16])
    sender = wire.INITIATION_HEAD.unpack(initiation).sender
    layout = wire.READINESS_MESSAGE if kind == wire.READINESS else wire.SEALED_REPLY
    return layout.pack(type=kind, receiver=sender, nonce=nonce, sealed=sealed)


def open_reply(key: bytes, reply: bytes, initiation: bytes) -> bytes:
    message = (wire.READINESS_MESSAGE if reply[0] == wire.READINESS else wire.SEALED_REPLY).unpack(reply)
    return ChaCha20Poly1305(blake2s(key + message.nonce)).decrypt(bytes(12), message.sealed, initiation[-32:-16])


def rekey_prologue(session_id: bytes, generation: int, head: bytes) -> bytes:
    return b"JVP/1 rekey" + session_id + generation.to_bytes(8, "little") + head


def rekey_psk(chain: bytes, psk: bytes) -> bytes:
    return hmac_blake2s(chain, b"JVP/1 rekey" + psk)
