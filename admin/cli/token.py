"""`tenantgate token`: keys, tokens and SCRAM verifiers for development and tests; a real issuer makes its own."""

from __future__ import annotations

import argparse
import getpass
import json
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from admin.cli.options import add_command, add_config_option, name_and_value
from policy.units import DURATION_HINT, parse_duration_s

if TYPE_CHECKING:
    from admin.cli.signing import Signer
    from proxy.config import IssuerConfig

DEFAULT_ISSUER = "tenantgate-dev"
DEFAULT_AUDIENCE = "tenantgate"
_RESERVED = frozenset({"iss", "aud", "sub", "iat", "nbf", "exp"})

_EPILOG = """\
The token alone goes to standard output, everything else to standard error.
exit status: 0 done, 2 wrong usage, an unusable key, or a file that would be overwritten

examples:
  tenantgate token --new-key dev.pem                          makes dev.pem (0600) and dev.pub.pem
  tenantgate token --key dev.pem --subject alice --tenant acme --role analyst --ttl 1h --claim region=eu
  tenantgate token -c tenantgate.toml --key dev.pem --subject alice --tenant acme --role analyst
  PGPASSWORD=$(tenantgate token --key dev.pem --subject alice --tenant acme --role app) psql -h localhost -p 6432 acme
  tenantgate token --scram                                    asks for a password, prints a service account's verifier
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `token` to the command line."""
    parser = add_command(subparsers, "token", "make development keys, tokens (JWT) and SCRAM verifiers", _EPILOG)
    add_config_option(parser, default=None)
    parser.add_argument("--key", type=Path, metavar="FILE", help="PEM private key that signs (Ed25519, EC or RSA)")
    parser.add_argument("--new-key", type=Path, metavar="FILE", help="make an Ed25519 key pair; never overwrites")
    parser.add_argument("--subject", metavar="WHO", help="claim sub")
    parser.add_argument("--tenant", metavar="ID", help="the tenant's id")
    parser.add_argument("--role", action="append", default=[], metavar="NAME", help="a role; may be repeated")
    parser.add_argument("--ttl", type=_duration, default=3600.0, metavar="TIME", help="life of the token (default: 1h)")
    parser.add_argument(
        "--claim", action="append", default=[], type=name_and_value, metavar="NAME=VALUE", help="a further claim, text"
    )
    parser.add_argument("--issuer", metavar="ISS", help=f"claim iss (default: the configuration's, {DEFAULT_ISSUER})")
    parser.add_argument("--audience", metavar="AUD", help=f"claim aud (default: as above, {DEFAULT_AUDIENCE})")
    parser.add_argument("--kid", help="key id in the header, for issuers with several keys")
    parser.add_argument("--scram", action="store_true", help="read a password, print its SCRAM-SHA-256 verifier")
    parser.add_argument("--json", action="store_true", help="print token, claims and expiry as one JSON object")
    parser.set_defaults(run=run, error=parser.error)


def run(arguments: argparse.Namespace) -> int:
    """Make what was asked for: a verifier, a key pair, a token, or a key pair and a token signed with it."""
    from admin.cli.signing import SigningError, load_signer, secret_signer, write_key_pair

    if arguments.scram:
        return _print_verifier()
    wants_token = arguments.subject is not None or arguments.tenant is not None
    if wants_token and None in (arguments.subject, arguments.tenant):
        arguments.error("a token needs --subject and --tenant")
    if not wants_token and arguments.new_key is None:
        arguments.error("give --new-key FILE, or --subject and --tenant for a token, or --scram")
    if arguments.key is not None and arguments.new_key is not None:
        arguments.error("give --key or --new-key, not both")
    issuer = None if arguments.config is None else _configured_issuer(arguments)
    try:
        if arguments.new_key is not None:
            public = write_key_pair(arguments.new_key)
            print(f"private key: {arguments.new_key}\npublic key (key_file of the issuer): {public}", file=sys.stderr)
            if not wants_token:
                print(public.read_text(), end="")
                return 0
        key: Path | None = arguments.key or arguments.new_key
        if key is not None:
            signer = load_signer(key)
        elif issuer is not None and issuer.hs256_secret is not None:
            signer = secret_signer(issuer.hs256_secret)
        else:
            arguments.error("a token needs --key FILE or --new-key FILE")
    except SigningError as error:
        print(f"tenantgate token: {error}", file=sys.stderr)
        return 2
    if issuer is not None:
        _warn_if_not_trusted(signer, issuer)
    return _print_token(arguments, signer, issuer)


def _configured_issuer(arguments: argparse.Namespace) -> IssuerConfig:
    """The issuer that --issuer names, else the configuration's first."""
    from policy.problems import did_you_mean
    from proxy.config_file import read_config

    reading = read_config(arguments.config, os.environ)
    if reading.config is None:
        from policy.errors import ConfigurationError

        raise ConfigurationError(reading.problems)
    issuers = {issuer.issuer: issuer for issuer in reading.config.auth.issuers}
    if not issuers:
        arguments.error(f"{arguments.config} has no [[auth.issuers]]")
    wanted = arguments.issuer or next(iter(issuers))
    if wanted not in issuers:
        arguments.error(f"{arguments.config} has no issuer {wanted!r}. {did_you_mean(wanted, issuers)}")
    return issuers[wanted]


def _print_token(arguments: argparse.Namespace, signer: Signer, issuer: IssuerConfig | None) -> int:
    now = int(time.time())
    tenant_claim, roles_claim = ("tenant", "roles") if issuer is None else (issuer.tenant_claim, issuer.roles_claim)
    audience = DEFAULT_AUDIENCE if issuer is None else issuer.audience
    claims: dict[str, object] = {
        "iss": issuer.issuer if issuer is not None else arguments.issuer or DEFAULT_ISSUER,
        "aud": arguments.audience or audience,
        "sub": arguments.subject,
        tenant_claim: arguments.tenant,
        roles_claim: arguments.role,
        "iat": now,
        "exp": now + round(arguments.ttl),
        "jti": os.urandom(12).hex(),
    }
    for name, value in arguments.claim:
        if name in _RESERVED or name in (tenant_claim, roles_claim):
            arguments.error(f"claim {name} has an option of its own")
        claims[name] = value
    _warn_about_claims(arguments, issuer)
    token = signer.sign(claims, arguments.kid)
    if arguments.json:
        print(json.dumps({"token": token, "claims": claims, "expires_at": claims["exp"]}, indent=2))
    else:
        print(token)
    return 0


def _warn_about_claims(arguments: argparse.Namespace, issuer: IssuerConfig | None) -> None:
    """What the gateway will refuse or ignore, said before somebody wonders."""
    if not arguments.role:
        _note("no --role: the token opens a session that may do nothing")
    if issuer is None:
        return
    if arguments.ttl > issuer.max_lifetime_s:
        _note(f"the gateway refuses tokens that live longer than {issuer.max_lifetime_s:g} s (max_lifetime_s)")
    if issuer.tenants is not None and arguments.tenant not in issuer.tenants:
        _note(f"this issuer may not speak for tenant {arguments.tenant}")
    for name, _ in arguments.claim:
        if name not in issuer.attribute_claims and name != "jti":
            _note(f"claim {name} is not among the issuer's attribute_claims: filters cannot use it")


def _warn_if_not_trusted(signer: Signer, issuer: IssuerConfig) -> None:
    if not signer.is_trusted_by(issuer):
        _note(f"this key is not one that issuer {issuer.issuer} is configured with: the gateway will refuse the token")


def _print_verifier() -> int:
    from proxy.postgres.wire.scram import make_verifier

    if sys.stdin.isatty():
        password = getpass.getpass("Password: ")
        if getpass.getpass("Again: ") != password:
            print("tenantgate token: the passwords differ", file=sys.stderr)
            return 2
    else:
        password = sys.stdin.readline().removesuffix("\n")
    if not password:
        print("tenantgate token: the password is empty", file=sys.stderr)
        return 2
    print(make_verifier(password))
    return 0


def _note(text: str) -> None:
    print(f"note: {text}", file=sys.stderr)


def _duration(text: str) -> float:
    try:
        seconds = parse_duration_s(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{error}. {DURATION_HINT}") from None
    if not 1 <= seconds <= 366 * 86_400:
        raise argparse.ArgumentTypeError("must be from 1 s to 366 days")
    return seconds
