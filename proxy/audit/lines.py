"""Lines of an audit log read back: their parts, and the hash that they must have. Pure; `chain.py` writes them."""

from __future__ import annotations

import hashlib
import json

from proxy.audit.chain import FORMATS, ChainHead
from proxy.audit.errors import MalformedLine


def parse_line(line: bytes) -> tuple[int, bytes, bytes, bytes]:
    """Take a line without its newline apart: (seq, prev, hash, the hashed bytes). Raises MalformedLine.

    A quote inside a JSON string is always escaped, so `,"hash":"` can stand nowhere but at a member of that name; the
    line's own is the last, for only `details`, which stands before it, may have members of any name. It is not hashed
    itself, so it must be where canonical JSON has it: before the line's `id`, or a seal's `head`.
    """
    hash_at = line.rfind(b',"hash":"')
    hash_end = hash_at + 73
    prev_at = line.find(b',"prev":"', hash_end)
    seq_at = line.find(b',"seq":', prev_at + 73)
    digits = line[seq_at + 7 : line.find(b",", seq_at + 7)]
    if hash_at < 0 or prev_at < 0 or seq_at < 0 or line[hash_end : hash_end + 1] != b'"' or not digits.isdigit():
        raise MalformedLine("not a line of an audit log")
    body = line[:hash_at] + line[hash_end + 1 :]
    behind = b',"head":"' if b',"event":"seal",' in body else b',"id":"'
    if line.rfind(behind) != hash_end + 1 and behind in body:  # format 1 has no `id`
        raise MalformedLine("its hash does not stand where it was written")
    return int(digits[:20]), line[prev_at + 9 : prev_at + 73], line[hash_at + 9 : hash_end], body


def line_hash(prev: bytes, body: bytes) -> bytes:
    """What a line's `hash` must be, as ASCII hex digits."""
    return hashlib.sha256(prev + body).hexdigest().encode()


def head_of(line: bytes) -> ChainHead:
    """The chain's head if `line` is its last one. Raises MalformedLine, also when its own hash is wrong."""
    seq, prev, digest, body = parse_line(line)
    if line_hash(prev, body) != digest:
        raise MalformedLine("the line does not have the hash that it carries")
    return ChainHead(seq, digest.decode())


def chain_id_of(header: bytes) -> str:
    """The random id of the chain that a file with this first line belongs to. Raises MalformedLine."""
    try:
        fields = json.loads(header)
        if fields["event"] == "header" and fields["format"] in FORMATS:
            return str(fields["chain"])
    except (ValueError, KeyError, TypeError):
        pass
    raise MalformedLine("the first line is not a header that this version understands")
