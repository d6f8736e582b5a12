"""Time lines: how much of a rate or of a memory is taken, and the earliest time at which more fits."""

from __future__ import annotations

from bisect import bisect_left, bisect_right


class RateLine:
    """Rate taken on a lane or port over time: a step function, zero at both ends.

    Rates are whole numbers in the chip's rate unit. `exclusive` admits one user at a time.
    """

    __slots__ = ("capacity", "exclusive", "times", "used")

    def __init__(self, capacity: int, exclusive: bool = False) -> None:
        self.capacity = capacity
        self.exclusive = exclusive
        self.times: list[int] = [0]
        self.used: list[int] = [0]

    def earliest(self, start: int, duration: int, rate: int) -> int:
        """The first time >= start from which `rate` is free for `duration` cycles."""
        room = 0 if self.exclusive else self.capacity - rate
        i = bisect_right(self.times, start) - 1
        begin = start
        while True:
            if self.used[i] > room:
                i += 1
                begin = self.times[i]
                continue
            j = i
            while j + 1 < len(self.times) and self.times[j + 1] < begin + duration:
                j += 1
                if self.used[j] > room:
                    break
            else:
                return begin
            i = j

    def book(self, start: int, end: int, rate: int) -> None:
        """Take `rate` over [start, end)."""
        i, j = self._split(start), self._split(end)
        for k in range(i, j):
            self.used[k] += rate

    def _split(self, time: int) -> int:
        i = bisect_left(self.times, time)
        if i < len(self.times) and self.times[i] == time:
            return i
        self.times.insert(i, time)
        self.used.insert(i, self.used[i - 1])
        return i


class SpaceLine:
    """Bits taken in a memory over time; boxes whose end is not known yet are taken for ever."""

    __slots__ = ("capacity", "times", "used")

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.times: list[int] = [0]
        self.used: list[int] = [0]

    @property
    def finally_used(self) -> int:
        """Bits taken by all that has no end yet."""
        return self.used[-1]

    @property
    def peak(self) -> int:
        return max(self.used)

    def earliest(self, start: int, bits: int) -> int | None:
        """The first time >= start from which `bits` are free for ever, or None where they never are."""
        room = self.capacity - bits
        if self.used[-1] > room:
            return None
        k = len(self.used) - 1
        while k > 0 and self.used[k - 1] <= room:
            k -= 1
        return max(start, self.times[k] if k else 0)

    def change(self, time: int, bits: int) -> None:
        """Add `bits` (or give them back, if negative) from `time` on."""
        i = bisect_left(self.times, time)
        if i == len(self.times) or self.times[i] != time:
            self.times.insert(i, time)
            self.used.insert(i, self.used[i - 1])
        for k in range(i, len(self.used)):
            self.used[k] += bits
