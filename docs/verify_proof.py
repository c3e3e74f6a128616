"""Check a proof of one tenant's audit record: python verify_proof.py proof.json seal.key.pub

Needs the standard library and `cryptography`, and nothing of TenantGate. Says what is proved and exits with 0, or what
is wrong and exits with 1. docs/audit.md explains the formats.
"""

import json
import sys
from hashlib import sha256
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key


def need(condition, what):
    _ = condition or sys.exit(f"NOT PROVED: {what}")


def h(*parts):
    return sha256(b"".join(parts)).digest()


def signed_bytes(
    kind, fields
):  # canonical JSON (RFC 8785) of all but the signature; our numbers need no more than this
    rest = {name: value for name, value in fields.items() if name != "signature"}
    return f"tenantgate audit {kind} 1\n{json.dumps(rest, sort_keys=True, separators=(',', ':'))}".encode()


def check_signature(key, signature, data, what):
    try:
        key.verify(bytes.fromhex(signature), data)
    except Exception:
        need(False, f"the signature of {what} is wrong")


def entry_of(line):  # a line's hash is over the hash of the line before it, then the line without its own hash
    (left, right), fields = line.rsplit(',"hash":"', 1), json.loads(line)
    digest = sha256((fields["prev"] + left + right[65:]).encode()).hexdigest()
    need(right[:64] == digest == fields["hash"], f"line {fields['seq']} was changed")
    return fields, bytes.fromhex(digest)


def merkle_root(entries):  # RFC 9162, 2.1.1
    if len(entries) == 1:
        return h(b"\0", entries[0])
    split = 1 << (len(entries) - 1).bit_length() - 1
    return h(b"\1", merkle_root(entries[:split]), merkle_root(entries[split:]))


def map_root(key, entries, path, other):  # from the tenant's place up: bit i of its key says on which side it stands
    node = h(b"\0", key, h(b"\2", len(entries).to_bytes(8, "big"), *entries)) if entries else bytes(32)
    if other and not entries:
        need(other[0] != key.hex() and len(other[0]) == 64, "the tenant has lines that are not shown")
        node = h(b"\0", *map(bytes.fromhex, other))
    for i in reversed(range(len(path))):
        sibling = bytes.fromhex(path[i])
        node = h(b"\1", sibling, node) if key[i // 8] >> (7 - i % 8) & 1 else h(b"\1", node, sibling)
    return node


def check_chain(chain, tenant, keys, noted, last=None, shown=0):
    for step in chain["handovers"]:
        if step["old"] in keys:
            check_signature(keys[step["old"]], step["signature"], signed_bytes("handover", step), "a handover")
            keys[step["new"]] = Ed25519PublicKey.from_public_bytes(bytes.fromhex(step["new_public"]))
    for segment in chain["segments"]:
        seal, name = segment["seal"], f"seal {segment['seal']['segment']} of chain {chain['chain']}"
        need(seal["key"] in keys and seal["chain"] == chain["chain"], f"{name} is of another chain, or key")
        check_signature(keys[seal["key"]], seal["signature"], signed_bytes("seal", seal), name)
        before = last and [last["segment"] + 1, sha256(signed_bytes("seal", last)).hexdigest(), last["last_seq"] + 1]
        need(before in (None, [seal["segment"], seal["previous"], seal["first_seq"]]), f"{name}: one before is missing")
        lines, entries = zip(*map(entry_of, segment["lines"]), strict=True) if segment["lines"] else ((), ())
        if segment["whole"]:
            need(entries and merkle_root(entries).hex() == seal["root"], f"{name}: not all of its lines")
            need(not any("tenant" in line for line in lines), f"{name}: lines of tenants, shown as the log's own")
            noted += [line for line in lines if line["event"] == "worker" and line["outcome"] == "sealed"]
        else:
            proof = chain["tenant_keys"][seal["key"]]
            check_signature(keys[seal["key"]], proof, f"tenantgate audit tenant 1\n{tenant}".encode(), "a tenant's key")
            root = map_root(h(bytes.fromhex(proof)), entries, segment["path"], segment["other"])
            need(root.hex() == seal["tenants_root"], f"{name}: other lines than {tenant} has")
            need(all(line["tenant"] == tenant for line in lines), f"{name}: a line is another tenant's")
            shown += len(lines)
        last = seal
    need(last, f"chain {chain['chain']} has no seal")
    span = f"seals {chain['segments'][0]['seal']['segment']} to {last['segment']}, the last made at {last['time']}"
    print(f"chain {chain['chain']}: {shown} line(s) of {tenant} in {span}")
    return last["last_seq"]


proof, key, noted, ends = json.loads(Path(sys.argv[1]).read_text()), Path(sys.argv[2]).read_bytes(), [], {}
for each in proof["chains"]:
    trusted = load_pem_public_key(key)
    ends[each["chain"]] = check_chain(each, proof["tenant"], {h(trusted.public_bytes_raw()).hex()[:16]: trusted}, noted)
for note in noted:
    need(ends.get(note["chain"], 0) >= note["at_seq"] - 1, f"chain {note['chain']} of a worker is missing or cut")
print(f"PROVED: the record of tenant {proof['tenant']} is whole and unchanged")
