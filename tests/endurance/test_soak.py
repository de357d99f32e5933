"""What the soak calls flat, and what it calls lost."""

import mmap
import os
import subprocess
import sys
import threading

import numpy as np
import pytest

from benchmarks import processes, soak
from benchmarks import soak_figures as figures
from financial_model.serving.runs import RunStore
from financial_model.training.events import EventLog
from financial_model.training.plain import plain
from tests.serving.builders import tiny

MEGABYTE = 1e6


def samples(growth: float, *, noise: float = 0.0) -> figures.Samples:
    """Half an hour around 400 MB, a sample every five seconds; the first minutes rise steeply, as they do."""
    drawn = np.random.default_rng(1).normal(0, noise, 360)
    return [(5.0 * place, 400 * MEGABYTE - 80 * MEGABYTE * (place < 60) + growth * place / 360 + drawn[place]) for place in range(360)]


def test_a_beginning_that_rises_and_noise_are_flat():
    found = figures.trend(samples(0, noise=3 * MEGABYTE))
    assert found["flat"] is True and abs(found["growth"]) < 2 * MEGABYTE and found["minutes"] == pytest.approx(20, abs=0.2)


def test_a_leak_is_not_flat():
    found = figures.trend(samples(60 * MEGABYTE, noise=3 * MEGABYTE))
    assert found["flat"] is False and found["growth"] == pytest.approx(40 * MEGABYTE, rel=0.1)
    assert found["allowed"] == pytest.approx(figures.SHARE * found["median"])


def test_two_samples_say_nothing():
    assert figures.trend([(0.0, 1.0), (5.0, 1e9)])["flat"] is None


@pytest.fixture
def story(tmp_path):
    """A run of 2,500 points and 25 epochs: (its file, what a client has read in pieces, its curves as the endpoint gives them)."""
    runs = RunStore(tmp_path)
    run = runs.create(tiny())
    path, arrived, offset = run.path / "events.jsonl", [], 0
    with EventLog(path) as events:
        for step in range(1, 2501):
            events.append("step", step=step, epoch=step / 100, split="train", metrics={"loss": 1 / step})
            if step % 100 == 0:
                events.append("epoch", step=step, epoch=step // 100, split="validation", metrics={"loss": 2 / step})
                fresh, offset = runs.events(run.id, offset)
                arrived += plain(fresh)
    return path, arrived, plain(runs.curves(run.id, figures.POINTS))


def test_a_curve_that_arrived_whole_has_lost_nothing(story):
    assert figures.lost_points(*story) == []


def test_a_point_that_did_not_arrive_is_lost(story):
    path, arrived, curves = story
    assert figures.lost_points(path, arrived[:700] + arrived[701:], curves) == ["2524 events arrived of 2525, or others"]
    curves["series"]["validation/loss"]["value"][3] += 1e-6
    assert figures.lost_points(path, arrived, curves) == ["validation: 25 points are drawn of 25, or others"]


def test_the_memory_of_a_process_is_its_own():
    before = processes.resident(os.getpid())
    # New pages: an array may be given memory that an earlier test has freed.
    with mmap.mmap(-1, 64_000_000, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as held:
        held.write(b"1" * len(held))
        assert processes.resident(os.getpid()) - before > 0.9 * len(held)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_processor_time_is_counted_for_a_process_and_those_it_began():
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as child:
        try:
            before, machine = processes.used(os.getpid()), processes.busy()
            while processes.used(os.getpid())[child.pid] - before.get(child.pid, 0.0) < 0.05:
                pass
            after = processes.used(os.getpid())
            assert after[os.getpid()] >= before[os.getpid()] > 0 and processes.busy() > machine
            assert processes.used(child.pid).keys() == {child.pid}
        finally:
            child.kill()


def test_the_table_says_what_was_met():
    measured = figures.Measured(memory={"server": samples(0)}, points=10, runs=1, minutes=30.0, seconds={
        "refresh of a page": [0.05] * 99 + [9.0], "gradio_client": [0.2] * 5, f"refresh of a page{figures.ALONE}": [0.02] * 9},
                             processor={"server": 26.0, "training": 150.0, "browser": 50.0, "machine": 240.0, "clock": 130.0})
    found = figures.report(measured, interrupted=False)
    text = figures.render(found)
    assert found["passed"] and "| flat |" in text and "10 written, lost: none" in text
    assert "refresh of a page, without a browser, 9 answers | median 20 ms, 95th percentile 20 ms | < 100 ms | met" in text
    assert "server 0.20, training 1.15, browser 0.38, others 0.11; the server's own 248 ms an answer" in text
    assert "median 50 ms, 95th percentile 50 ms | < 100 ms | met" in text
    assert text.endswith("every target that was judged is met")
    measured.lost.append("a point")
    assert figures.render(figures.report(measured, interrupted=False)).endswith("not met: points of the curve")
    assert not figures.report(measured, interrupted=False)["passed"]
    assert not figures.report(figures.Measured(), interrupted=False)["passed"], "nothing was measured"
    assert "not compared" in figures.render(figures.report(measured, interrupted=True))


def test_an_interruption_before_the_first_figure_leaves_no_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(soak.tempfile, "tempdir", str(tmp_path))
    interrupted = threading.Event()

    def refuse(*_, **__):
        interrupted.set()
        raise RuntimeError("Ctrl-C reached the server as well")

    monkeypatch.setattr(soak, "serving", refuse)
    with pytest.raises(RuntimeError):
        soak.soak(1, stocks=4, years=1, interrupted=interrupted, say=lambda text: None)
    assert list(tmp_path.iterdir()) == []
