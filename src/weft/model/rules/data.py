"""Rules on data: what an event reads is there, what it makes is what the residencies say, outputs come home.

Together they close every chain: a residency is valid only after its writer has ended, a writer reads only what is
valid at its start, and every event takes time; so each chain ends at data that lay in the outermost memory.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from weft.model.rules.boxes import missing_volume, overlaps
from weft.model.rules.case import Case, Facts, Fault, kept_as, named, shown, used
from weft.model.schedule import Residency, Task, Transfer, Use
from weft.model.workload import Box, Operand, volume


def operands_are_used_once(case: Case) -> Facts:
    """A task has one use for each input of its op, one for its output, each of the right root tensor."""
    for task in case.schedule.tasks:
        op = case.ops[task.op]
        wanted = [(operand.name, case.roots[operand.tensor]) for operand in op.inputs]
        found = [(use.operand, use.tensor) for use in task.reads]
        if sorted(found) == sorted(wanted):
            yield None
        else:
            yield Fault(named(task), task.start, f"to read {_listed(wanted)}", _listed(found))
        output = (op.output.name, case.roots[op.output.tensor])
        written = (task.writes.operand, task.writes.tensor)
        if written == output:
            yield None
        else:
            yield Fault(named(task), task.start, f"to write {_listed([output])}", _listed([written]))


def _listed(uses: Sequence[tuple[str, str]]) -> str:
    return ", ".join(f"{operand} = {tensor}" for operand, tensor in uses) or "nothing"


def _reads(case: Case) -> Iterator[tuple[Task, Operand, Use]]:
    """Every use that stands for an input of its op; others are the business of `operands_are_used_once`."""
    inputs = {op.name: {operand.name: operand for operand in op.inputs} for op in case.workload.ops}
    for task in case.schedule.tasks:
        known = inputs[task.op]
        for use in task.reads:
            operand = known.get(use.operand)
            if operand is not None and case.roots[operand.tensor] == use.tensor:
                yield task, operand, use


def _writes(case: Case) -> Iterator[tuple[Task, Operand, Use]]:
    for task in case.schedule.tasks:
        output = case.ops[task.op].output
        if output.name == task.writes.operand and case.roots[output.tensor] == task.writes.tensor:
            yield task, output, task.writes


def tiles_read_what_they_need(case: Case) -> Facts:
    """The boxes of a use hold every element that the tile touches, halo included."""
    for task, operand, use in _reads(case):
        box = case.needed(operand, task)
        missing = missing_volume([box], use.boxes)
        if missing:
            has = f"{volume(box) - missing} of them: {_shown_all(use.boxes)}"
            yield Fault(used(task, use), task.start, f"the {volume(box)} elements of {use.tensor} {shown(box)}", has)
        else:
            yield None


def tiles_write_what_they_make(case: Case) -> Facts:
    """The boxes written are the tile's output, no more and no less."""
    for task, operand, use in _writes(case):
        box = case.needed(operand, task)
        written = sum(volume(piece) for piece in use.boxes)
        if written == volume(box) and not missing_volume([box], use.boxes):
            yield None
        else:
            yield Fault(used(task, use), task.end, f"to write exactly {shown(box)}", _shown_all(use.boxes))


def _shown_all(boxes: Sequence[Box]) -> str:
    """At most four boxes in full."""
    text = " ".join(shown(box) for box in boxes[:4]) or "nothing"
    return text + (f" and {len(boxes) - 4} more" if len(boxes) > 4 else "")


def boxes_of_a_use_are_disjoint(case: Case) -> Facts:
    """No element is counted twice in one use."""
    for task in case.schedule.tasks:
        for use in (*task.reads, task.writes):
            pair = next(iter(overlaps(use.boxes)), None)
            if pair is None:
                yield None
            else:
                both = " and ".join(shown(use.boxes[position]) for position in pair)
                yield Fault(used(task, use), task.start, "disjoint boxes", both)


def residencies_hold_what_is_read(case: Case) -> Facts:
    """The residencies that an event names are of its tensor, in its memory, and hold its boxes."""
    for task in case.schedule.tasks:
        for use in task.reads:
            yield _held(case, used(task, use), task.start, use.tensor, use.memory, use.boxes, use.residencies)
    for transfer in case.schedule.transfers:
        boxes = (transfer.box,)
        tensor, source = transfer.tensor, transfer.source
        yield _held(case, named(transfer), transfer.start, tensor, source, boxes, transfer.sources)


def _held(
    case: Case, subject: str, cycle: int, tensor: str, memory: str, boxes: tuple[Box, ...], sources: tuple[int, ...]
) -> Fault | None:
    pieces = []
    for number in sources:
        residency = case.residencies[number]
        if residency.tensor != tensor or residency.memory != memory:
            return Fault(subject, cycle, f"residencies of {tensor} in {memory}", kept_as(residency))
        pieces.append(residency.box)
    if len(set(sources)) < len(sources):
        return Fault(subject, cycle, "each residency named once", " ".join(map(str, sources)))
    missing = missing_volume(boxes, pieces)
    if missing:
        total = sum(volume(box) for box in boxes)
        needs = f"{total} elements of {tensor} in {memory}"
        return Fault(subject, cycle, needs, f"{total - missing} in the residencies it names")
    return None


def data_is_there_when_read(case: Case) -> Facts:
    """A residency is valid when its reader starts."""
    for reader in case.events.values():
        for number in _sources(reader):
            residency = case.residencies[number]
            if residency.valid_from <= reader.start:
                yield None
            else:
                needs = f"{kept_as(residency)} at cycle {reader.start}"
                yield Fault(named(reader), reader.start, needs, f"it from cycle {residency.valid_from} on")


def data_stays_while_read(case: Case) -> Facts:
    """A residency lasts until its reader has ended."""
    for reader in case.events.values():
        for number in _sources(reader):
            residency = case.residencies[number]
            if residency.end >= reader.end:
                yield None
            else:
                needs = f"{kept_as(residency)} until cycle {reader.end}"
                yield Fault(named(reader), reader.start, needs, f"it until cycle {residency.end}")


def _sources(event: Task | Transfer) -> list[int]:
    if isinstance(event, Task):
        return [number for use in event.reads for number in use.residencies]
    return list(event.sources)


def residencies_have_one_maker(case: Case) -> Facts:
    """The event that a residency names as its writer makes it, and no other does."""
    makers: defaultdict[int, list[int]] = defaultdict(list)
    for event in case.events.values():
        for number in case.made_by(event):
            makers[number].append(event.id)
    for residency in case.schedule.residencies:
        wanted = [] if residency.writer == -1 else [residency.writer]
        found = makers.get(residency.id, [])
        if found == wanted:
            yield None
        else:
            needs = f"to be made by event {residency.writer} alone" if wanted else "to be made by no event"
            has = " ".join(map(str, found)) or "none"
            yield Fault(kept_as(residency), residency.start, needs, has)


def tasks_make_their_residencies(case: Case) -> Facts:
    """What a task writes is held from its start, valid at its end, in residencies that are its boxes."""
    for task in case.schedule.tasks:
        use = task.writes
        made = [case.residencies[number] for number in use.residencies]
        for residency in made:
            found = (residency.tensor, residency.memory, residency.start, residency.valid_from)
            wanted = (use.tensor, use.memory, task.start, task.end)
            yield None if found == wanted else _unlike(kept_as(residency), residency, wanted)
        pieces = [residency.box for residency in made if residency.tensor == use.tensor]
        wanted_volume = sum(volume(box) for box in use.boxes)
        found_volume = sum(volume(box) for box in pieces)
        missing = missing_volume(use.boxes, pieces)
        if not missing and found_volume == wanted_volume:
            yield None
        else:
            needs = f"residencies that are exactly {_shown_all(use.boxes)}"
            has = _shown_all([residency.box for residency in made])
            yield Fault(used(task, use), task.end, needs, has)


def transfers_make_their_residencies(case: Case) -> Facts:
    """Each receiver holds the box moved, and no other, from the transfer's start, valid at its end."""
    for transfer in case.schedule.transfers:
        for target, number in zip(transfer.targets, transfer.residencies, strict=True):
            made = case.residencies[number]
            wanted = (transfer.tensor, target, transfer.start, transfer.end)
            found = (made.tensor, made.memory, made.start, made.valid_from)
            yield None if found == wanted else _unlike(named(transfer), made, wanted)
            if made.box == transfer.box:
                yield None
            else:
                needs = f"a residency of exactly {shown(transfer.box)}"
                yield Fault(named(transfer), transfer.end, needs, shown(made.box))


def _unlike(subject: str, made: Residency, wanted: tuple[str, str, int, int]) -> Fault:
    tensor, memory, start, valid_from = wanted
    needs = f"{tensor} in {memory} from {start}, valid from {valid_from}"
    has = f"{made.tensor} in {made.memory} from {made.start}, valid from {made.valid_from}"
    return Fault(subject, made.start, needs, has)


def residencies_take_their_bits(case: Case) -> Facts:
    """Bits are elements times the tensor's width."""
    for residency in case.schedule.residencies:
        bits = volume(residency.box) * case.tensors[residency.tensor].bits
        if residency.bits == bits:
            yield None
        else:
            yield Fault(kept_as(residency), residency.start, f"{bits} bits", f"{residency.bits} bits")


def first_data_is_given(case: Case) -> Facts:
    """What no event makes is an input or a weight, in the outermost memory from cycle 0 on."""
    given = ("input", "weight")
    for residency in case.schedule.residencies:
        if residency.writer != -1:
            continue
        role = case.tensors[residency.tensor].role
        if residency.memory != case.chip.outermost or role not in given:
            needs = f"an event that makes it (only inputs and weights lie in {case.chip.outermost} from the start)"
            yield Fault(kept_as(residency), residency.start, needs, f"none, and it is {role}")
        elif residency.start or residency.valid_from:
            has = f"from {residency.start}, valid from {residency.valid_from}"
            yield Fault(kept_as(residency), residency.start, "to lie there from cycle 0 on", has)
        else:
            yield None


def residencies_end_with_their_last_reader(case: Case) -> Facts:
    """The end of a residency follows from its readers, as `Residency` says."""
    for residency in case.schedule.residencies:
        if residency.memory == case.chip.outermost and residency.tensor in case.kept:
            end, why = case.latency, "when the schedule ends"
        elif residency.id in case.last_read:
            end, why = case.last_read[residency.id], "with its last reader"
        else:
            end, why = residency.valid_from, "as soon as it is valid, for nothing reads it"
        if residency.end == end:
            yield None
        else:
            yield Fault(kept_as(residency), residency.end, f"to end {why}, at {end}", str(residency.end))


def outputs_come_home(case: Case) -> Facts:
    """When the schedule ends, residencies in the outermost memory hold each output whole."""
    home: defaultdict[str, list[Box]] = defaultdict(list)
    for residency in case.schedule.residencies:
        if residency.memory == case.chip.outermost and residency.end == case.latency:
            home[residency.tensor].append(residency.box)
    for tensor in case.workload.tensors:
        if tensor.role != "output":
            continue
        root = case.tensors[case.roots[tensor.name]]
        missing = missing_volume([root.whole()], home[root.name])
        if missing:
            needs = f"all {root.elements} elements in {case.chip.outermost} when the schedule ends"
            yield Fault(f"output {tensor.name}", case.latency, needs, str(root.elements - missing))
        else:
            yield None


def slots_have_their_place(case: Case) -> Facts:
    """What is not streamed lies in a memory of the task's core that holds the operand's slot."""
    for task in case.schedule.tasks:
        core = case.cores[task.core]
        slots = {operand.name: operand.slot for operand in case.ops[task.op].operands}
        for use in (*task.reads, task.writes):
            slot = slots.get(use.operand)
            if use.streamed or slot is None:
                continue
            places = [level.memory for level in core.chain(slot)]
            if use.memory in places:
                yield None
            else:
                needs = f"a memory of {core.name} for {slot}, one of {', '.join(places)}"
                yield Fault(used(task, use), task.start, needs, use.memory)


def workspaces_lie_in_the_core(case: Case) -> Facts:
    """A workspace is in a memory of the task's core."""
    memories = {core.name: {level.memory for level in core.levels} for core in case.chip.cores}
    for task in case.schedule.tasks:
        for memory, _ in task.workspace:
            if memory in memories[task.core]:
                yield None
            else:
                yield Fault(named(task), task.start, f"workspace in a memory of {task.core}", memory)
