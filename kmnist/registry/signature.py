"""Who says that these files are this version: a SHA-256 that the gate records, and an Ed25519 signature beside it.

The digest is a tag of the version, so it holds against whoever may write artifacts but not the registry. The signature
holds against whoever may write both: it needs the private key. It covers name, number and digest, so it cannot be moved
to another version; it does not say which alias may point there.

``KMNIST_SIGNING_KEY`` (promote) and ``KMNIST_VERIFY_KEY`` (whoever loads) are paths of PEM files.
"""

import base64
import json
import os
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key
from mlflow.entities.model_registry import ModelVersion

from kmnist.errors import ModelError

DIGEST, SIGNATURE = "sha256", "signature"  # tags of a version
SIGNING_KEY, VERIFY_KEY = "KMNIST_SIGNING_KEY", "KMNIST_VERIFY_KEY"
HOW_TO_SIGN = "sign it: KMNIST_SIGNING_KEY=private.pem kmnist promote {}"


def signing_key() -> Ed25519PrivateKey | None:
    """The key of ``KMNIST_SIGNING_KEY``; none if that is not set.

    Raises:
        ModelError: the file cannot be read, or is no Ed25519 private key without a password.
    """
    if not (path := os.environ.get(SIGNING_KEY)):
        return None
    try:
        key = load_pem_private_key(Path(path).read_bytes(), password=None)
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise ModelError(f"{SIGNING_KEY}={path}: {error}; openssl genpkey -algorithm ed25519 makes one") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise ModelError(f"{SIGNING_KEY}={path}: must be an Ed25519 key; openssl genpkey -algorithm ed25519 makes one")
    return key


def certify(version: ModelVersion, digest: str, key: Ed25519PrivateKey | None) -> dict[str, str]:
    """The tags that say that ``digest`` is that of the version's files; with a key, signed."""
    tags = {DIGEST: digest}
    if key is not None:
        tags[SIGNATURE] = base64.b64encode(key.sign(_statement(version, digest))).decode()
    return tags


def check_digest(version: ModelVersion, digest: str) -> None:
    """See that the files of a version are still those that the gate saw.

    Args:
        version: as the registry has it.
        digest: of its files, as they are now.

    Raises:
        ModelError: they are not.
    """
    if digest != (recorded := version.tags.get(DIGEST, digest)):
        raise ModelError(
            f"the files of version {version.version} are not those that went through the gate: their SHA-256 is "
            f"{digest[:16]}..., it was {recorded[:16]}... Somebody changed them: bring them back from a backup, or "
            "delete the version and register its run again"
        )


def check_certified(version: ModelVersion, digest: str) -> None:
    """See that the gate let a version pass with just these files and, with ``KMNIST_VERIFY_KEY``, that it was signed.

    Raises:
        ModelError: it did not, or they have changed, or the signature is missing or another's.
    """
    check_digest(version, digest)
    if DIGEST not in version.tags:
        raise ModelError(
            f"version {version.version} has not been through the gate, so nothing tells whether its files are those "
            f"that were registered: kmnist promote {version.version}"
        )
    check_signature(version, digest)


def check_signature(version: ModelVersion, digest: str) -> None:
    """With ``KMNIST_VERIFY_KEY``: see that a version with these files was signed with the other half of that key.

    Raises:
        ModelError: it was not, or the key cannot be read.
    """
    if not (path := os.environ.get(VERIFY_KEY)):
        return
    way_out = HOW_TO_SIGN.format(version.version)
    try:
        key = load_pem_public_key(Path(path).read_bytes())
    except (OSError, ValueError, UnsupportedAlgorithm) as error:
        raise ModelError(f"{VERIFY_KEY}={path}: {error}; openssl pkey -in private.pem -pubout makes one") from error
    if not isinstance(key, Ed25519PublicKey):
        raise ModelError(f"{VERIFY_KEY}={path}: must be an Ed25519 key; openssl pkey -in private.pem -pubout makes one")
    if not (signature := version.tags.get(SIGNATURE)):
        raise ModelError(f"version {version.version} is not signed, and {VERIFY_KEY} demands it; {way_out}")
    try:
        key.verify(base64.b64decode(signature, validate=True), _statement(version, digest))
    except (InvalidSignature, ValueError) as error:
        raise ModelError(
            f"the signature of version {version.version} was not made with the key of {VERIFY_KEY} for these files; "
            f"if they are good, {way_out}"
        ) from error


def _statement(version: ModelVersion, digest: str) -> bytes:
    facts = {"name": version.name, "version": str(version.version), "sha256": digest}
    return b"kmnist model version\n" + json.dumps(facts, sort_keys=True).encode()
