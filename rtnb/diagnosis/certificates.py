"""Read the issuer of a TLS certificate."""

import re

# In DER: what stands before the validity, whose first date is a UTCTime or a GeneralizedTime, and there an attribute
# (2.5.4.10 organizationName, 2.5.4.3 commonName) with the tag and the length of its value.
_BEFORE_VALIDITY = re.compile(rb"(.*?)(?:\x17\x0d\d{12}|\x18\x0f\d{14})Z", re.DOTALL)
_ATTRIBUTE = re.compile(rb"\x06\x03\x55\x04([\x0a\x03])([\x0c\x13\x14\x16\x1e])\x81?(.)", re.DOTALL)


def issuer_in(der: bytes | None) -> str:
    """Return the issuer's organisation, or else its common name, in a certificate in DER; "" where none can be read.

    Python's ssl reads checked certificates only; of the others it returns the bytes. The issuer's is the one name
    before the validity (RFC 5280, 4.1).
    """
    before = _BEFORE_VALIDITY.match(der or b"")
    names: dict[bytes, str] = {}
    for found in _ATTRIBUTE.finditer(before[1] if before else b""):
        value = found.string[found.end() : found.end() + found[3][0]]
        names[found[1]] = value.decode("utf-16-be" if found[2] == b"\x1e" else "utf-8", "replace")
    return names.get(b"\x0a") or names.get(b"\x03") or ""
