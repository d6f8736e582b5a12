"""Changes `cost/` and `mapper/` in small ways, and tells which changes no test sees.

    python -m tests.mutation.hunt [FILE...] [--most N] [--again] [--seconds S]

Tests are collected and run once; then a process is forked for each change, which runs those that pass its lines, the
quickest first, until one fails. Kernels run as plain Python, but for files of `suites.COMPILED`.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import json
import os
import random
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from _pytest.outcomes import Skipped
from _pytest.runner import runtestprotocol

from tests.mutation.changes import Mutant, mutants
from tests.mutation.page import reasons, write_page
from tests.mutation.planted import forget, plant
from tests.mutation.suites import COMPILED, SUITES

ROOT = Path(__file__).parents[2]
SLACK_SECONDS = 2.0
SLOWER = 5
"""A test is given this many times what it takes unchanged, and the slack: what takes longer has been seen."""
MORE_BYTES = 2 << 30


@dataclass
class Hunt:
    """A pytest plugin that runs changed code in place of a session's tests."""

    called: str
    again: bool
    most: int | None
    until: float
    known: dict[str, Any]
    seconds: dict[str, float] = field(default_factory=dict)
    lines: dict[str, set[int]] = field(default_factory=dict)
    found: dict[str, Any] = field(default_factory=dict)

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        path = ROOT / "src" / "weft" / self.called
        module = importlib.import_module("weft." + self.called.removesuffix(".py").replace("/", "."))
        every = list(mutants(path, self.called))
        chosen = every
        if self.most is not None and len(every) > self.most:
            chosen = random.Random(self.called).sample(every, self.most)
        settled = {name for name, one in self.known.items() if one["fate"] == "killed" or name in reasons()}
        wanted = [mutant for mutant in chosen if not self.again or mutant.name not in settled]
        if wanted:
            self.run_unchanged(session, path)
        items = sorted(session.items, key=lambda item: self.seconds.get(item.nodeid, 0.0))
        old = {m.name: self.known[m.name] for m in chosen if m.name in self.known}
        self.found = {"there": len(every), "mutants": old}
        for number, mutant in enumerate(wanted):
            if time.monotonic() > self.until:
                break
            begin = resource.getrusage(resource.RUSAGE_CHILDREN)
            fate, by = self.fate(mutant, module, items)
            end = resource.getrusage(resource.RUSAGE_CHILDREN)
            spent = end.ru_utime + end.ru_stime - begin.ru_utime - begin.ru_stime
            old[mutant.name] = {"fate": fate, "by": by, "seconds": round(spent, 2), "lines": mutant.lines}
            if fate != "killed":
                print(f"{number}/{len(wanted)} {fate} {spent:.1f} s  l.{mutant.lines[0]} {mutant.name}", flush=True)
        return True

    def run_unchanged(self, session: pytest.Session, path: Path) -> None:
        """Runs each test once, notes which lines of the file it passes and how long it takes."""
        failed = []
        for item in session.items:
            passed: set[int] = set()
            sys.settrace(_tracer(str(path), passed))
            forget()
            reports = runtestprotocol(item, log=False)
            forget()
            sys.settrace(None)
            begin = time.process_time()
            if passed:
                reports += runtestprotocol(item, log=False)
            self.seconds[item.nodeid] = time.process_time() - begin
            self.lines[item.nodeid] = passed
            failed += [report for report in reports if report.failed]
        if failed:
            raise SystemExit(f"tests must pass on unchanged code: {failed[0].nodeid} {failed[0].longreprtext}")
        total = sum(self.seconds.values())
        print(f"{self.called}: {len(session.items)} tests, {total:.1f} s", flush=True)

    def fate(self, mutant: Mutant, module: Any, items: list[pytest.Item]) -> tuple[str, str]:
        """("killed" | "survived" | "unseen", the test that saw it)."""
        first, last = mutant.lines
        run = [
            item
            for item in items
            if self.lines[item.nodeid] and (not mutant.inside or self.lines[item.nodeid] & set(range(first, last + 1)))
        ]
        if not run:
            return "unseen", ""
        receive, send = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(receive)
            _in_child(lambda say: self.try_all(mutant, module, run, say), send)
        os.close(send)
        told = b""
        while part := os.read(receive, 4096):
            told += part
        os.close(receive)
        _, status = os.waitpid(child, 0)
        last_test = told.decode().strip().rpartition("\n")[2]
        return ("survived", "") if status == 0 else ("killed", last_test)

    def try_all(self, mutant: Mutant, module: Any, run: list[pytest.Item], say: Callable[[str], None]) -> bool:
        """Whether every test passes."""
        say("importing")
        _limit(SLACK_SECONDS)
        plant(module, mutant.code)
        for item in run:
            say(item.nodeid)
            _limit(SLACK_SECONDS + SLOWER * self.seconds[item.nodeid])
            item._initrequest()  # type: ignore[attr-defined]
            with contextlib.suppress(Skipped):
                item.session._setupstate.setup(item)
                item.runtest()
            item.session._setupstate.teardown_exact(None)
        return True


def _limit(seconds: float) -> None:
    signal.setitimer(signal.ITIMER_PROF, seconds)


def _in_child(work: Callable[[Callable[[str], None]], bool], send: int) -> None:
    """Runs `work` and leaves the process with 0 where it says that all is well."""
    status = 1
    try:
        signal.signal(signal.SIGPROF, signal.SIG_DFL)
        soft = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize() + MORE_BYTES
        resource.setrlimit(resource.RLIMIT_AS, (soft, soft))
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.dup2(nowhere, 2)
        if work(lambda text: _write(send, text)):
            status = 0
    except BaseException:
        status = 1
    finally:
        os._exit(status)


def _write(send: int, text: str) -> None:
    os.write(send, f"{text}\n".encode())


def _tracer(filename: str, passed: set[int]) -> Any:
    def within(frame: FrameType, event: str, argument: object) -> Any:
        passed.add(frame.f_lineno)
        return within

    def outer(frame: FrameType, event: str, argument: object) -> Any:
        if frame.f_code.co_filename != filename:
            return None
        passed.add(frame.f_lineno)
        return within

    return outer


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("files", nargs="*", help="under src/weft; all of cost/ and mapper/ where none is named")
    parser.add_argument("--most", type=int, help="changes of one file, drawn where there are more")
    parser.add_argument("--again", action="store_true", help="only those that were missed before")
    parser.add_argument("--alone", action="store_true", help="in this process, without a page")
    parser.add_argument("--seconds", type=float, default=1e9, help="stop after this time")
    asked = parser.parse_args()
    until = time.monotonic() + asked.seconds
    for called in asked.files or SUITES:
        left = until - time.monotonic()
        if asked.alone:
            hunt_one(called, asked.again, asked.most, until)
        elif left > 0:
            most = ["--most", str(asked.most)] if asked.most is not None else []
            again = ["--again"] if asked.again else []
            plain = {} if called in COMPILED else {"NUMBA_DISABLE_JIT": "1"}
            command = [sys.executable, "-m", "tests.mutation.hunt", called, "--alone", "--seconds", str(left)]
            subprocess.run([*command, *most, *again], check=True, cwd=ROOT, env={**os.environ, **plain})
    kept = {called: json.loads(path.read_text("utf-8")) for called in SUITES if (path := results(called)).exists()}
    write_page(ROOT / "docs" / "mutation.md", kept, SLOWER)


def results(called: str) -> Path:
    """Where the fates of one file's changes are kept."""
    return ROOT / "build" / "mutants" / f"{called.replace('/', '.')}.json"


def hunt_one(called: str, again: bool, most: int | None, until: float) -> None:
    """One file, in this process."""
    path = results(called)
    known = json.loads(path.read_text("utf-8"))["mutants"] if again and path.exists() else {}
    hunt = Hunt(called, again, most, until, known)
    options = ["-q", "-s", "-p", "no:cacheprovider", "--assert=plain", "-m", "not verify"]
    begin = time.process_time()
    status = pytest.main([*options, *(str(ROOT / target) for target in SUITES[called])], plugins=[hunt])
    assert status == pytest.ExitCode.OK, f"the hunt in {called} must come to its end"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({**hunt.found, "own_seconds": round(time.process_time() - begin, 1)}, indent=1), "utf-8")


if __name__ == "__main__":
    main()
