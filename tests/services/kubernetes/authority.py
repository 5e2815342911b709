"""A certificate authority for tests: certificates of servers and clients, good ones and bad ones."""

from __future__ import annotations

import base64
import ssl
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

DAY = timedelta(days=1)


def data(pem: str) -> str:
    """A PEM text as the `…-data` fields of a kubeconfig hold it."""
    return base64.b64encode(pem.encode()).decode()


class Authority:
    """Signs certificates; `pem` is its own."""

    def __init__(self, name: str = "test authority") -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        built = (
            self._builder(self._name, self._key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self._key.public_key()), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        self.pem = built.public_bytes(Encoding.PEM).decode()

    def _builder(
        self, subject: x509.Name, key: ec.EllipticCurvePublicKey, ends: timedelta = DAY
    ) -> x509.CertificateBuilder:
        moment = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(moment - 10 * DAY)
            .not_valid_after(moment + ends)
        )

    def issue(self, name: str, *, names: tuple[str, ...] = (), ends: timedelta = DAY) -> tuple[str, str]:
        """A certificate for `names` (addresses or host names) that is valid for `ends`, and its key; both PEM."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        builder = self._builder(subject, key.public_key(), ends)
        if names:
            entries = [
                x509.IPAddress(ip_address(entry)) if entry[0].isdigit() else x509.DNSName(entry) for entry in names
            ]
            builder = builder.add_extension(x509.SubjectAlternativeName(entries), critical=False)
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        builder = builder.add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False
        )
        certificate = builder.sign(self._key, hashes.SHA256()).public_bytes(Encoding.PEM).decode()
        secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
        return certificate, secret

    def server(
        self,
        folder: Path,
        *,
        names: tuple[str, ...] = ("127.0.0.1",),
        ends: timedelta = DAY,
        clients: Authority | None = None,
        required: bool = True,
    ) -> ssl.SSLContext:
        """The TLS context of a server; it asks for a certificate of `clients`, where that is given."""
        certificate, key = self.issue("server", names=names, ends=ends)
        path = folder / "server.pem"
        path.write_text(certificate + key)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        if clients is not None:
            context.verify_mode = ssl.CERT_REQUIRED if required else ssl.CERT_OPTIONAL
            context.load_verify_locations(cadata=clients.pem)
        return context
