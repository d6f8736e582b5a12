"""The main jobs end to end; what a script imports and what the CLI calls."""

from weft.run.front import FrontResult, front_of
from weft.run.pareto import ParetoResult, run_front
from weft.run.result import InfeasibleResult, MappedOp, MapResult, Proof, RunResult
from weft.run.run import map_model, prepared, run

__all__ = [
    "FrontResult",
    "InfeasibleResult",
    "MapResult",
    "MappedOp",
    "ParetoResult",
    "Proof",
    "RunResult",
    "front_of",
    "map_model",
    "prepared",
    "run",
    "run_front",
]
