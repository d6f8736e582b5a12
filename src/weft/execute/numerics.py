"""Executes a schedule tile by tile, each task on what lies in its memories then, and compares with ONNX Runtime.

Events are taken in the order of their starts. A task reads only residencies that are valid from its start to its end;
anything else is poison and fails the proof. Of a quantised network every op is fed ONNX Runtime's own inputs, and a
second pass, in which each op takes what the ones before it made, gives the difference end to end.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from weft.execute.arithmetic import Arithmetic
from weft.execute.meaning import Meaning
from weft.execute.nodes import NoArithmetic
from weft.execute.offline import offline
from weft.execute.outcome import Numerics, Progress, not_run
from weft.execute.reference import Refused, drawn, values
from weft.execute.tile import Tile
from weft.execute.values import Array, Memories, Numbers, Poisoned
from weft.model.schedule import Schedule, Task, Transfer
from weft.model.workload import Op, Workload
from weft.read.onnx.graph import Graph

CLOSE = 1e-4
"""Largest difference of floats, of the largest value of the tensor."""
_FEW, _SOFTMAX = 0.001, 0.1
"""Shares of integers that may be off by one: of sums and means, and of a softmax, which rounds on the way."""

_LONG = 48
"""Characters of a name that are shown."""


@dataclass(slots=True)
class _Compared:
    """One tensor against ONNX Runtime's, box by box; `op` makes it, and `exact`: its integers must be equal."""

    op: Op | None
    integers: bool
    largest: float
    exact: bool = False
    elements: int = 0
    different: int = 0
    error: float = 0.0

    def take(self, array: Array, reference: Array) -> None:
        self.elements += array.size
        wide = np.int64 if self.integers else np.result_type(array.dtype, np.float32)
        with np.errstate(all="ignore"):
            gap = np.abs(array.astype(wide) - reference.astype(wide))
        if not array.size or not gap.any():
            return
        if not np.isfinite(gap.max()):  # equal infinities, and NaN in both, are equal
            same = (array == reference) | ((array != array) & (reference != reference))
            gap = np.where(same, 0, np.nan_to_num(gap, nan=np.inf))
        self.different += int(np.count_nonzero(gap))
        self.error = max(self.error, float(gap.max()))

    @property
    def share(self) -> float:
        """The error as a share of the tensor's largest value."""
        return self.error / self.largest if self.largest else self.error

    def holds(self) -> bool:
        """Whether it is as close as it must be."""
        if not self.different:
            return True
        if not self.integers:
            return self.error <= CLOSE * self.largest
        if self.error > 1 or self.exact:
            return False
        share = _SOFTMAX if self.op is not None and self.op.kind == "softmax" else _FEW
        return self.different <= max(1, int(share * self.elements))


@dataclass(slots=True)
class _Pass:
    """One execution of the whole schedule."""

    meaning: Meaning
    arithmetic: Arithmetic
    schedule: Schedule
    outermost: str
    given: Mapping[str, Array]
    reference: Mapping[str, Array]
    forced: bool
    compared: dict[str, _Compared] = field(default_factory=dict)
    outputs: dict[str, _Compared] = field(default_factory=dict)
    home: dict[str, Array] = field(default_factory=dict)

    def run(self, progress: Progress | None) -> None:
        """Every event in the order of time; then what lies in the outermost memory as the outputs.

        Errors: Poisoned, NoArithmetic.
        """
        workload = self.meaning.workload
        memories = Memories(workload, self.schedule, self.meaning.viewed, self.meaning.stored)
        ops = {op.name: op for op in workload.ops}
        for residency in self.schedule.residencies:
            if residency.writer == -1:
                whole = self._initial(residency.tensor)
                if whole is not None:
                    box = tuple((0, size) for size in whole.shape)
                    memories.put(residency.id, residency.tensor, self.outermost, box, Numbers(whole), 0)
        events: list[Task | Transfer] = [*self.schedule.tasks, *self.schedule.transfers]
        events.sort(key=lambda event: (event.start, event.id))
        for count, event in enumerate(events):
            if progress and count % 16 == 0:
                progress("executing", count, len(events))
            memories.now(event.start)
            if isinstance(event, Task):
                self._task(memories, ops[event.op], event)
            else:
                self._move(memories, event)
        self._come_home(memories)
        for item in (*self.compared.values(), *self.outputs.values()):
            item.exact = item.op is None or item.op.name not in self.arithmetic.inexact

    def _initial(self, tensor: str) -> Array | None:
        """An input or a weight; None for anything else, which something has to make first."""
        value = self.given[tensor] if tensor in self.given else self.meaning.constant(tensor)
        if value is None:
            return None
        return offline(self.meaning, tensor, value.reshape(self.meaning.tensors[tensor].shape))

    def _move(self, memories: Memories, move: Transfer) -> None:
        """The bits of a box from where they lie to every memory that the transfer ends in."""
        who = f"transfer {move.id}"
        numbers = memories.read(who, move.tensor, move.source, move.box, move.sources, move.start, move.end)
        for number, target in zip(move.residencies, move.targets, strict=True):
            memories.put(number, move.tensor, target, move.box, numbers, move.end)

    def _task(self, memories: Memories, op: Op, task: Task) -> None:
        ranges = dict(task.ranges)
        who = f"task {task.id} ({op.name})"
        whole = op.whole()
        cut = [name for name in sorted(op.reduction) if ranges[name] != whole[name]]
        if cut:
            raise NoArithmetic(f"{op.name} in parts of its sums over {', '.join(cut)}")
        uses = {use.operand: use for use in task.reads}
        read: dict[str, Array] = {}
        for operand in op.inputs:
            use = uses[operand.name]
            box = operand.box(ranges)
            held = memories.root_box(operand.tensor, box)
            found = memories.read(who, use.tensor, use.memory, held, use.residencies, task.start, task.end)
            read[operand.name] = memories.operand(who, operand.tensor, box, found, held)
        tile = Tile(op, ranges, read, self.meaning.node(op), self.meaning)
        try:
            made = self.arithmetic.compute(tile)
        except NoArithmetic as why:
            raise NoArithmetic(f"{op.name}: {why}") from why
        box = tile.box
        reference = self.reference.get(op.output.tensor)
        if reference is not None and self.meaning.is_stored_as_declared(op.output.tensor):
            wanted = self._clipped(op.output.tensor, reference[tuple(slice(start, stop) for start, stop in box)])
            self._compare(self.compared, op, op.output.tensor, made, wanted)
            if self.forced:
                made = wanted.astype(made.dtype)
        use = task.writes
        for number in use.residencies:
            memories.put(number, use.tensor, use.memory, box, Numbers(made), task.end)

    def _clipped(self, tensor: str, wanted: Array) -> Array:
        """ONNX Runtime's integers after a Clip that the quantiser does as well."""
        grid = self.meaning.grid(tensor)
        return wanted if grid is None or wanted.dtype.kind not in "iu" else np.clip(wanted, grid.low, grid.high)

    def _compare(self, into: dict[str, _Compared], op: Op | None, tensor: str, array: Array, wanted: Array) -> None:
        if tensor not in into:
            whole = self.reference[tensor]
            integers = whole.dtype.kind in "iub"
            finite = np.abs(whole[np.isfinite(whole)]) if not integers and whole.size else np.zeros(1)
            into[tensor] = _Compared(op, integers, float(finite.max()) if finite.size else 0.0)
        if array.dtype.kind == "b":
            array, wanted = array.astype(np.int8), wanted.astype(np.int8)
        into[tensor].take(array, wanted)

    def _come_home(self, memories: Memories) -> None:
        """The outputs as they lie in the outermost memory when the schedule ends."""
        end = self.schedule.latency_cycles
        makers = {op.output.tensor: op for op in self.meaning.workload.ops}
        home: dict[str, list[int]] = {}
        for residency in self.schedule.residencies:
            if residency.memory == self.outermost and residency.end >= end:
                home.setdefault(residency.tensor, []).append(residency.id)
        for tensor in self.meaning.workload.tensors:
            if tensor.role != "output":
                continue
            box = tensor.whole()
            held = memories.root_box(tensor.name, box)
            root = self.meaning.workload.root(tensor.name)
            who = f"the end of the schedule, for output {tensor.name},"
            found = memories.read(who, root, self.outermost, held, home.get(root, []), end, end)
            array = memories.operand(who, tensor.name, box, found, held)
            wanted = self.reference.get(tensor.name)
            if not tensor.dtype.startswith(("int", "uint")):  # integers may stand for the floats of the file
                array = self.meaning.numbers(tensor.name, array)
            self.home[tensor.name] = array
            if wanted is not None:
                self._compare(self.outputs, makers.get(root), tensor.name, array, self._clipped(tensor.name, wanted))


def outputs_of(
    workload: Workload, schedule: Schedule, outermost: str, graph: Graph, inputs: Mapping[str, Array]
) -> dict[str, Array]:
    """The network's outputs as a schedule makes them of given inputs, by name.

    Errors: Poisoned for what is read where it is not; NoArithmetic for the first op that cannot be computed.
    """
    meaning = Meaning(workload, graph, inputs)
    arithmetic = Arithmetic(meaning)
    for op in workload.ops:
        why = arithmetic.lacks(op)
        if why is not None:
            raise NoArithmetic(why)
    done = _Pass(meaning, arithmetic, schedule, outermost, inputs, {}, False)
    done.run(None)
    return done.home


def check_numerics(
    workload: Workload,
    schedule: Schedule,
    outermost: str,
    graph: Graph,
    model: Any,
    seed: int = 0,
    progress: Progress | None = None,
    inputs: Mapping[str, Array] | None = None,
) -> Numerics:
    """A schedule executed, against ONNX Runtime.

    Args:    outermost: the memory where inputs and weights lie at first, and outputs at the end.
             graph: what `workload` was made from.   model: the `onnx.ModelProto` with its weights.
             seed: of the inputs, where none are given.
    Returns: "exact" where every number compared is equal, "close" where all are as close as they must be, "failed",
             or "not-run" with the reason.
    """
    given = dict(inputs) if inputs is not None else drawn(graph, seed)
    meaning = Meaning(workload, graph, given)
    arithmetic = Arithmetic(meaning)
    lacking: dict[str, list[str]] = {}
    for op in workload.ops:
        why = arithmetic.lacks(op)
        if why is not None:
            lacking.setdefault(why, []).append(op.name)
    if lacking:
        count = sum(map(len, lacking.values()))
        named = "; ".join(f"{why} ({_listed(names)})" for why, names in lacking.items())
        return not_run(f"{count} of {len(workload.ops)} ops have no arithmetic yet: {named}")
    for tensor in workload.tensors:
        if tensor.role == "weight" and graph.value(tensor.name) is None:
            return not_run(f"'{tensor.name}' has no values in the file")
    wanted = [op.output.tensor for op in workload.ops if meaning.is_stored_as_declared(op.output.tensor)]
    try:
        reference = values(model, wanted, given)
    except Refused as why:
        return not_run(f"ONNX Runtime does not take the network: {why}")
    passes = [True, False] if meaning.quantised else [False]
    done: list[_Pass] = []
    for forced in passes:
        done.append(_Pass(meaning, arithmetic, schedule, outermost, given, reference, forced))
        try:
            done[-1].run(progress)
        except Poisoned as what:
            return Numerics("failed", None, str(what))
        except NoArithmetic as why:
            return not_run(str(why))
    return _judged(done)


def _listed(names: list[str]) -> str:
    return ", ".join(map(_short, names[:3])) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _judged(done: list[_Pass]) -> Numerics:
    first = done[0]
    tensors = {**{f"{name}": item for name, item in first.compared.items()}}
    for name, item in first.outputs.items():
        tensors.setdefault(name, item)
    wrong = [name for name, item in tensors.items() if not item.holds()]
    error = max((item.error for item in tensors.values()), default=0.0)
    differ = [name for name, item in tensors.items() if item.different]
    text = f"{len(tensors)} tensors, {len(first.schedule.tasks)} tiles against ONNX Runtime"
    if not tensors:
        return not_run("no tensor that an op makes has a name in the file")
    if first.forced:
        text += ", each op fed its inputs"
    text += f": {_worst(tensors, differ)}" if differ else ": all equal"
    if len(done) > 1:
        text += f"; end to end {_worst(done[1].outputs, list(done[1].outputs))}"
    held = sorted(first.meaning.held)
    if held:
        text += f"; {_listed(held)} taken as part of the instruction: the schedule does not move it"
    finite = error if np.isfinite(error) else None
    if wrong:
        return Numerics("failed", finite, f"{len(wrong)} of {text}; too far: {_listed(wrong)}")
    return Numerics("close" if differ else "exact", finite, text)


def _worst(tensors: Mapping[str, _Compared], names: Iterable[str]) -> str:
    """The tensor that differs most, and by how much."""
    listed = list(names)
    if not listed:
        return "nothing compared"
    name = max(listed, key=lambda name: (tensors[name].different > 0, tensors[name].share))
    item = tensors[name]
    if not item.different:
        return "all equal"
    if item.integers:
        return f"{_short(name)} is off by at most {item.error:g} in {item.different} of {item.elements} integers"
    return f"{_short(name)} by at most {item.error:.2g}, {item.share:.1g} of its largest value"


def _short(name: str) -> str:
    """A name in quotes, its middle left out where it is long."""
    return f"'{name}'" if len(name) <= _LONG else f"'{name[: _LONG // 2]}…{name[-_LONG // 2 :]}'"
