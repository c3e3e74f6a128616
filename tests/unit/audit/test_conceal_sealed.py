"""Texts encrypted, the log sealed: seals are over the ciphertext, so shredding a key leaves them and proofs whole."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from proxy.audit.conceal import ERASED, key_store_path, reveal
from proxy.audit.emitter import AuditEmitter
from proxy.audit.tenant_proof import prove_tenant
from proxy.audit.text_keys import TextKeys
from proxy.audit.verify import verify_file
from proxy.config import AuditConfig
from tests.unit.audit.samples import read_lines
from tests.unit.audit.sealed import KEY, sealed_config
from tests.unit.audit.test_conceal import KEY as TEXT_KEY
from tests.unit.audit.test_conceal import SECRET, of, run_of
from tests.unit.audit.test_tenant_proof import VERIFIER


async def write(config: AuditConfig, rounds: int) -> None:
    emitter = AuditEmitter(config)
    emitter.start()
    for _ in range(rounds):
        for event in (of("alice"), run_of("bob"), of("gus", "globex")):
            emitter.emit(event)
        emitter._flush()
    await emitter.close()


def check_proof(directory: Path, log: Path) -> str:
    proof, why_not = prove_tenant([log], "acme", trusted=KEY.public)
    assert proof is not None, why_not
    (directory / "proof.json").write_text(json.dumps(proof, ensure_ascii=False))
    (directory / "key.pub").write_text(KEY.public.pem())
    command = [sys.executable, "-I", str(VERIFIER), "proof.json", "key.pub"]
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return (directory / "proof.json").read_text()


async def test_shredding_leaves_seals_and_proofs_whole(tmp_path: Path) -> None:
    config = replace(sealed_config(tmp_path / "audit.jsonl", every=7), conceal="subject", text_key=TEXT_KEY)
    await write(config, 10)
    sealed = verify_file(config.path, trusted=KEY.public)
    assert (sealed.ok, sealed.seals.segments > 2, sealed.seals.unsealed) == (True, True, 1)
    assert SECRET not in check_proof(tmp_path, config.path)

    keys = TextKeys(key_store_path(config), TEXT_KEY)
    assert len(keys.shred("acme", "alice", "art. 17")) == 1
    after = verify_file(config.path, trusted=KEY.public)
    assert (after.ok, after.head, after.seals.signatures) == (True, sealed.head, sealed.seals.signatures)
    check_proof(tmp_path, config.path)

    await write(config, 1)  # under a new key, in the same chain
    assert verify_file(config.path, trusted=KEY.public).ok
    events = [json.loads(line) for line in read_lines(config.path) if b'"event":"statement"' in line]
    shown = [(event["subject"], reveal(event, keys)["statement"]) for event in events]
    keys.close()
    assert shown == [("alice", ERASED), ("bob", SECRET), ("gus", SECRET)] * 10 + [
        ("alice", SECRET), ("bob", SECRET), ("gus", SECRET),
    ]  # fmt: skip
