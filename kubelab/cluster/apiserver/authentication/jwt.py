"""Signed tokens: JSON Web Signatures in their compact form, ES256, with one key.

Source: RFC 7515, RFC 7518 section 3.4, RFC 7638's place taken by upstream's key ids; kubernetes,
pkg/serviceaccount/{jwt,openidmetadata}.go. Upstream signs RS256 with RSA keys and ES256 with keys as this
one; making and checking an ES256 signature takes 0.1 ms. `cryptography` has all that is hard about it.
Left out: other algorithms ("none" above all), several keys at a time, encrypted tokens.
"""

import base64
import binascii
import hashlib
from typing import Any

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

ALGORITHM = "ES256"
Claims = dict[str, Any]
_COORDINATE_BYTES = 32
_REMEMBERED_MAX = 1024


class InvalidTokenError(Exception):
    """A token that proves nothing, and why, in upstream's words."""


class SigningKey:
    """The key of one cluster's service account tokens."""

    def __init__(self, key: ec.EllipticCurvePrivateKey) -> None:
        self.private = key
        self._public = key.public_key()
        self.key_id = _key_id(self._public)
        self._verified: dict[str, Claims] = {}

    @classmethod
    def generate(cls) -> "SigningKey":
        return cls(ec.generate_private_key(ec.SECP256R1()))

    def sign(self, claims: Claims) -> str:
        header = {"alg": ALGORITHM, "kid": self.key_id}
        signed = f"{_encoded(msgspec.json.encode(header))}.{_encoded(msgspec.json.encode(claims))}"
        r, s = decode_dss_signature(self.private.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
        signature = r.to_bytes(_COORDINATE_BYTES) + s.to_bytes(_COORDINATE_BYTES)
        return f"{signed}.{_encoded(signature)}"

    def verify(self, token: str) -> Claims:
        """Return what *token* claims; whether that holds now is another question.

        Raises:
            InvalidTokenError: it was not signed with this key.
        """
        if (known := self._verified.get(token)) is not None:
            return known
        claims = self._checked(token)
        if len(self._verified) >= _REMEMBERED_MAX:
            del self._verified[next(iter(self._verified))]
        self._verified[token] = claims
        return claims

    def _checked(self, token: str) -> Claims:
        signed, _, signature = token.rpartition(".")
        header = _json(signed.partition(".")[0])
        if header.get("kid", self.key_id) != self.key_id:
            raise InvalidTokenError("invalid signature, no keys found")
        raw = _decoded(signature)
        if header.get("alg") != ALGORITHM or len(raw) != 2 * _COORDINATE_BYTES:
            raise InvalidTokenError("go-jose/go-jose: error in cryptographic primitive")
        r, s = int.from_bytes(raw[:_COORDINATE_BYTES]), int.from_bytes(raw[_COORDINATE_BYTES:])
        try:
            self._public.verify(encode_dss_signature(r, s), signed.encode(), ec.ECDSA(hashes.SHA256()))
        except InvalidSignature:
            raise InvalidTokenError("go-jose/go-jose: error in cryptographic primitive") from None
        return unverified(token)

    def jwk(self) -> dict[str, str]:
        """Return the public key as a JSON Web Key."""
        numbers = self._public.public_numbers()
        return {
            "use": "sig",
            "kty": "EC",
            "kid": self.key_id,
            "crv": "P-256",
            "alg": ALGORITHM,
            "x": _encoded(numbers.x.to_bytes(_COORDINATE_BYTES)),
            "y": _encoded(numbers.y.to_bytes(_COORDINATE_BYTES)),
        }


def unverified(token: str) -> Claims:
    """Return what *token* claims, without looking who signed it."""
    parts = token.split(".")
    if len(parts) != 3:
        raise InvalidTokenError("not a JSON Web Signature in its compact form")
    return _json(parts[1])


def _key_id(key: ec.EllipticCurvePublicKey) -> str:
    der = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return _encoded(hashlib.sha256(der).digest())


def _encoded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars="-_", validate=True)
    except (binascii.Error, ValueError):
        raise InvalidTokenError("not a JSON Web Signature: illegal base64 data") from None


def _json(text: str) -> Claims:
    try:
        return msgspec.json.decode(_decoded(text), type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise InvalidTokenError("not a JSON Web Signature: its parts are not JSON objects") from None
