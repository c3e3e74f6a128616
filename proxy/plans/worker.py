"""A process that compiles statements: `python -m proxy.plans.worker`, started by proxy/plans/workers.py.

It is meant to be lost: a text that exhausts its processor time or its memory ends this process and nothing else. It
has no secrets, no sockets and no files but the pipes to its gateway, and gives way to it. It ends with its gateway.
"""

from __future__ import annotations

import resource
import sys
import traceback
from typing import BinaryIO

from policy.sql.compile import compile_query
from proxy.plans.transport import HEADER, Compile, Compiled, Drop, Put, decode, encode

CPU_SECONDS = 8  # of one text; a megabyte of rows takes some three
MEMORY_BYTES = 1 << 30
_OPEN_FILES = 16
_OUT_OF_MEMORY = 3  # exit status


def main() -> int:
    """Serve until the gateway closes the pipe."""
    _limit()
    known: dict[int, object] = {}
    requests, answers = sys.stdin.buffer, sys.stdout.buffer
    while True:
        header = requests.read(HEADER.size)
        if len(header) < HEADER.size:
            return 0
        message = decode(requests.read(HEADER.unpack(header)[0]))
        match message:
            case Put():
                known[message.number] = message.value
            case Drop():
                known.pop(message.number, None)
            case Compile():
                try:
                    _answer(_compile(message, known), answers)
                except MemoryError:  # what it left behind is not to be trusted
                    return _OUT_OF_MEMORY


def _limit() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (_OPEN_FILES, _OPEN_FILES))


def _compile(request: Compile, known: dict[int, object]) -> Compiled:
    _allow_cpu(CPU_SECONDS)
    access, catalog = known[request.access], known[request.catalog]
    try:
        return Compiled(compile_query(request.text, access, catalog, schema=request.schema))  # type: ignore[arg-type]
    except MemoryError:
        raise
    except Exception:  # a bug of ours: the gateway logs it and refuses the statement
        return Compiled(None, traceback.format_exc())


def _allow_cpu(seconds: int) -> None:
    """End this process (SIGXCPU) when it has worked for so long from now on."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (int(used.ru_utime + used.ru_stime) + seconds, hard))


def _answer(answer: Compiled, answers: BinaryIO) -> None:
    answers.write(encode(answer))
    answers.flush()


if __name__ == "__main__":
    sys.exit(main())
