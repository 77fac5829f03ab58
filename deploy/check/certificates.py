"""An authority of the check's own, and a server's certificate that it signed."""

import datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

# The clock of the one who looks may be a little behind.
LIFE = (datetime.timedelta(hours=-1), datetime.timedelta(days=1))


def for_host(name):
    """The authority's certificate, the server's certificate and the server's key, in PEM."""
    authority_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    authority_name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "sealflow deploy check")])
    server_name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])

    def signed(subject, public_key, *extensions):
        now = datetime.datetime.now(datetime.timezone.utc)
        builder = x509.CertificateBuilder(authority_name, subject, public_key, x509.random_serial_number(), now + LIFE[0], now + LIFE[1])
        for extension, is_critical in extensions:
            builder = builder.add_extension(extension, is_critical)
        return builder.sign(authority_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    authority = signed(authority_name, authority_key.public_key(), (x509.BasicConstraints(ca=True, path_length=0), True))
    certificate = signed(
        server_name,
        key.public_key(),
        (x509.BasicConstraints(ca=False, path_length=None), True),
        (x509.SubjectAlternativeName([x509.DNSName(name)]), False),
    )
    key_format = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return authority, certificate, key.private_bytes(*key_format)
