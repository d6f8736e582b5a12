"""trace.pftrace parses back, by a reader of protobuf's wire form and by Perfetto's own classes, to the schedule."""

from __future__ import annotations

import struct
from collections import Counter

import pytest

from tests.schedule.test_solve import quad, residual
from weft.report.timeline import occupancy
from weft.report.trace import BEGIN, COUNTER, END, apart, trace_bytes
from weft.schedule import solve

CHIP = quad(16000)


@pytest.fixture(scope="module")
def schedule():
    return solve(residual(), CHIP, "latency", budget=20).schedule


def fields(data):
    """(number, value) of every field of a message: an int, or the bytes inside."""
    at = 0

    def varint():
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while at < len(data):
        key = varint()
        if key & 7 == 0:
            yield key >> 3, varint()
        elif key & 7 == 1:
            at += 8
            yield key >> 3, struct.unpack("<d", data[at - 8 : at])[0]
        else:
            assert key & 7 == 2
            length = varint()
            at += length
            assert at <= len(data)
            yield key >> 3, data[at - length : at]


def by_wire(data):
    """(tracks by uuid: name, parent), (time, type, track, name or value) of a trace."""
    tracks, events = {}, []
    for number, packet in fields(data):
        assert number == 1
        packet = dict(fields(packet))
        if 60 in packet:
            track = dict(fields(packet[60]))
            tracks[track[1]] = track[2].decode(), track.get(5)
        else:
            event = dict(fields(packet[11]))
            what = event[23].decode() if event[9] == BEGIN else event.get(30)
            events.append((packet[8], event[9], event[11], what))
    return tracks, events


def by_perfetto(data):
    """The same by Perfetto's classes."""
    messages = pytest.importorskip("perfetto.protos.perfetto.trace.perfetto_trace_pb2")
    trace = messages.Trace.FromString(data)
    tracks, events = {}, []
    for packet in trace.packet:
        assert packet.trusted_packet_sequence_id == 1
        if packet.HasField("track_descriptor"):
            it = packet.track_descriptor
            tracks[it.uuid] = it.name, it.parent_uuid if it.HasField("parent_uuid") else None
        else:
            it = packet.track_event
            what = it.name if it.type == BEGIN else it.counter_value if it.type == COUNTER else None
            events.append((packet.timestamp, it.type, it.track_uuid, what))
    return tracks, events


@pytest.fixture(params=[by_wire, by_perfetto], ids=["wire", "perfetto"])
def told(request, schedule):
    return request.param(trace_bytes(schedule, CHIP))


def slices(told):
    """(track's name, its parent's, start, end, name); a track never holds two at once."""
    tracks, events = told
    running, found = {}, []
    for time, kind, track, what in events:
        if kind == BEGIN:
            assert track not in running
            running[track] = time, what
        elif kind == END:
            start, name = running.pop(track)
            parent = tracks[tracks[track][1]][0]
            found.append((tracks[track][0], parent, start, time, name))
    assert not running
    return found


def test_cores_show_every_task(told, schedule) -> None:
    shown = Counter((track, start, end, name) for track, kind, start, end, name in slices(told) if kind == "cores")
    assert shown == Counter((task.core, task.start, task.end, task.op) for task in schedule.tasks)
    names = {name for name, parent in told[0].values() if parent == 2}
    assert names == {core.name for core in CHIP.cores}


def test_links_show_every_transfer_on_every_lane(told, schedule) -> None:
    shown = Counter(
        (track.partition(" (")[0], start, end, name)
        for track, kind, start, end, name in slices(told)
        if kind == "links"
    )
    wanted = Counter(
        (lane, move.start, move.end, move.tensor)
        for move in schedule.transfers
        for lane in {load.lane for load in move.lanes}
    )
    wanted += Counter(
        (lane, task.start, task.end, f"{task.op} streams")
        for task in schedule.tasks
        for lane in {load.lane for load in task.lanes}
    )
    assert shown == wanted
    assert len(schedule.transfers) > 3


def test_memories_count_what_they_hold(told, schedule) -> None:
    tracks, events = told
    counted = {}
    for time, kind, track, what in events:
        if kind == COUNTER:
            assert tracks[track][1] == 4
            counted.setdefault(tracks[track][0], []).append((time, what))
    assert {memory: tuple(steps) for memory, steps in counted.items()} == occupancy(schedule)


def test_times_never_go_back_and_ends_come_first(told) -> None:
    times = [(time, kind != END) for time, kind, _, _ in told[1]]
    assert times == sorted(times)


def test_the_parent_of_all_says_what_it_is(told) -> None:
    assert told[0][1] == ("small on small (1 ns here is 1 base cycle, 1 ns)", None)


def test_slices_that_touch_share_a_row() -> None:
    rows = apart([(0, 2, "a", b""), (2, 3, "b", b""), (1, 3, "c", b""), (1, 2, "d", b"")])
    assert [[name for _, _, name, _ in row] for row in rows] == [["a", "b"], ["d"], ["c"]]
