"""The best mapping of one op tile on one core, with what is known about how good it is."""

from weft.mapper.solve import Mapped, Objective, best_mapping

__all__ = ["Mapped", "Objective", "best_mapping"]
