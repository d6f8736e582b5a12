"""The few lines that say what a run came to; the same in terminal and page."""

from __future__ import annotations

from weft.report.words import amount, cycles, energy, percent, seconds
from weft.run import RunResult


def facts(result: RunResult) -> tuple[tuple[str, str], ...]:
    """(name, text) of the header figures."""
    bounds = result.solution.bounds
    return (
        ("objective", f"{result.objective}, {result.spatial} dataflow, seed {result.seed}"),
        ("latency", f"{cycles(result.latency_cycles)} cycles, {seconds(result.latency_s)}"),
        (
            "  bound",
            f"{cycles(bounds.latency_cycles)} cycles ({cause(result)}), gap {percent(result.gap_latency)}",
        ),
        *_stream(result),
        ("energy", f"{energy(result.energy_pj)}: {spent(result)}"),
        ("  bound", f"{energy(bounds.energy_pj)}, gap {percent(result.gap_energy)}"),
        ("EDP", f"{result.energy_pj * result.latency_cycles:.3e} pJ cycle"),
        (
            "throughput",
            f"{result.tops:.3g} TOPS, {result.tops_per_watt:.3g} TOPS/W; {amount(result.workload.macs)} MACs, "
            f"{percent(result.utilisation)} of what the arrays could do",
        ),
        ("precision", assumed(result.assumed_precision)),
        (
            "searched",
            f"{cycles(result.solution.tried)} schedules of {cycles(len(result.schedule.tasks))} tiles and "
            f"{cycles(len(result.schedule.transfers))} transfers, {cycles(result.solution.searched)} mappings",
        ),
    )


def _stream(result: RunResult) -> tuple[tuple[str, str], ...]:
    """Of several frames: how far the next one is behind, and how long one takes."""
    stream = result.solution.stream
    if stream is None:
        return ()
    middle = stream.latencies[stream.frames // 2]
    gap = f"gap {percent(stream.gap)}" if stream.steady else "not reached: of so few frames, the start still shows"
    return (
        ("frames", f"{stream.frames}, {stream.order}; one in the middle takes {cycles(middle)} cycles"),
        ("interval", f"{cycles(round(stream.interval_cycles))} cycles per frame of the second half"),
        (
            "  bound",
            f"{cycles(round(stream.bound.cycles))} cycles ({stream.bound.cause}; weights not counted), {gap}",
        ),
    )


def spent(result: RunResult) -> str:
    """Where the energy goes: inside cores (with what they stream), transfers between memories, static power."""
    total = result.energy_pj or 1.0
    tasks = sum(task.energy_pj for task in result.schedule.tasks)
    moves = sum(move.energy_pj for move in result.schedule.transfers)
    static = result.energy_pj - tasks - moves
    rest = f", static power {percent(static / total)}" if result.chip.static_pj_per_cycle else ""
    return f"tasks {percent(tasks / total)}, transfers {percent(moves / total)}{rest}"


def cause(result: RunResult) -> str:
    """What the latency bound comes from."""
    bounds = result.solution.bounds
    causes = (
        ("compute", bounds.compute_cycles),
        ("off-chip traffic", bounds.offchip_cycles),
        ("link load", bounds.link_cycles),
        ("critical path", bounds.critical_path_cycles),
    )
    return max(causes, key=lambda item: item[1])[0]


def assumed(precision: str | None) -> str:
    """What was assumed about precision, if anything was."""
    return f"assumed {precision}" if precision else "as the model gives it"


def proof_text(result: RunResult) -> str:
    """One line on what was proved and what was not."""
    proof = result.proof
    count = len(proof.violations)
    rules = f"rules: {proof.checked:,} facts checked, {count:,} violation{'' if count == 1 else 's'}"
    replay = "replay: same times" if proof.replay_ok else f"replay: {len(proof.replay_differences)} differences"
    numerics = f"numerics: {proof.numerics.status.replace('-', ' ')} ({proof.numerics.reason})"
    return f"{rules}; {replay}; {numerics}"
