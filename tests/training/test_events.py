"""The story of a run survives kills, full disks and readers that come in between."""

import errno
import json
import logging
import os
import threading

import pytest

from financial_model.training.events import EventLog, read_events, without_rewound


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run" / "events.jsonl"


def steps(events, kind="step"):
    return [event["step"] for event in events if event["kind"] == kind]


def test_what_is_appended_is_read_in_order(path):
    with EventLog(path) as log:
        log.append("run", parameters=12)
        log.append("step", step=1, epoch=0.5, split="train", metrics={"loss": 0.25})
    events, offset = read_events(path)
    assert [event["kind"] for event in events] == ["run", "step"]
    assert events[1]["metrics"] == {"loss": 0.25} and events[1]["time"] > 1e9
    assert offset == path.stat().st_size


def test_a_line_is_on_disk_as_soon_as_it_is_appended(path):
    log = EventLog(path)
    log.append("step", step=1)
    assert steps(read_events(path)[0]) == [1]


def test_a_reader_goes_on_where_it_was(path):
    log = EventLog(path)
    log.append("step", step=1)
    _, offset = read_events(path)
    log.append("step", step=2)
    events, offset = read_events(path, offset)
    assert steps(events) == [2]
    assert read_events(path, offset) == ([], offset)


def test_a_file_that_does_not_exist_yet_has_no_events(path):
    assert read_events(path) == ([], 0)


def test_a_torn_last_line_is_left_for_later_and_cut_off_by_the_next_writer(path):
    EventLog(path).append("step", step=1)
    with open(path, "ab") as stream:
        stream.write('{"kind": "step", "step": 2, "note": "没'.encode()[:-1])  # killed inside a line, inside a character
    events, offset = read_events(path)
    assert steps(events) == [1]
    EventLog(path).append("step", step=3)
    assert steps(read_events(path)[0]) == [1, 3]
    assert steps(read_events(path, offset)[0]) == [3]
    assert all(json.loads(line) for line in path.read_text("utf-8").splitlines())


@pytest.mark.parametrize("size", [10, 70_000, 200_000])
def test_a_file_that_is_one_torn_line_starts_anew(path, size):
    path.parent.mkdir()
    path.write_bytes(b"x" * size)
    EventLog(path).append("step", step=1)
    assert steps(read_events(path)[0]) == [1]


def test_a_damaged_line_is_skipped_and_said(path, caplog):
    EventLog(path).append("step", step=1)
    with open(path, "ab") as stream:
        stream.write(b"\xff\xfe nonsense\n[1, 2]\n")
    EventLog(path).append("step", step=2)
    with caplog.at_level(logging.WARNING):
        assert steps(read_events(path)[0]) == [1, 2]
    assert "unreadable line" in caplog.text


def test_a_loss_that_is_not_a_number_is_still_json(path):
    EventLog(path).append("step", step=1, metrics={"loss": float("nan")})
    assert "NaN" not in path.read_text("utf-8")
    assert read_events(path)[0][0]["metrics"] == {"loss": None}


def test_threads_never_mix_their_lines(path):
    log = EventLog(path)

    def write(first):
        for step in range(first, first + 200):
            log.append("step", step=step, note="字" * 50)

    threads = [threading.Thread(target=write, args=(1000 * i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    expected = sorted(1000 * i + k for i in range(4) for k in range(200))
    assert sorted(steps(read_events(path)[0])) == expected


class FullDisk:
    """A stream that takes half a line and then says that the disk is full."""

    def __init__(self, stream):
        self.stream = stream

    def write(self, data):
        return self.stream.write(data[: len(data) // 2])

    def close(self):
        self.stream.close()


def test_a_full_disk_never_stops_a_training_and_leaves_no_half_line(path, caplog):
    log = EventLog(path)
    log.append("step", step=1)
    log._stream = FullDisk(log._stream)
    with caplog.at_level(logging.WARNING):
        log.append("step", step=2)  # the disk is full
        log.append("step", step=3)  # there is room again
    assert steps(read_events(path)[0]) == [1, 3]
    assert caplog.text.count("could not be written") == 1


def test_a_folder_that_cannot_be_written_is_said_once(tmp_path, caplog):
    (tmp_path / "file").write_text("")
    log = EventLog(tmp_path / "file" / "events.jsonl")  # its folder is a file
    with caplog.at_level(logging.WARNING):
        for step in range(5):
            log.append("step", step=step)
    assert caplog.text.count("could not be written") == 1
    assert os.strerror(errno.EEXIST) in caplog.text or os.strerror(errno.ENOTDIR) in caplog.text


# ---------------------------------------------------------------- after a kill
def test_points_beyond_the_resume_point_are_dropped(path):
    log = EventLog(path)
    log.append("stage", stage="training")
    for step in (10, 20, 30):
        log.append("step", step=step)
    log.append("epoch", step=30)
    log.append("resume", step=20)
    log.append("step", step=30)
    events, _ = read_events(path)
    assert steps(events) == [10, 20, 30] and steps(events, "epoch") == []
    assert [event["kind"] for event in events] == ["stage", "step", "step", "resume", "step"]


def test_a_reader_in_pieces_gets_the_same_from_what_it_kept(path):
    log = EventLog(path)
    log.append("step", step=10)
    log.append("step", step=20)
    kept, offset = read_events(path)
    log.append("resume", step=10)
    log.append("step", step=20)
    fresh, _ = read_events(path, offset)
    assert without_rewound(kept + fresh) == read_events(path)[0]
    assert steps(without_rewound(kept + fresh)) == [10, 20]


def test_a_run_that_begins_anew_forgets_every_point():
    events = [{"kind": "baseline", "step": 0}, {"kind": "stage"}, {"kind": "step", "step": 5}, {"kind": "resume", "step": -1}]
    assert without_rewound(events) == [events[1], events[3]]


def test_dropping_twice_changes_nothing():
    events = [{"kind": "step", "step": s} for s in (1, 2, 3)] + [{"kind": "resume", "step": 2}, {"kind": "step", "step": 3},
              {"kind": "resume", "step": 1}, {"kind": "step", "step": 2}]
    once = without_rewound(events)
    assert without_rewound(once) == once
    assert steps(once) == [1, 2]


def test_what_a_session_said_at_its_resume_point_is_forgotten_with_it():
    """Two sessions go on from the point saved at 5.0 after step 2; the first was killed before it saved another one."""
    resume = {"kind": "resume", "step": 2, "saved": 5.0}
    told = [{"kind": "step", "step": 1, "time": 4.0}, {"kind": "step", "step": 2, "time": 5.0}, {"kind": "warning", "time": 5.5}, resume]
    again = [{"kind": "step", "step": 2, "time": 6.0}, {"kind": "epoch", "step": 2, "time": 6.5}, {"kind": "step", "step": 3, "time": 7.0}]
    events = [*told, *again, resume, {"kind": "step", "step": 2, "time": 9.0}, {"kind": "step", "step": 3, "time": 9.5}]
    once = without_rewound(events)
    assert once == [*told, *events[-3:]] and without_rewound(once) == once
