"""Which tests look at which file: the quick ones of those that are about it."""

from __future__ import annotations

NESTS = "tests/cost/test_few_nests.py"
UNITS = "tests/cost/test_units.py"
PARTS = "tests/cost/test_parts.py"
LATTICES = "tests/cost/test_lattices.py"

ZIGZAG = "tests/cost/test_zigzag.py"
FEW = "tests/mapper/test_few_problems.py"


def only(path: str, *tests: str) -> tuple[str, ...]:
    return tuple(f"{path}::test_{test}" for test in tests)


MAPPER = only(
    "tests/mapper/test_mapper.py",
    "a_refusal_says_what_is_needed_in_one_line",
    "where_halos_are_reused_the_loop_along_the_windows_comes_next",
    "tile_sizes_are_one_for_each_number_of_steps_and_all_divisors",
    "every_chain_of_multiples_is_walked_in_single_steps",
    "a_loop_goes_on_along_the_next_side_that_names_it",
    "a_side_of_which_the_dataflow_uses_a_part_takes_no_more",
    "a_lattice_that_is_too_large_is_thinned_and_says_so",
)
ROOM = only(
    "tests/mapper/test_mapper.py",
    "what_just_fits_is_mapped_and_one_bit_less_is_refused_by_name",
    "two_memories_that_each_would_do_are_refused_together",
)
SPREAD = only(
    "tests/mapper/test_spread.py",
    "every_choice_fits_the_array_and_lays_each_dim_on_one_side",
    "no_choice_of_one_loop_a_side_has_fewer_array_steps_than_the_best_ones",
    "what_is_left_out_has_no_fewer_steps_than_it_says",
    "what_a_register_cannot_hold_side_by_side_is_no_choice",
    "what_is_held_side_by_side_is_what_is_touched",
    "a_side_that_completes_sums_lets_another_hold_outputs_at_their_own_width",
)
FRONT = only(
    "tests/mapper/test_front.py",
    "a_deadline_that_nothing_keeps_is_refused_with_the_fastest",
    "the_front_is_that_of_all_nests",
    "no_point_has_the_energy_of_a_faster_one",
)
KEPT = only(
    "tests/mapper/test_kept.py",
    "a_problem_is_searched_once",
    "names_of_ops_tensors_and_cores_do_not_matter",
    "all_that_bears_on_a_mapping_makes_a_problem_of_its_own",
    "so_does_what_is_asked",
    "so_does_the_code_that_searches",
    "a_claim_that_does_not_hold_is_not_believed",
    "a_mapping_that_does_not_fit_is_not_believed",
    "what_does_not_fit_is_kept_too_and_names_this_op",
)

SUITES: dict[str, tuple[str, ...]] = {
    "cost/price.py": (NESTS, UNITS, PARTS),
    "cost/traffic.py": (NESTS, UNITS, PARTS, LATTICES),
    "cost/cuts.py": (NESTS, UNITS, PARTS, LATTICES),
    "cost/legal.py": (NESTS, "tests/cost/test_legal.py"),
    "cost/units.py": (NESTS, UNITS),
    "cost/result.py": (NESTS, UNITS, PARTS),
    "cost/tables.py": (NESTS, PARTS, LATTICES),
    "cost/kernels.py": (NESTS, PARTS, LATTICES),
    "cost/zigzag/nest.py": (ZIGZAG,),
    "cost/zigzag/latency.py": (ZIGZAG,),
    "cost/zigzag/price.py": (ZIGZAG,),
    "cost/zigzag/result.py": (ZIGZAG,),
    "cost/zigzag/convert.py": (ZIGZAG,),
    "mapper/solve.py": (FEW, *MAPPER, *SPREAD, *FRONT),
    "mapper/space.py": (FEW, *MAPPER),
    "mapper/spread.py": SPREAD,
    "mapper/pack.py": (FEW,),
    "mapper/kernels.py": (FEW,),
    "mapper/runs.py": (FEW,),
    "mapper/fit.py": (FEW, *MAPPER, *ROOM),
    "mapper/front.py": FRONT,
    "mapper/kept.py": KEPT,
}

COMPILED = {f"mapper/{name}.py" for name in ("solve", "space", "spread", "fit", "front", "kept")}
"""Files whose tests map whole layers: kernels are compiled for them."""
