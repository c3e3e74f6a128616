"""Proofs of one tenant's record, checked by the verifier in docs/, which has nothing of ours in it."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from admin.cli.main import main
from proxy.audit.emitter import AuditEmitter
from proxy.audit.errors import MalformedLine
from proxy.audit.signing import SEAL, SigningKey
from proxy.audit.tenant_proof import prove_tenant
from proxy.config import AuditConfig
from tests.unit.audit.samples import read_lines, write_lines
from tests.unit.audit.sealed import KEY, OTHER_KEY, TENANTS, write_sealed

VERIFIER = Path(__file__).parents[3] / "docs/verify_proof.py"
Check = Callable[..., tuple[int, str]]


@pytest.fixture
async def log(tmp_path: Path) -> Path:
    """Two keys, three runs, and segments of a few lines, in some of which a tenant has none."""
    path = tmp_path / "audit.jsonl"
    await write_sealed(path, 31, every=2)
    await write_sealed(path, 31, SigningKey.from_text(SECOND.pem()), every=7)
    torn = read_lines(path)[40][:200]
    path.write_bytes(path.read_bytes() + torn)  # a killed gateway's last line, with somebody's data
    await write_sealed(path, 0, SigningKey.from_text(SECOND.pem()))
    return path


SECOND = KEY.hand_over()


@pytest.fixture
def check(tmp_path: Path) -> Check:
    def run(proof: Any, key: SigningKey = KEY) -> tuple[int, str]:
        (tmp_path / "proof.json").write_text(json.dumps(proof, ensure_ascii=False))
        (tmp_path / "key.pub").write_text(key.public.pem())
        command = [sys.executable, "-I", str(VERIFIER), "proof.json", "key.pub"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
        return done.returncode, done.stdout + done.stderr

    return run


def proof_of(log: Path, tenant: str = "acme", **options: Any) -> dict[str, Any]:
    proof, problem = prove_tenant([log], tenant, **options)
    assert proof is not None, problem
    return proof


def test_the_verifier_is_short_and_has_nothing_of_ours() -> None:
    text = VERIFIER.read_text()
    assert len(text.splitlines()) <= 100
    imports = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Import | ast.ImportFrom)]
    names = {alias.name for node in imports if isinstance(node, ast.Import) for alias in node.names}
    names |= {str(node.module) for node in imports if isinstance(node, ast.ImportFrom)}
    assert {name.split(".")[0] for name in names} - {"cryptography"} <= sys.stdlib_module_names


@pytest.mark.parametrize("tenant", TENANTS)
def test_a_record_is_proved_whole(log: Path, check: Check, tenant: str) -> None:
    proof = proof_of(log, tenant)
    status, said = check(proof)
    assert status == 0, said
    segments = [segment for segment in proof["chains"][0]["segments"] if not segment["whole"]]
    lines = [line for segment in segments for line in segment["lines"]]
    written = [line for line in read_lines(log) if json.loads(line).get("tenant") == tenant]
    assert lines == [line.decode() for line in written]
    assert f"{len(written)} line(s) of {tenant}" in said
    assert said.endswith(f"PROVED: the record of tenant {tenant} is whole and unchanged\n")


def test_it_shows_nothing_of_other_tenants(log: Path) -> None:
    text = json.dumps(proof_of(log, "acme"))
    assert b'"torn":' in log.read_bytes()
    assert "torn" not in text
    assert "globex" not in text
    assert "mbrella" not in text
    others = [fields for line in read_lines(log) if (fields := json.loads(line)).get("tenant") == "globex"]
    segments = proof_of(log)["chains"][0]["segments"]
    shown = [json.loads(line)["prev"] for part in segments for line in part["lines"]]
    shown += [part["seal"]["head"] for part in segments]
    for fields in others:
        assert fields["id"] not in text
        assert fields["hash"] not in text or fields["hash"] in shown  # as `prev` of what stands behind it


def segments_with(proof: dict[str, Any], lines: bool) -> list[dict[str, Any]]:
    return [part for part in proof["chains"][0]["segments"] if not part["whole"] and bool(part["lines"]) == lines]


def drop_a_line(proof: dict[str, Any]) -> None:
    segments_with(proof, True)[1]["lines"].pop()


def hide_all_of_a_segment(proof: dict[str, Any]) -> None:
    segments_with(proof, True)[2]["lines"].clear()


def say_that_another_stands_there(proof: dict[str, Any]) -> None:
    part = segments_with(proof, True)[0]
    part["lines"].clear()
    part["other"] = ["ab" * 32, "cd" * 32]


def drop_a_segment(proof: dict[str, Any]) -> None:
    del proof["chains"][0]["segments"][3]


def change_a_line(proof: dict[str, Any]) -> None:
    lines = segments_with(proof, True)[0]["lines"]
    lines[0] = lines[0].replace('"rows":2', '"rows":3')


def double_a_line(proof: dict[str, Any]) -> None:
    lines = segments_with(proof, True)[0]["lines"]
    lines.append(lines[0])


def move_a_line(proof: dict[str, Any]) -> None:
    first, second = segments_with(proof, True)[:2]
    second["lines"].insert(0, first["lines"].pop())


def add_to_an_empty_segment(proof: dict[str, Any]) -> None:
    segments_with(proof, False)[0]["lines"].append(segments_with(proof, True)[0]["lines"][0])


def change_a_seal(proof: dict[str, Any]) -> None:
    proof["chains"][0]["segments"][2]["seal"]["last_seq"] += 1


def sign_with_another_key(proof: dict[str, Any]) -> None:
    seal = proof["chains"][0]["segments"][2]["seal"]
    seal["signature"] = OTHER_KEY.sign(SEAL, seal)


def take_another_tenants_key(proof: dict[str, Any]) -> None:
    proof["chains"][0]["tenant_keys"][KEY.id] = KEY.tenant_proof("globex")


def change_the_handover(proof: dict[str, Any]) -> None:
    proof["chains"][0]["handovers"][0]["new_public"] = OTHER_KEY.public.raw.hex()


def say_that_a_segment_is_the_logs_own(proof: dict[str, Any]) -> None:
    segments_with(proof, True)[0]["whole"] = True


def cut_everything(proof: dict[str, Any]) -> None:
    proof["chains"][0]["segments"].clear()


@pytest.mark.parametrize(
    "harm",
    [
        drop_a_line, hide_all_of_a_segment, say_that_another_stands_there, drop_a_segment, change_a_line, double_a_line,
        move_a_line, add_to_an_empty_segment, change_a_seal, sign_with_another_key, take_another_tenants_key,
        change_the_handover, say_that_a_segment_is_the_logs_own, cut_everything,
    ],
)  # fmt: skip
def test_a_proof_that_was_changed_proves_nothing(log: Path, check: Check, harm: Callable[[Any], None]) -> None:
    proof = proof_of(log)
    harm(proof)
    status, said = check(proof)
    assert status == 1
    assert "NOT PROVED" in said


def test_another_key_proves_nothing(log: Path, check: Check) -> None:
    assert check(proof_of(log), OTHER_KEY)[0] == 1


async def test_that_a_tenant_has_no_line_is_proved_with_the_private_key(
    log: Path, tmp_path: Path, check: Check
) -> None:
    with pytest.raises(MalformedLine, match="--signing-key"):
        prove_tenant([log], "nobody")
    path = tmp_path / "one-key.jsonl"
    await write_sealed(path, 20)
    status, said = check(proof_of(path, "nobody", key=KEY))
    assert (status, "0 line(s) of nobody" in said) == (0, True)
    stranger = proof_of(path, "nobody", key=KEY)
    stranger["tenant"] = "acme"
    assert check(stranger)[0] == 1


def test_a_log_that_was_tampered_with_proves_nothing(log: Path) -> None:
    lines = read_lines(log)
    del lines[5]
    write_lines(log, lines)
    proof, problem = prove_tenant([log], "acme")
    assert proof is None
    assert "line 6: missing" in problem


async def test_workers_logs_are_proved_with_the_supervisors(tmp_path: Path, check: Check) -> None:
    workers = [tmp_path / f"audit-{seat}.jsonl" for seat in (1, 2)]
    supervisor = AuditEmitter(AuditConfig(path=tmp_path / "audit.jsonl", signing_key=KEY.pem()))
    supervisor.start()
    for path in workers:
        await write_sealed(path, 9)
        last = json.loads(read_lines(path)[-1])
        note = {
            "event": "worker",
            "outcome": "sealed",
            "file": path.name,
            "chain": last["chain"],
            "worker": 1,
            "pid": 1,
        }
        supervisor.note({**note, "at_seq": last["seq"], "at_hash": last["hash"]})
    await supervisor.close()
    proof = proof_of(tmp_path / "audit.jsonl")
    assert len(proof["chains"]) == 3
    status, said = check(proof)
    assert status == 0, said
    for taken in (1, 2):
        less = {**proof, "chains": [chain for number, chain in enumerate(proof["chains"]) if number != taken]}
        assert check(less)[0] == 1
    proof["chains"][1]["segments"].pop()
    assert "missing or cut" in check(proof)[1]


def test_the_commands(log: Path, capsys: pytest.CaptureFixture[str], check: Check) -> None:
    key = log.with_name("seal.key")
    assert main(["audit", "keygen", "-o", str(key)]) == 0
    assert key.stat().st_mode & 0o777 == 0o600
    assert main(["audit", "keygen", "-o", str(key)]) == 2
    second = log.with_name("second.key")
    assert main(["audit", "keygen", "--after", str(key), "-o", str(second)]) == 0
    old = SigningKey.from_text(key.read_text())
    assert SigningKey.from_text(second.read_text()).handovers[0].holds(old.public)
    capsys.readouterr()

    public, output = log.with_name("ours.pub"), log.with_name("out.json")
    public.write_text(KEY.public.pem())
    prove = ["audit", "prove", "--tenant", "acme", "-o", str(output), "--public-key", str(public), str(log)]
    assert main(prove) == 0
    assert "line(s) of tenant acme" in capsys.readouterr().out
    assert check(json.loads(output.read_text()))[0] == 0
    verify = ["audit", "verify", "--public-key", str(public), str(log)]
    assert main(verify) == 0
    assert f"by key {KEY.id}, {SECOND.id}" in capsys.readouterr().out
    assert main([*verify[:3], str(key) + ".pub", str(log)]) == 1
    assert "which is not trusted here" in capsys.readouterr().out
    assert main(["audit", "verify", "--anchor", str(log), str(log)]) == 2
    write_lines(log, read_lines(log)[1:])
    assert main(prove) == 1
    assert "nothing is proved" in capsys.readouterr().err
