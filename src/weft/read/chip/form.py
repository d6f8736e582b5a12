"""What a chip file may say: its keys, their types and units, and the error for each thing that is not so."""

from __future__ import annotations

import re
from collections.abc import Callable
from fractions import Fraction
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, ValidationError, WithJsonSchema
from pydantic_core import ErrorDetails, PydanticCustomError

from weft.errors import UserError, did_you_mean, nearest, suggestion
from weft.model.chip import LETTERS, Buffering, Direction, Role
from weft.model.workload import Kind, Slot
from weft.read.chip.document import Document, Loc, listed, shown
from weft.units import parse_quantity

LARGEST = 24
"""Power of ten that no energy or power of a chip comes near; keeps products of a few of them finite."""
LARGEST_COUNT = 15
"""The same for bits, bandwidths, cycles and clocks, which are computed with in 64 bits."""

LEAST_BARE_CLOCK = 10_000
"""Hz: no clock of a chip is slower, and a number of MHz or GHz without its unit is."""


def _quantity(unit: str, *, zero: bool, whole: bool, example: str) -> Callable[[object], Fraction]:
    def check(value: object) -> Fraction:
        if value is None or isinstance(value, (bool, list, dict)):
            raise _wrong(f"must be a number or a quantity in {unit}, not {shown(value)}", f"for example '{example}'")
        try:
            exact = parse_quantity(value, unit)
        except UserError as error:
            raise _wrong(error.message, error.remedy or f"for example '{example}'") from error
        if exact < 0 or (exact == 0 and not zero):
            least = "at least 0" if zero else "positive"
            raise _wrong(f"must be {least}, not {shown(value)}", f"for example '{example}'")
        if whole and exact.denominator != 1:
            raise _wrong(f"must be a whole number of {unit}, not {shown(value)}", f"for example '{example}'")
        most = LARGEST_COUNT if whole else LARGEST
        if exact > 10**most:
            raise _wrong(f"must be at most 1e{most} {unit}, not {shown(value)}", f"for example '{example}'")
        return exact

    return check


def _wrong(message: str, remedy: str) -> PydanticCustomError:
    return PydanticCustomError("weft", "{message}", {"message": message, "remedy": remedy})


def _count(unit: str, *, zero: bool = False, example: str) -> tuple[BeforeValidator, WithJsonSchema]:
    check = _quantity(unit, zero=zero, whole=True, example=example)
    return BeforeValidator(lambda value: int(check(value))), _json(unit, example)


def _amount(unit: str, *, example: str) -> tuple[BeforeValidator, WithJsonSchema]:
    check = _quantity(unit, zero=True, whole=False, example=example)
    return BeforeValidator(lambda value: float(check(value))), _json(unit, example)


def _json(unit: str, example: str) -> WithJsonSchema:
    return WithJsonSchema(
        {"anyOf": [{"type": "number"}, {"type": "string"}], "description": f"in {unit}", "examples": [example]}
    )


def _number(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise _wrong(f"must be a positive whole number, not {shown(value)}", "for example 32")
    if value > 10**LARGEST_COUNT:
        raise _wrong(f"must be at most 1e{LARGEST_COUNT}, not {shown(value)}", "for example 32")
    return value


def _sides(value: object) -> object:
    return ["all"] if value == "all" else value


def _clock(value: object) -> int:
    """A clock in Hz; a bare number as small as data sheets give in MHz is taken for a unit left out."""
    hertz = int(_quantity("Hz", zero=False, whole=True, example="260 MHz")(value))
    if isinstance(value, (int, float)) and hertz < LEAST_BARE_CLOCK:
        raise _wrong(f"must have a unit, or be in Hz and at least {LEAST_BARE_CLOCK}, not {value}", f"'{value} MHz'?")
    return hertz


Bits = Annotated[int, *_count("bit", example="64 KiB")]
Bandwidth = Annotated[int, *_count("bit/cycle", example="64 bit/cycle")]
Cycles = Annotated[int, *_count("cycle", zero=True, example="20 cycle")]
Count = Annotated[int, BeforeValidator(_number), WithJsonSchema({"type": "integer", "minimum": 1})]
Clock = Annotated[int, BeforeValidator(_clock), _json("Hz", "260 MHz")]
Energy = Annotated[float, *_amount("pJ", example="1.2 pJ")]
EnergyPerBit = Annotated[float, *_amount("pJ/bit", example="0.5 pJ/bit")]
Power = Annotated[float, *_amount("W", example="13.65 mW")]
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_-]*$")]
Sides = Annotated[
    list[str],
    BeforeValidator(_sides),
    WithJsonSchema({"anyOf": [{"const": "all"}, {"type": "array", "items": {"type": "string"}}]}),
]


class Form(BaseModel):
    """Keys are known or refused; values are of their type, never converted in silence."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class PortForm(Form):
    """One port of one memory instance."""

    direction: Direction
    bandwidth: Bandwidth = Field(description="full width, per cycle of the memory's clock")
    access: Bits | None = Field(None, description="smallest access; the full width where it is not given")
    flows: list[str] | None = Field(
        None, description="what it carries ('I to_below'); all that its direction can where it is not given"
    )
    exclusive: bool = Field(False, description="one transfer at a time, and none while a task works from the memory")


class MemoryForm(Form):
    """One memory; all numbers are of one instance."""

    size: Bits
    read: Energy = Field(description="energy of reading one port's full width")
    write: Energy = Field(description="energy of writing one port's full width")
    buffering: Buffering
    ports: dict[Name, PortForm] = Field(min_length=1)
    halo_reuse: bool = False
    clock: Clock | None = None
    assumed: str = Field("", description="what about it is not published")


class CoreMemoryForm(MemoryForm):
    """A memory of a core's own: which operands it holds and which sides of the array one instance serves."""

    holds: list[Slot] = Field(min_length=1)
    serves: Sides


class SideForm(Form):
    """One side of the array; `dataflow` says which loop lies on it, first choice first."""

    size: Count
    dataflow: list[Role] = []
    shares: bool = Field(False, description="several loops may lie on this side together")
    most: Count | None = Field(None, description="units that the dataflow uses; all where it is not given")


class SystolicForm(Form):
    """Operands march through the array cell by cell."""

    rows: str
    columns: str
    stationary: Literal["W", "O"]


class OpPrecisionForm(Form):
    """Bits of the operands that one unit takes in a cycle."""

    inputs: Bits = 8
    weights: Bits = 8


class CoreForm(Form):
    """Something that computes."""

    ops: list[Kind] = Field(min_length=1)
    array: dict[Name, SideForm] = Field(min_length=1)
    op_energy: Energy = Field(description="of one MAC, or one elementwise operation")
    op_precision: OpPrecisionForm | None = Field(
        None, description="widths of the operands that a unit takes in a cycle and op_energy is given for"
    )
    accumulator: Bits = Field(description="width of a partial sum")
    memories: dict[Name, CoreMemoryForm] = Field({}, description="its own, innermost first")
    levels: dict[str, list[Slot]] = Field({}, description="shared memories it works from, above its own, nearest first")
    clock: Clock | None = None
    active_power: Power = Field(0.0, description="while it runs, beside MACs and memories")
    systolic: SystolicForm | None = None
    launch: Cycles = 0
    note: str = ""


class LinkForm(Form):
    """A bus (`joins`), a point-to-point link (`between`), or a channel to one memory (`hub` and `joins`)."""

    joins: list[str] | None = None
    between: list[str] | None = None
    hub: str | None = None
    bandwidth: Bandwidth = Field(description="per cycle of the link's clock")
    duplex: Literal["half", "full"] = "half"
    latency: Cycles = 0
    energy: EnergyPerBit = 0.0
    exclusive: bool = Field(False, description="one transfer at a time")
    clock: Clock | None = None


class PrecisionForm(Form):
    """Bits per element where the model does not say."""

    inputs: Bits = 8
    weights: Bits = 8
    outputs: Bits = 8


class TransfersForm(Form):
    """What moves data between memories, beside links and ports."""

    engines: Count | None = Field(
        default=None, description="transfers under way at one time; no limit where it is not given"
    )
    setup: Cycles = Field(default=0, description="base cycles before a transfer's first bit leaves")


class ChipForm(Form):
    """A chip: cores, shared memories and the links that join them."""

    name: Name
    source: str = Field(description="where the numbers come from")
    notes: list[str] = []
    clock: Clock = Field(description="base clock of schedules; cores, memories and links follow it unless they say")
    precision: PrecisionForm = PrecisionForm()
    folds: list[str] = Field([], description="ONNX operators that cores do on the way out of a producer")
    static_power: Power = Field(0.0, description="always drawn, whatever runs")
    transfers: TransfersForm = TransfersForm()
    outermost: str = Field(description="the memory that holds the network's inputs, weights and outputs")
    memories: dict[Name, MemoryForm] = Field(min_length=1, description="shared by cores")
    cores: dict[Name, CoreForm] = Field(min_length=1)
    links: dict[Name, LinkForm] = {}


def chip_schema() -> dict[str, Any]:
    """The JSON Schema of a chip file, for editors. A core that names another file with `from` may leave keys out."""
    schema = ChipForm.model_json_schema()
    core = schema["$defs"]["CoreForm"]
    core["properties"] = {"from": {"type": "string", "description": "a core file to build on"}, **core["properties"]}
    core["anyOf"] = [{"required": ["from"]}, {"required": core.pop("required")}]
    return schema


def parse_form(document: Document) -> ChipForm:
    """The document as a `ChipForm`; what does not hold is noted in the document and left out."""
    try:
        form = ChipForm.model_validate(document.data)
        if document.sound():
            return form
    except ValidationError as error:
        _refuse(error.errors(), document)
    return _Part.model_validate(_sound_part(document))


def _refuse(details: list[ErrorDetails], document: Document) -> None:
    """Note pydantic's findings, but for what follows from a problem already known.

    Missing keys of one mapping are one problem, and so are keys that nothing known resembles. A misspelt key does not
    also count as missing.
    """
    alike: dict[tuple[str, Loc], list[ErrorDetails]] = {}
    for index, detail in enumerate(sorted(details, key=lambda detail: detail["type"] != "extra_forbidden")):
        loc, kind = detail["loc"], detail["type"]
        meant = nearest(_key(loc), _keys_at(loc[:-1])) if kind == "extra_forbidden" else None
        if meant and (*loc[:-1], meant) not in document.places:
            document.doubtful.append((*loc[:-1], meant))
        if document.sound(loc):
            grouped = kind == "missing" or (kind == "extra_forbidden" and meant is None)
            alike.setdefault((kind, loc[:-1]) if grouped else (str(index), loc), []).append(detail)
    for group in alike.values():
        loc, message, remedy = _explain(group[0], document)
        if len(group) > 1:
            keys = listed([_key(detail["loc"]) for detail in group])
            many = group[0]["type"] == "missing"
            message = f"{keys} must be given" if many else f"keys must be ones that are known here, not {keys}"
        document.refuse(loc, message, remedy)
        document.doubtful.extend(detail["loc"] for detail in group[1:])


class _Part(ChipForm):
    """A chip of which parts are left out."""

    memories: dict[Name, MemoryForm] = {}
    cores: dict[Name, CoreForm] = {}


_STAND_INS = {"name": "chip", "source": "", "clock": 10**9, "outermost": ""}
"""Let reading go on where the file's own value does not hold; such a chip is never given out."""


def _sound_part(document: Document) -> dict[str, Any]:
    """The document without the cores, memories, links and single values that have a problem."""
    part: dict[str, Any] = dict(_STAND_INS)
    for key, value in document.data.items():
        if key in ("cores", "memories", "links") and isinstance(value, dict):
            part[key] = {name: entry for name, entry in value.items() if document.sound((key, name))}
        elif document.sound((key,)):
            part[key] = value
    return part


_TYPES = {
    "list_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "string_type": "text",
    "bool_type": "true or false",
}
_EXAMPLES = {
    "name": "my_chip",
    "source": "where the numbers come from",
    "clock": "1 GHz",
    "precision": "{inputs: 8 bit, weights: 8 bit, outputs: 8 bit}",
    "transfers": "{engines: 2, setup: 16 cycle}",
    "outermost": "dram",
    "memories": "{dram: ...}",
    "cores": "{core0: ...}",
    "links": "{bus: {joins: [dram, core0], bandwidth: 64 bit/cycle}}",
    "ops": "[conv, gemm, matmul]",
    "array": "{D1: {size: 32, dataflow: [output_channel]}}",
    "op_energy": "0.04 pJ",
    "accumulator": "16 bit",
    "size": "64 KiB",
    "read": "26.6 pJ",
    "write": "30.8 pJ",
    "buffering": "double",
    "ports": "{rw: {direction: read_write, bandwidth: 64 bit/cycle}}",
    "direction": "read",
    "bandwidth": "64 bit/cycle",
    "holds": "[I, O]",
    "serves": "all",
    "rows": "D1",
    "columns": "D2",
    "stationary": "W",
}


def _explain(detail: ErrorDetails, document: Document) -> tuple[Loc, str, str | None]:
    """Place, sentence and way out of one of pydantic's findings."""
    loc, kind, given = detail["loc"], detail["type"], detail["input"]
    key = _key(loc)
    if kind == "missing":
        return loc, f"'{key}' must be given", f"add for example '{key}: {_EXAMPLES[key]}'"
    if kind == "extra_forbidden":
        keys = _keys_at(loc[:-1])
        return loc, f"a key must be one that is known here, not '{key}'", suggestion(key, keys)
    if kind == "weft":
        context = detail["ctx"]
        message = str(context["message"])
        return loc, f"{key} {message}" if message.startswith("must") else f"{key}: {message}", str(context["remedy"])
    if kind == "literal_error":
        choices = re.findall(r"'([^']*)'", str(detail["ctx"]["expected"]))
        remedy = _choice(given, choices) if isinstance(given, str) else None
        if len(loc) > 1 and isinstance(loc[-1], int):
            return loc, f"each of {key} must be one of {', '.join(choices)}, not {shown(given)}", remedy
        return loc, f"{key} must be one of {', '.join(choices)}, not {shown(given)}", remedy
    if kind == "too_short":
        return loc, f"{key} must have at least one entry, not none", f"for example '{key}: {_EXAMPLES[key]}'"
    if kind == "string_pattern_mismatch":
        remedy = "begin with a letter, then letters, digits, '_' and '-'"
        return loc, f"a name must be one word, not '{given}'", remedy
    if kind in _TYPES:
        remedy = "put it in quotes" if kind == "string_type" and isinstance(given, int | float) else None
        if kind == "list_type" and isinstance(given, str):
            remedy = f"write '{key}: [{'' if given == 'none' else given}]'"
        if kind in ("dict_type", "model_type") and key in _EXAMPLES:
            remedy = f"for example '{key}: {_EXAMPLES[key]}'"
        name = key if isinstance(loc[-1], str) else f"each of {key}"
        return loc, f"{name} must be {_TYPES[kind]}, not {shown(given)}", remedy
    return loc, f"{key} must hold: {detail['msg']}", None  # pragma: no cover - no other kind arises from these forms


_ALSO = {**{letter: role for role, letter in LETTERS.items()}, "input_channel": "reduction_channel"}
"""Other names of loops: the letters that `weft check` shows, and what many call the sum's channel."""


def _choice(given: str, choices: list[str]) -> str | None:
    """A remedy for a word that is none of those just listed."""
    return did_you_mean(_ALSO[given] if _ALSO.get(given) in choices else given, choices)


def _key(loc: Loc) -> str:
    """The last word of a way: what the value is called."""
    return next(str(part) for part in reversed(loc) if isinstance(part, str) and part != "[key]")


def _keys_at(loc: Loc) -> list[str]:
    """The keys that the mapping at `loc` may have."""
    forms: dict[tuple[str, ...], type[Form]] = {
        (): ChipForm,
        ("precision",): PrecisionForm,
        ("transfers",): TransfersForm,
        ("memories",): MemoryForm,
        ("memories", "ports"): PortForm,
        ("cores",): CoreForm,
        ("cores", "array"): SideForm,
        ("cores", "systolic"): SystolicForm,
        ("cores", "op_precision"): OpPrecisionForm,
        ("cores", "memories"): CoreMemoryForm,
        ("cores", "memories", "ports"): PortForm,
        ("links",): LinkForm,
    }
    keys = list(forms[tuple(str(part) for part in loc[::2])].model_fields)
    return ["from", *keys] if loc[:1] == ("cores",) and len(loc) == 2 else keys
