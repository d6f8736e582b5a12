"""Schedules with one field of one thing changed at random, whatever comes of it."""

from __future__ import annotations

import random
from dataclasses import fields, replace
from fractions import Fraction
from typing import Any

from weft.model.chip import Route
from weft.model.schedule import LaneLoad, PortLoad, Schedule, Task, Transfer
from weft.model.workload import Box


class Spoiler:
    """Changes schedules; names, ids and boxes come from the same schedule, so that most changes are near misses."""

    def __init__(self, schedule: Schedule, rng: random.Random) -> None:
        self.schedule, self.rng = schedule, rng
        every: list[Task | Transfer] = [*schedule.tasks, *schedule.transfers]
        self.memories = sorted({item.memory for item in schedule.residencies} | {"nowhere"})
        self.tensors = sorted({item.tensor for item in schedule.residencies})
        self.ids = [item.id for item in schedule.residencies]
        self.events = [event.id for event in every]
        self.boxes = [item.box for item in schedule.residencies]
        self.ports = [load for event in every for load in event.ports]
        self.lanes = [load for event in every for load in event.lanes]
        self.routes = [route for move in schedule.transfers for route in move.routes]
        self.ops = sorted({task.op for task in schedule.tasks})
        self.cores = sorted({task.core for task in schedule.tasks})

    def schedule_with(self, changes: int) -> Schedule:
        """The schedule with so many things changed."""
        found = self.schedule
        for _ in range(changes):
            kind = self.rng.choice([k for k in ("tasks", "transfers", "residencies") if getattr(found, k)])
            items = list(getattr(found, kind))
            at = self.rng.randrange(len(items))
            how = self.rng.random()
            if how < 0.04:
                del items[at]
            elif how < 0.08:
                items.append(replace(items[at], id=self.rng.choice((items[at].id, max(self.events + self.ids) + 1))))
            else:
                items[at] = self._changed(items[at])
            found = replace(found, **{kind: tuple(items)})
        return found

    def _changed(self, item: Any) -> Any:
        if isinstance(item, Task) and self.rng.random() < 0.5:
            uses = [*item.reads, item.writes]
            at = self.rng.randrange(len(uses))
            uses[at] = self._changed(uses[at])
            return replace(item, reads=tuple(uses[:-1]), writes=uses[-1])
        name = self.rng.choice([field.name for field in fields(item) if field.name not in ("reads", "writes")])
        return replace(item, **{name: self._other(item, name, getattr(item, name))})

    def _other(self, item: Any, name: str, value: Any) -> Any:
        rng = self.rng
        picks: dict[str, list[Any]] = {
            "memory": self.memories,
            "tensor": self.tensors,
            "op": self.ops,
            "core": self.cores,
            "writer": [*self.events, -1],
            "mapping": ["", "other"],
            "operand": ["I", "W", "O", "B"],
        }
        if name in picks:
            return rng.choice(picks[name])
        if name == "streamed":
            return not value
        if name == "energy_pj":
            return rng.choice((-1.0, 0.0, float("nan"), float("inf")))
        if isinstance(value, Fraction):
            return value + rng.choice((Fraction(1, 7), Fraction(-1, 3), -value, value))
        if isinstance(value, int):
            return value + rng.choice((-3, -1, 1, 2, 40))
        if name == "ranges":
            at = rng.randrange(len(value))
            return (*value[:at], (value[at][0], self._side(value[at][1])), *value[at + 1 :])
        if name == "box":
            return self._box(value)
        return self._list(name, value)

    def _list(self, name: str, value: tuple[Any, ...]) -> tuple[Any, ...]:
        rng, made = self.rng, list(value)
        how = rng.random()
        if made and how < 0.35:
            del made[rng.randrange(len(made))]
        elif made and how < 0.5:
            made.append(rng.choice(made))
        elif made and how < 0.6:
            rng.shuffle(made)
        else:
            made.append(self._entry(name))
        return tuple(made)

    def _entry(self, name: str) -> Any:
        rng = self.rng
        if name in ("residencies", "sources"):
            return rng.choice([*self.ids, 10**6])
        if name == "boxes":
            return self._box(rng.choice(self.boxes))
        if name == "ports":
            load: PortLoad = rng.choice(self.ports)
            return replace(load, rate=load.rate * rng.choice((1, 2)))
        if name == "lanes":
            lane: LaneLoad = rng.choice(self.lanes) if self.lanes else LaneLoad("none", "none", Fraction(1))
            return replace(lane, rate=lane.rate * rng.choice((1, 2)))
        if name == "routes":
            route: Route = rng.choice(self.routes)
            return rng.choice((route, Route(route.memories[::-1], route.links[::-1]), Route(route.memories[:1], ())))
        assert name == "workspace", name
        return rng.choice(self.memories), rng.choice((0, 8, -1, 10**5))

    def _box(self, box: Box) -> Box:
        if not box or self.rng.random() < 0.3:
            return self.rng.choice(self.boxes)
        at = self.rng.randrange(len(box))
        return (*box[:at], self._side(box[at]), *box[at + 1 :])

    def _side(self, side: tuple[int, int]) -> tuple[int, int]:
        start, stop = side
        return self.rng.choice(((start, stop - 1), (start + 1, stop), (start, stop + 1), (start - 1, stop), (0, 1)))


def spoilt(schedule: Schedule, seed: int) -> Schedule:
    """A schedule with one to three things changed."""
    rng = random.Random(seed)
    return Spoiler(schedule, rng).schedule_with(rng.choice((1, 1, 1, 2, 3)))
