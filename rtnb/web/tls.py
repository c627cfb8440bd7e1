"""TLS for clients that refuse plain `ws://`: a certificate from files, or one made on the spot for this machine."""

import datetime
import ipaddress
import ssl
import tempfile
from pathlib import Path

from rtnb.errors import InputError
from rtnb.web.origins import number


def from_files(certificate: Path, key: Path | None) -> ssl.SSLContext:
    """Make a server context from PEM files.

    Args:
        certificate: The certificate (with its chain).
        key: Its private key; None where the certificate's file holds it too.

    Raises:
        InputError: They cannot be read or do not belong together.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        text = f"The certificate {certificate} cannot be used: {error}. Give a PEM certificate and its PEM key."
        raise InputError(text, path=str(certificate)) from error
    return context


def self_signed(host: str) -> tuple[ssl.SSLContext, str]:
    """Make a server context with a certificate made now, good for a week.

    Args:
        host: The name or address clients will use.

    Returns:
        The context, and the certificate as PEM, which a client must trust.

    Raises:
        InputError: `cryptography`, which makes it, is not installed.
    """
    try:
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.hazmat.primitives.asymmetric import ec
        from cryptography.x509.oid import NameOID
    except ImportError as error:
        text = "The package cryptography, which makes certificates, is not installed. "
        raise InputError(text + "Run: pip install cryptography, or give --tls-cert and --tls-key.") from error
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "rtnb practice")])
    loopback = map(ipaddress.ip_address, ("127.0.0.1", "::1"))
    names: list[x509.GeneralName] = [x509.DNSName("localhost"), *map(x509.IPAddress, loopback)]
    names.append(x509.IPAddress(address) if (address := number(host)) else x509.DNSName(host))
    now = datetime.datetime.now(datetime.UTC)
    # All these certificates have one name: by the identifiers a client that trusts several servers finds the right one.
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))
        .not_valid_after(now + datetime.timedelta(days=7))
        .add_extension(x509.SubjectAlternativeName(dict.fromkeys(names)), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(identifier, critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False)
        .sign(key, hashes.SHA256())
    )
    in_pem = serialization.Encoding.PEM
    pem = certificate.public_bytes(in_pem)
    secret = key.private_bytes(in_pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    # The ssl module reads a key from a file only; it is gone again at once.
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "pair.pem"
        path.touch(mode=0o600)
        path.write_bytes(secret + pem)
        context = from_files(path, None)
    return context, pem.decode("ascii")
