"""`tenantgate audit keygen|prove`: the key that seals the log, and the proof of one tenant's whole record."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from admin.cli.options import add_command
from proxy.audit.errors import MalformedLine

if TYPE_CHECKING:
    from proxy.audit.signing import PublicKey, SigningKey

EXIT_OK, EXIT_TAMPERED, EXIT_UNUSABLE = 0, 1, 2

_KEYGEN_EPILOG = """\
Writes FILE (mode 0600, the private key: for the gateway only) and FILE.pub (the public key: give it to auditors).
With --after, the old key vouches for the new one in FILE: put FILE in the old one's place and restart the gateway.
Auditors go on with the public key that they have.

exit status: 0 written, 2 a file cannot be read or is there already

examples:
  tenantgate audit keygen -o seal.key
  tenantgate audit keygen --after seal.key -o seal-2027.key
"""
_PROVE_EPILOG = """\
The proof holds the tenant's lines and hashes of all others: whoever checks it sees that nothing of the tenant's was
changed, left out or added between the first and the last seal, and reads nothing of other tenants. Check it with
`python docs/verify_proof.py proof.json seal.key.pub`, which needs nothing of TenantGate.

exit status: 0 written, 1 the log was tampered with, 2 a file cannot be read

examples:
  tenantgate audit prove --tenant acme -o proof.json audit/audit.jsonl
  tenantgate audit prove --tenant acme -o proof.json audit.jsonl.1 audit.jsonl     rotated files, oldest first
"""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add both commands; each sets `run`."""
    keygen = add_command(commands, "keygen", "make a key that seals the log, or the next one", _KEYGEN_EPILOG)
    keygen.add_argument("-o", "--output", type=Path, required=True, metavar="FILE", help="where the key goes")
    keygen.add_argument("--after", type=Path, metavar="OLD", help="the key until now, which hands over")
    keygen.set_defaults(run=run_keygen)
    prove = add_command(commands, "prove", "prove that one tenant's record is whole", _PROVE_EPILOG)
    prove.add_argument("files", nargs="+", type=Path, metavar="FILE", help="audit log; several of one chain in order")
    prove.add_argument("--tenant", required=True, metavar="T", help="whose record")
    prove.add_argument("-o", "--output", type=Path, required=True, metavar="PROOF", help="where the proof goes")
    prove.add_argument("--signing-key", type=_read_signing_key, metavar="FILE", help=_FOR_ABSENCE)
    prove.add_argument("--public-key", type=read_public_key, metavar="KEY", help="refuse seals of any other key")
    prove.set_defaults(run=run_prove)


_FOR_ABSENCE = "private key, for a tenant that has no line at all"


def _read_signing_key(text: str) -> SigningKey:
    from proxy.audit.signing import SigningKey, UnusableKey

    try:
        return SigningKey.from_text(Path(text).read_text())
    except UnusableKey as error:
        raise argparse.ArgumentTypeError(f"{text} is {error}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise argparse.ArgumentTypeError(f"{text} cannot be read: {error}") from None


def read_public_key(text: str) -> PublicKey:
    """A file with a public key (PEM or hex), or the hex digits themselves; for argparse."""
    from proxy.audit.signing import PublicKey, UnusableKey

    try:
        if len(text) == 64 and not Path(text).exists():
            return PublicKey.from_hex(text)
        return PublicKey.from_text(Path(text).read_text())
    except UnusableKey as error:
        raise argparse.ArgumentTypeError(f"{text} is {error}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise argparse.ArgumentTypeError(f"{text} cannot be read: {error}") from None


def run_keygen(args: argparse.Namespace) -> int:
    """Write a key pair; 2 rather than overwrite."""
    from proxy.audit.signing import SigningKey, UnusableKey

    try:
        old = None if args.after is None else SigningKey.from_text(args.after.read_text())
        key = SigningKey.generate() if old is None else old.hand_over()
        public = args.output.with_name(args.output.name + ".pub")
        if public.exists():
            raise FileExistsError(17, "exists and is not overwritten", str(public))
        _write_new(args.output, key.pem(), 0o600)
        _write_new(public, key.public.pem(), 0o644)
    except UnusableKey as error:
        print(f"tenantgate: {args.after} is {error}", file=sys.stderr)
        return EXIT_UNUSABLE
    except OSError as error:
        print(f"tenantgate: {error.filename}: {error.strerror}", file=sys.stderr)
        return EXIT_UNUSABLE
    print(f"key {key.id}: {args.output} (private), {public} (public)")
    print(f'next: in tenantgate.toml, [audit] signing_key_file = "{args.output}"')
    return EXIT_OK


def _write_new(path: Path, text: str, mode: int) -> None:
    """It has its mode from the first byte on, and nothing is overwritten."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)


def run_prove(args: argparse.Namespace) -> int:
    """Write the proof; 1 for a log that does not verify, of which nothing is proved."""
    from proxy.audit.tenant_proof import prove_tenant

    try:
        proof, problem = prove_tenant(args.files, args.tenant, trusted=args.public_key, key=args.signing_key)
        if proof is not None:
            args.output.write_text(json.dumps(proof, ensure_ascii=False))
    except OSError as error:
        print(f"tenantgate: {error.filename}: {error.strerror or error}", file=sys.stderr)
        return EXIT_UNUSABLE
    except MalformedLine as error:
        print(f"tenantgate: {error}", file=sys.stderr)
        return EXIT_UNUSABLE
    if proof is None:
        print(f"tenantgate: nothing is proved: {problem}", file=sys.stderr)
        return EXIT_TAMPERED
    events = sum(len(segment["lines"]) for chain in proof["chains"] for segment in chain["segments"])
    print(f"{args.output}: {events} line(s) of tenant {args.tenant} in {len(proof['chains'])} chain(s)")
    return EXIT_OK
