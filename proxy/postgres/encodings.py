"""Client encodings: how a session's statements are read and written where they are not in UTF-8.

The target converts what the client sends and gets, so the gateway must read a text as the target does. Python's codecs
in this table decode every character as PostgreSQL's conversions do (a test asks a server), but for a few of EUC_JP,
which are refused. In any other encoding only texts of ASCII bytes are taken, which all of PostgreSQL's read alike.

Values and rows are not looked at. Source: PostgreSQL documentation, "Character Set Support".
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from policy.errors import InvalidStatement

_ASCII = "ascii"
CODECS: Mapping[str, str] = MappingProxyType(
    {
        "LATIN1": "iso8859-1", "LATIN2": "iso8859-2", "LATIN3": "iso8859-3", "LATIN4": "iso8859-4",
        "LATIN5": "iso8859-9", "LATIN6": "iso8859-10", "LATIN7": "iso8859-13", "LATIN8": "iso8859-14",
        "LATIN9": "iso8859-15", "LATIN10": "iso8859-16",
        "ISO_8859_5": "iso8859-5", "ISO_8859_6": "iso8859-6", "ISO_8859_7": "iso8859-7", "ISO_8859_8": "iso8859-8",
        "WIN866": "cp866", "WIN874": "cp874", "WIN1250": "cp1250", "WIN1251": "cp1251", "WIN1252": "cp1252",
        "WIN1253": "cp1253", "WIN1254": "cp1254", "WIN1255": "cp1255", "WIN1256": "cp1256", "WIN1257": "cp1257",
        "WIN1258": "cp1258", "KOI8R": "koi8-r", "KOI8U": "koi8-u",
        "EUC_CN": "gb2312", "EUC_JP": "euc_jp", "EUC_KR": "euc_kr",
    }
)  # fmt: skip
"""By the name that PostgreSQL reports."""

AMBIGUOUS: Mapping[str, frozenset[str]] = MappingProxyType({"euc_jp": frozenset("〜‖−¢£¬¦")})
"""Characters that the two read differently."""


def codec_of(reported: str) -> str | None:
    """The codec for an encoding as the target reports it; None: UTF-8."""
    return None if reported in ("UTF8", "SQL_ASCII") else CODECS.get(reported, _ASCII)


def is_utf8(setting: str) -> bool:
    """Whether a value for client_encoding, as clients spell it, means UTF-8 (or no conversion from it)."""
    spelled = "".join(character for character in setting.lower() if character.isascii() and character.isalnum())
    return spelled in ("utf8", "unicode", "sqlascii")


def decode_text(body: bytes, codec: str) -> str:
    """Raises InvalidStatement (22021) for what is not known to be read alike."""
    try:
        text = body.decode(codec)
    except UnicodeDecodeError:
        raise _unread() from None
    if not AMBIGUOUS.get(codec, frozenset()).isdisjoint(text):
        raise _unread()
    return text


def _unread() -> InvalidStatement:
    return InvalidStatement(
        "query string has characters that the gateway does not read in this client_encoding",
        sqlstate="22021",
        hint="Set client_encoding to UTF8, or pass them as parameters.",
    )


def encode_text(text: str, codec: str) -> bytes:
    """Raises InvalidStatement (22P05) for characters that the encoding does not have."""
    try:
        return text.encode(codec)
    except UnicodeEncodeError:
        raise InvalidStatement(
            "the statement has characters that this client_encoding lacks",
            sqlstate="22P05",
            hint="Set client_encoding to UTF8.",
        ) from None
