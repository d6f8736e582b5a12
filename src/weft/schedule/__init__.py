"""Which op runs where and when: options, engine, timing, bounds; `solve` puts them together."""

from weft.schedule.solve import GOALS, Goal, Solution, front, solve

__all__ = ["GOALS", "Goal", "Solution", "front", "solve"]
