"""Read the issuer of a TLS certificate."""


def issuer_in(der: bytes | None) -> str:
    """Return the issuer's organisation, or else its common name, in a certificate in DER; "" where none can be read.

    Python's ssl reads checked certificates only; of the others it returns the bytes. Certificate and TBSCertificate
    are sequences; the issuer is the first sequence after the serial number and the algorithm (RFC 5280, 4.1).
    """
    try:
        fields = _elements(_elements(_elements(der or b"")[0][1])[0][1])
        if fields[0][0] == 0xA0:  # the version, which old certificates lack
            fields = fields[1:]
        names: dict[bytes, str] = {}
        for _, relative in _elements(fields[2][1]):
            for _, attribute in _elements(relative):
                (_, oid), (tag, value) = _elements(attribute)[:2]
                names[oid] = value.decode("utf-16-be" if tag == 0x1E else "utf-8", "replace")
    except (IndexError, ValueError):
        return ""
    # 2.5.4.10 organizationName, 2.5.4.3 commonName
    return names.get(b"\x55\x04\x0a") or names.get(b"\x55\x04\x03") or ""


def _elements(data: bytes) -> list[tuple[int, bytes]]:
    """Return tag and content of each element of DER."""
    found, at = [], 0
    while at + 2 <= len(data):
        tag, length, at = data[at], data[at + 1], at + 2
        if length & 0x80:
            size = length & 0x7F
            length, at = int.from_bytes(data[at : at + size], "big"), at + size
        found.append((tag, data[at : at + length]))
        at += length
    return found
