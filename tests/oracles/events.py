"""An event simulator of one nest: transfers and array steps, with ports, links and buffers as they fill and empty.

It checks the latency formula; it does not follow it. What is simulated:

- The array makes one step per cycle, once its inputs are there and the result before the last has left (the array's
  own registers hold one operand ahead and one result behind, so cut 0 is double-buffered).
- A transfer of docs/cost.md becomes a job: so many cycles on every port and link that it uses. It may start when its
  data are in the place above (or, upwards, complete in the place below) and the copy below that it replaces is done
  with: the one before the last where the memory is double, the last where it is single. A port moves one word per
  cycle and may change between jobs from cycle to cycle; a job is done when all its ports are done with it. A pipelined
  register is taken at its word: as if it had a second copy.
- Partial sums at cut 0 are forwarded: a step does not wait for its predecessor's sum to have been written.
- A port serves, of the jobs that may move, the one whose data are needed at the earliest array step; or, `in_order`,
  only the first in the order in which the program issues them (a double buffer's refill is issued when the tile
  before it begins to be used, outer levels first), even while that one has to wait.
"""

from __future__ import annotations

import bisect
from collections import defaultdict
from dataclasses import dataclass, field

from tests.oracles.loops import Run, Step, Transfer
from weft.model.mapping import Mapping, Problem
from weft.model.workload import Operand

NEVER = 1 << 60


@dataclass(eq=False)
class Job:
    """A transfer on its way, or an array step (no work).

    Args:
        work:   cycles on each port or link.
        needed: the array step that needs it done.
        issued: where the program issues it.
    """

    work: dict[str, int]
    needed: int
    issued: tuple[int, int, int]
    waits: int = 0
    after: list[Job] = field(default_factory=list)
    left: int = 0
    order: int = 0
    done: bool = False

    def follows(self, *others: Job | None) -> None:
        for other in others:
            if other is not None:
                other.after.append(self)
                self.waits += 1


@dataclass(frozen=True)
class Simulated:
    """Total cycles, and the cycle in which each array step was done."""

    total: int
    steps: tuple[int, ...]


def simulate(problem: Problem, mapping: Mapping, in_order: bool = False) -> Simulated:
    """Runs the nest from its first transfer to its last."""
    return _Network(Run(problem, mapping)).run(in_order)


class _Network:
    """All jobs of a nest and what each waits for."""

    def __init__(self, run: Run) -> None:
        self.work = run
        self.compute = [Job({}, step, (step, 0, 0)) for step in range(len(run.entered[0]))]
        for before, after in zip(self.compute, self.compute[1:], strict=False):
            after.follows(before)
        self.jobs: list[Job] = []
        for operand in run.problem.op.operands:
            if operand.slot == "O":
                self._output(operand)
            else:
                self._input(operand)

    def _steps(self, operand: Operand, cut: int) -> tuple[list[Step], list[int]]:
        """The steps of a cut and the array steps at which they begin (and, last, at which the nest ends)."""
        steps = self.work.entered[self.work.position(operand, cut)]
        return steps, [*(step.before for step in steps), len(self.compute)]

    def _copies(self, operand: Operand, cut: int) -> int:
        """How many tiles the place below a cut holds at a time."""
        if cut == 0:
            return 2
        memory = self.work.problem.chip.memory(self.work.chain[operand.name][cut - 1].memory)
        return 1 if memory.buffering == "single" else 2

    def _job(self, operand: Operand, cut: int, transfer: Transfer, needed: int, issued: int) -> Job:
        work: dict[str, int] = defaultdict(int)
        for charge in self.work.charges(operand, cut, transfer):
            work[charge.resource] += charge.cycles
        # Of jobs issued together, those on their way up go first, inner before outer; downwards the outer ones lead.
        place = (issued, cut - NEVER if transfer.upward else -cut, len(self.jobs))
        job = Job({port: cycles for port, cycles in work.items() if cycles}, needed, place)
        self.jobs.append(job)
        return job

    def _at(self, step: int) -> Job | None:
        """The array step just before number `step`: whoever follows it waits until `step` of them are done."""
        return self.compute[step - 1] if step > 0 else None

    def _input(self, operand: Operand) -> None:
        above: tuple[list[int], list[Job]] | None = None
        made: list[tuple[list[int], list[Job]]] = []
        cuts = len(self.work.chain[operand.name])
        for cut in reversed(range(cuts)):
            _, begins = self._steps(operand, cut)
            copies = self._copies(operand, cut)
            jobs: list[Job] = []
            for number, transfer in enumerate(self.work.transfers(operand, cut)):
                issued = begins[number] if copies == 1 else begins[number - 1] if number else -1
                source = above[1][_covering(above[0], begins[number])] if above else None
                if source is not None:
                    issued = max(issued, source.issued[0])
                job = self._job(operand, cut, transfer, begins[number], issued)
                job.follows(source)
                jobs.append(job)
            made.append((begins, jobs))
            above = made[-1]
        for cut, (begins, jobs) in zip(reversed(range(cuts)), made, strict=True):
            copies = self._copies(operand, cut)
            for number, job in enumerate(jobs):
                gone = number - copies
                if gone < 0:
                    continue
                if cut == 0:
                    job.follows(self._at(begins[gone + 1]))
                else:
                    # The tile below is done with when its last part has gone further down.
                    lower_begins, lower_jobs = made[cuts - cut]
                    job.follows(lower_jobs[_covering(lower_begins, begins[gone + 1] - 1)])
        begins, jobs = made[-1]
        for begin, job in zip(begins, jobs, strict=False):
            self.compute[begin].follows(job)

    def _output(self, operand: Operand) -> None:
        outer: _Visits | None = None
        for cut in reversed(range(len(self.work.chain[operand.name]))):
            outer = self._visits(operand, cut, outer)
        assert outer is not None
        # The array keeps one result behind: step t waits until the result of t - 2 has been taken.
        for step, compute in enumerate(self.compute):
            compute.follows(outer.back[step], outer.up[step - 2] if step >= 2 else None)
            outer.up[step].follows(compute)

    def _visits(self, operand: Operand, cut: int, outer: _Visits | None) -> _Visits:
        steps, begins = self._steps(operand, cut)
        copies = self._copies(operand, cut)
        transfers = self.work.transfers(operand, cut)
        seen: dict[tuple[int, ...], Job] = {}
        back: list[Job | None] = []
        up: list[Job] = []
        for number, step in enumerate(steps):
            begin, end = begins[number], begins[number + 1]
            tile = self.work._tile_of(operand, step)
            ready = outer.ready(begin) if outer else []
            returned = None
            if tile in seen:
                issued = begin if copies == 1 else begins[number - 1]
                # A clipped tile may be visited again at once: then it goes up before it comes back.
                first = [*ready, *([seen[tile]] if cut else [])]
                issued = max([issued, *(job.issued[0] for job in first)])
                returned = self._job(operand, cut, next(transfers), begin, issued)
                returned.follows(*first)
                if cut == 0:
                    # At the array a sum that comes in and one that leaves have a register each.
                    returned.follows(self._at(begins[number - 1]))
                elif number >= copies:
                    returned.follows(up[number - copies])
            reused = begins[number + copies] if number + copies < len(steps) else NEVER
            away = self._job(operand, cut, next(transfers), reused, end)
            away.follows(*ready)
            if outer:
                outer.last_of(begin).follows(away)
            seen[tile] = away
            back.append(returned)
            up.append(away)
        return _Visits(begins, back, up, copies)

    def run(self, in_order: bool) -> Simulated:
        """Cycle by cycle, leaping while the array waits."""
        for order, job in enumerate(sorted(self.jobs, key=lambda job: job.issued if in_order else _need(job))):
            job.order = order
        by_port: dict[str, list[Job]] = defaultdict(list)
        for job in sorted(self.jobs, key=lambda job: job.order):
            job.left = len(job.work)
            for port in job.work:
                by_port[port].append(job)
        head = dict.fromkeys(by_port, 0)
        ready: dict[str, list[tuple[int, Job]]] = {port: [] for port in by_port}
        now, steps, finished = 0, list[int](), 0
        each = work = self.work.passes()
        at_once = [job for job in self.jobs if job.waits == 0]
        self._settle(at_once, ready)
        finished = sum(job.done for job in self.jobs)
        everything = len(self.jobs)
        while finished < everything or len(steps) < len(self.compute):
            serving: dict[str, Job] = {}
            for port, waiting in ready.items():
                if in_order:
                    queue, first = by_port[port], head[port]
                    while first < len(queue) and port not in queue[first].work:
                        first += 1
                    head[port] = first
                    if first < len(queue) and queue[first].waits == 0:
                        serving[port] = queue[first]
                elif waiting:
                    serving[port] = waiting[0][1]
            array = self.compute[len(steps)] if len(steps) < len(self.compute) else None
            works = array is not None and array.waits == 0
            if not works and not serving:
                raise AssertionError("nothing can move")
            leap = 1 if works else min(job.work[port] for port, job in serving.items())
            now += leap
            freed: list[Job] = []
            for port, job in serving.items():
                job.work[port] -= leap
                if job.work[port] == 0:
                    del job.work[port]
                    if not in_order:
                        ready[port].pop(0)
                    if not job.work:
                        job.done = True
                        finished += 1
                        freed += job.after
            work -= works
            if work == 0 and array is not None:
                work = each
                steps.append(now)
                freed += array.after
            opened = []
            for job in freed:
                job.waits -= 1
                if job.waits == 0:
                    opened.append(job)
            finished += self._settle(opened, ready)
        return Simulated(now, tuple(steps))

    def _settle(self, opened: list[Job], ready: dict[str, list[tuple[int, Job]]]) -> int:
        """Queues jobs that may move at their ports; those without work are done at once: how many were."""
        empty = 0
        while opened:
            job = opened.pop()
            if job in self._array or job.done:
                continue
            if job.work:
                for port in job.work:
                    bisect.insort(ready[port], (job.order, job), key=lambda item: item[0])
                continue
            job.done = True
            empty += 1
            for other in job.after:
                other.waits -= 1
                if other.waits == 0:
                    opened.append(other)
        return empty

    @property
    def _array(self) -> frozenset[Job]:
        if not hasattr(self, "_array_jobs"):
            self._array_jobs = frozenset(self.compute)
        return self._array_jobs


@dataclass
class _Visits:
    """The visits of an output at one cut, seen from the cut below it."""

    begins: list[int]
    back: list[Job | None]
    up: list[Job]
    copies: int

    def ready(self, step: int) -> list[Job]:
        """What must be done before the place below this cut takes part of the tile in use at an array step."""
        number = _covering(self.begins, step)
        away = self.up[number - self.copies] if number >= self.copies else None
        return [job for job in (self.back[number], away) if job is not None]

    def last_of(self, step: int) -> Job:
        """The way up of the tile in use at an array step; it waits for all parts below."""
        return self.up[_covering(self.begins, step)]


def _covering(begins: list[int], step: int) -> int:
    """Which of the windows that begin at `begins` (the last entry: their end) holds an array step."""
    return bisect.bisect_right(begins, step, 0, len(begins) - 1) - 1


def _need(job: Job) -> tuple[int, int, int]:
    """Earliest need first; for one step, what comes from further out first, since the rest waits for it."""
    return job.needed, job.issued[1], job.issued[2]
