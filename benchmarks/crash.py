"""Kill Kairos without warning, again and again, and see what is left: ``./start.sh crash [--kills 20] [--seed 1]``.

A command or the server is killed with SIGKILL while it downloads (from the fake TDX server), builds a panel, trains, or writes a checkpoint. After
every kill each file must be readable, no process may be left over and no run may claim to be alive; in the end the download is completed and every
run is resumed to its end. Which stage, by which door and at which moment is drawn from the seed. It needs Linux.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.readable import Found, look
from tests.e2e.browser import ROOT, free_port

STAGES = ("download", "panel", "training", "checkpoint")
PATIENCE = 600.0
"""Seconds after which a process that neither works nor ends counts as hung."""
LOOK, GLANCE = 0.02, 0.0005
"""Seconds between two looks for a moment; the second for a checkpoint, which is being written for some milliseconds only."""


@dataclass(frozen=True, kw_only=True)
class Size:
    """How large the market and the models are."""

    stocks: int = 60
    days: int = 900
    settings: dict[str, Any] = field(default_factory=lambda: {
        "model": "lstm", "hidden": 96, "layers": 1, "context_length": 20, "epochs": 30, "windows_per_epoch": 4000, "patience": 0,
        "groups": "price,return,volatility,volume", "resume_every": 1, "save_every": 1, "device": "cpu"})
    """Flags of ``train``."""


@dataclass
class Kill:
    """One kill and what it left."""

    stage: str
    """The stage that was aimed at."""
    door: str
    """``command`` or ``server``."""
    moment: str
    run: str = ""
    state: str = ""
    """What the run's folder says afterwards."""
    read: int = 0
    """Files that were opened and read whole."""
    leftovers: int = 0
    faults: list[str] = field(default_factory=list)


class Ended(Exception):
    """The process came to its end before the moment at which it was to be killed."""


class Process:
    """A command or the server in a session of its own, so that nothing it starts can hide."""

    def __init__(self, arguments: list[str], log: Path) -> None:
        self.log = log
        with log.open("ab") as stream:
            environment = {**os.environ, "GRADIO_TEMP_DIR": str(log.parent / "gradio"), "PYTHONUTF8": "1"}
            self.child = subprocess.Popen([sys.executable, "-W", "ignore", *arguments], cwd=ROOT, env=environment, start_new_session=True,
                                          stdin=subprocess.DEVNULL, stdout=stream, stderr=stream)

    def until(self, reached: Callable[[], bool], every: float = LOOK) -> None:
        """Wait for a moment; :class:`Ended` when the process was quicker."""
        deadline = time.monotonic() + PATIENCE
        while not reached():
            if self.child.poll() is not None:
                raise Ended
            if time.monotonic() > deadline:
                raise RuntimeError(f"nothing happened for {PATIENCE:.0f} s: {self.log.read_text('utf-8', errors='replace')[-2000:]}")
            time.sleep(every)

    def wait(self) -> int:
        return self.child.wait(timeout=4 * PATIENCE)

    def kill(self, patience: float = 15.0) -> bool:
        """SIGKILL to the process itself, not to its children: they must go on their own. Whether they did."""
        if self.child.poll() is None:
            self.child.kill()
        self.child.wait()
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            try:
                os.killpg(self.child.pid, 0)
            except ProcessLookupError:
                return True
            time.sleep(0.02)
        self.clear()
        return False

    def clear(self) -> None:
        try:
            os.killpg(self.child.pid, signal.SIGKILL)
        except ProcessLookupError:
            return


class Crash:
    """One folder with data and runs that lives through all kills."""

    def __init__(self, folder: Path, server: str, *, size: Size, seed: int, say: Callable[[str], object]) -> None:
        self.data, self.checkpoints, self.log = folder / "data", folder / "checkpoints", folder / "log.txt"
        self.server, self.size, self.say = server, size, say
        self.random = random.Random(seed)
        self.panels = 0
        self.downloaded = False
        self.process: Process | None = None

    # ------------------------------------------------------------ starting
    def command(self, *words: str) -> Process:
        folders = ["--data-dir", str(self.data), "--checkpoint-dir", str(self.checkpoints)]
        self.process = Process(["-m", "financial_model", *words, *folders, "--json"], self.log)
        return self.process

    def download(self) -> Process:
        return self.command("download", "--source", "tdx", "--server", self.server, "--count", str(self.size.stocks))

    def train(self, door: str, run: str = "") -> tuple[Process, str]:
        """A new training, or ``run`` resumed: by the command line or asked of a server. The process and the run."""
        before = set(self.runs())
        if door == "command":
            process = self.command("train", "--resume", run) if run else self.command("train", *_flags(self._settings()))
        else:
            process, port = self._serve()
            # by the settings' names here, where the command line has flags
            body = {"kind": "resume", "run": run} if run else {"kind": "train", "preset": "quick", "settings": _named(self._settings())}
            _post(f"http://127.0.0.1:{port}/api/v1/jobs", body)
        if not run:
            process.until(lambda: bool(set(self.runs()) - before))
            run = next(iter(set(self.runs()) - before))
        return process, run

    def _settings(self) -> dict[str, Any]:
        """Every new run asks for a panel of its own."""
        self.panels += 1
        return {**self.size.settings, "min_history": 119 + self.panels, "name": f"crash{self.panels}"}

    def _serve(self) -> tuple[Process, int]:
        port = free_port()
        folders = ["--data-dir", str(self.data), "--checkpoint-dir", str(self.checkpoints)]
        self.process = Process([str(ROOT / "app.py"), "--port", str(port), *folders], self.log)
        self.process.until(lambda: _answers(port))
        return self.process, port

    # ------------------------------------------------------------ what is on disk
    def bars(self) -> int:
        return len(list((self.data / "training_data").glob("[!.]*.csv")))

    def runs(self) -> list[str]:
        """Runs whose story has begun."""
        return [path.parent.name for path in self.checkpoints.glob("*/events.jsonl")]

    def states(self) -> dict[str, str]:
        from financial_model.serving.runs import RunStore

        return {run.id: run.state for run in RunStore(self.checkpoints).list()}

    def lines(self, run: str, kind: str) -> int:
        """How often a kind of event stands in a run's story."""
        path = self.checkpoints / run / "events.jsonl"
        return path.read_bytes().count(f'"kind": "{kind}"'.encode()) if path.is_file() else 0

    def unfinished(self) -> list[str]:
        return sorted(run for run, state in self.states().items() if state != "finished")

    # ------------------------------------------------------------ killing
    def kill(self, stage: str, door: str, share: float) -> Kill:
        """One kill in ``stage``; ``share``: which part of the stage's kills this one is, for a download that shall not end too early."""
        for _ in range(4):
            began = time.monotonic()
            try:
                process, done = getattr(self, f"_in_{stage}")(door, share)
            except Ended:
                self.say(f"{stage}: it ended before the moment came; once more")
                continue
            gone = process.kill()
            self._after(done, gone)
            self.say(f"{done.stage} by {done.door}, {done.moment}, after {time.monotonic() - began:.1f} s: {done.read} files read, "
                     f"{done.leftovers} unfinished, {len(done.faults)} faults")
            return done
        raise RuntimeError(f"{stage} was over before it could be killed, four times")

    def _after(self, done: Kill, gone: bool) -> None:
        found = look_at(self.data, self.checkpoints)
        done.read, done.leftovers, done.faults = sum(found.read.values()), found.leftovers, found.faults
        states = self.states()
        if done.run:
            done.state = states.get(done.run, "gone")
        done.faults += [f"{run} says that it is {state}" for run, state in states.items() if state not in ("interrupted", "finished")]
        if not gone:
            done.faults.append("a child process outlived the one that was killed")

    def _in_download(self, door: str, share: float) -> tuple[Process, Kill]:
        before = self.bars()
        wanted = max(before + 1, int(self.size.stocks * share * (0.4 + 0.5 * self.random.random())))
        pause = self.random.uniform(0, 0.02)
        process = self.download()
        process.until(lambda: self.bars() >= wanted)
        time.sleep(pause)
        return process, Kill("download", "command", f"from {before} stocks on disk to {self.bars()} of {self.size.stocks}")

    def _in_panel(self, door: str, share: float) -> tuple[Process, Kill]:
        """While its numbers are written, or at any time from the beginning of the stage on."""
        writing, pause = self.random.random() < 0.5, self.random.uniform(0, 3)
        process, run = self.train(door)
        process.until(lambda: self.lines(run, "stage") > 0)
        panels = self.data / "panels"
        finished = set(_visible(panels))
        over = time.monotonic() + pause

        def moment() -> bool:
            return set(_visible(panels)) != finished or (bool(_unfinished(panels)) if writing else time.monotonic() > over)

        process.until(moment)
        told = "while it was written" if _unfinished(panels) else "just written" if set(_visible(panels)) != finished else f"{pause:.1f} s into it"
        return process, Kill("panel", door, told, run)

    def _in_training(self, door: str, share: float) -> tuple[Process, Kill]:
        process, run, before = self._going_on(door)
        more, pause = self.random.randint(1, 6), self.random.uniform(0, 0.5)
        process.until(lambda: self.lines(run, "step") >= before + more)
        time.sleep(pause)
        if process.child.poll() is not None:
            raise Ended
        return process, Kill("training", door, f"{self.lines(run, 'step') - before} points further", run)

    def _in_checkpoint(self, door: str, share: float) -> tuple[Process, Kill]:
        process, run, before = self._going_on(door)
        more = self.random.randint(1, 4)
        process.until(lambda: self.lines(run, "step") >= before + more)
        folder = self.checkpoints / run
        places = (folder, folder / "resume")
        old = {path for place in places for path in _unfinished(place)}
        seen: list[str] = []

        def moment() -> bool:
            seen[:] = [path for place in places for path in _unfinished(place) if path not in old and ".safetensors." in path]
            return bool(seen)

        process.until(moment, GLANCE)
        process.child.kill()
        process.child.wait()
        name = seen[0].lstrip(".").partition(".safetensors.")[0]
        torn = any(seen[0] in _unfinished(place) for place in places)
        return process, Kill("checkpoint", door, f"{name} {'torn' if torn else 'just written'}", run)

    def _going_on(self, door: str) -> tuple[Process, str, int]:
        """A run that was interrupted, resumed; a new one when all are finished."""
        waiting = self.unfinished()
        run = self.random.choice(waiting) if waiting else ""
        before = self.lines(run, "step") if run else 0
        process, run = self.train(door, run)
        return process, run, before

    # ------------------------------------------------------------ to the end
    def complete(self) -> bool:
        """The download, to its end; once."""
        self.downloaded = self.downloaded or self.download().wait() == 0
        return self.downloaded

    def finish(self, market: Any, compare: bool) -> dict[str, Any]:
        """Complete the download, resume every run, and look: bars are the server's, no point of a curve stands twice, and where it is wished
        (``compare``; it takes one more training), weights are those of a run left alone."""
        from financial_model.training.checkpoint import read_header
        from financial_model.training.events import read_events

        faults: list[str] = []
        if not self.complete():
            faults.append("the download did not come to its end")
        faults += differences(self.data, market)
        resumed = self.unfinished()
        for run in resumed:
            if self.train("command", run)[0].wait() != 0:
                faults.append(f"{run} did not come to its end")
        hashes: dict[str, str] = {}
        for run, state in self.states().items():
            final = self.checkpoints / run / "final.safetensors"
            if state != "finished" or not final.is_file():
                faults.append(f"{run} is {state}")
                continue
            hashes[run] = read_header(final)["weights_hash"]
            steps = [event["step"] for event in read_events(self.checkpoints / run / "events.jsonl")[0] if event["kind"] == "step"]
            if steps != sorted(set(steps)):
                faults.append(f"{run}: a point of the curve stands twice, or out of order")
        if compare and hashes:
            self._compare_weights(hashes, faults)
        found = look_at(self.data, self.checkpoints)
        return {"runs": len(hashes), "resumed": len(resumed), "compared": compare, "read": dict(found.read),
                "faults": faults + found.faults}

    def _compare_weights(self, hashes: dict[str, str], faults: list[str]) -> None:
        """Runs here differ in their name and their panel's folder alone: each must end with the weights of one that nobody killed."""
        from financial_model.training.checkpoint import read_header

        process, run = self.train("command")
        if process.wait() != 0:
            faults.append(f"{run}, which nobody killed, did not come to its end")
            return
        wanted = read_header(self.checkpoints / run / "final.safetensors")["weights_hash"]
        faults += [f"{other} has other weights than {run}, which nobody killed" for other, found in hashes.items() if found != wanted]


def look_at(*folders: Path) -> Found:
    whole = Found()
    for folder in folders:
        found = look(folder)
        whole.read += found.read
        whole.leftovers += found.leftovers
        whole.faults += found.faults
    return whole


def differences(data: Path, market: Any) -> list[str]:
    """Stored bars against what the fake server knows."""
    from financial_model.market.store import Store
    from tests.market.truth import difference, shares_of, symbol_of

    store, found = Store(data), []
    for entry in shares_of(market):
        told = difference(store, entry) if store.has(symbol_of(entry)) else "not there"
        found += [f"{symbol_of(entry)}: {told}"] if told else []
    return found


def _names(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)
    except FileNotFoundError:
        return []


def _unfinished(folder: Path) -> list[str]:
    return [name for name in _names(folder) if name.startswith(".") and name.endswith(".tmp")]


def _visible(panels: Path) -> list[str]:
    return [name for name in _names(panels) if not name.startswith(".") and (panels / name).is_dir()]


def _flags(settings: dict[str, Any]) -> list[str]:
    return [word for name, value in settings.items() for word in (f"--{name.replace('_', '-')}", str(value))]


def _named(settings: dict[str, Any]) -> dict[str, Any]:
    named = {("backbone" if name == "model" else name): value for name, value in settings.items()}
    return {**named, "groups": named["groups"].split(",")}


def _answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/jobs", timeout=5) as reply:
            return reply.status == 200
    except OSError:
        return False


def _post(url: str, body: dict[str, Any]) -> Any:
    asked = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(asked, timeout=60) as reply:
        return json.loads(reply.read())


def plan(kills: int, seed: int) -> list[tuple[str, str, float]]:
    """(stage, door, share of that stage's kills) of every kill: downloads first, then a panel, then the rest in any order."""
    counts = {stage: kills // len(STAGES) + (place < kills % len(STAGES)) for place, stage in enumerate(STAGES)}
    later = [stage for stage in STAGES[2:] for _ in range(counts[stage])] + ["panel"] * max(0, counts["panel"] - 1)
    shuffled = random.Random(seed)
    shuffled.shuffle(later)
    downloads = [("download", "command", (place + 1) / counts["download"]) for place in range(counts["download"])]
    rest = [*(["panel"] if counts["panel"] else []), *later]
    return [*downloads, *((stage, ("command", "server")[place % 2], 1.0) for place, stage in enumerate(rest))]


def run(kills: list[tuple[str, str, float]], *, seed: int, size: Size, say: Callable[[str], object], compare: bool = True) -> dict[str, Any]:
    """The whole test in a folder of its own, which is gone afterwards."""
    from tests.fakes.tdx import TdxServer
    from tests.fakes.tdx_market import make_market

    market = make_market(size.stocks, size.days)
    with tempfile.TemporaryDirectory(prefix="kairos-crash-") as name, TdxServer(market) as server:
        crash = Crash(Path(name), f"127.0.0.1:{server.port}", size=size, seed=seed, say=say)
        try:
            done = []
            for stage, door, share in kills:
                if stage != "download" and not crash.complete():
                    raise RuntimeError(crash.log.read_text("utf-8", errors="replace")[-2000:])
                done.append(crash.kill(stage, door, share))
            say("resuming everything to its end")
            end = crash.finish(market, compare)
        finally:
            if crash.process is not None:
                crash.process.clear()
    faults = [fault for entry in done for fault in entry.faults] + end["faults"]
    return {"seed": seed, "kills": [dataclasses.asdict(entry) for entry in done], "end": end, "passed": not faults}


def render(report: dict[str, Any]) -> str:
    lines = ["| kill | stage | by | moment | run afterwards | files read | unfinished | faults |", "|---|---|---|---|---|---|---|---|"]
    lines += [f"| {place} | {kill['stage']} | {kill['door']} | {kill['moment']} | {kill['state']} | {kill['read']} | {kill['leftovers']} | "
              f"{'; '.join(kill['faults']) or 'none'} |" for place, kill in enumerate(report["kills"], start=1)]
    end = report["end"]
    if not report["passed"]:
        return "\n".join([*lines, "", f"NOT passed. In the end: {'; '.join(end['faults'][:20]) or 'no further fault'}"])
    told = (f"In the end: bars equal the server's; {end['resumed']} of {end['runs']} runs were resumed, all finished"
            f"{', every one with the very weights of a run left alone' if end['compared'] else ''}; {sum(end['read'].values())} files read.")
    return "\n".join([*lines, "", told])


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="./start.sh crash", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path, default=Path("crash.json"), help="where to write the result (default: %(default)s)")
    options = parser.parse_args(arguments)
    if not sys.platform.startswith("linux"):
        parser.error("the crash test needs Linux: it watches process groups and kills with SIGKILL")
    if options.kills < 1:
        parser.error("--kills must be at least 1")
    try:
        report = run(plan(options.kills, options.seed), seed=options.seed, size=Size(), say=lambda text: sys.stderr.write(f"{text}\n"))
    except KeyboardInterrupt:
        sys.stderr.write("stopped; nothing is left behind\n")
        return 130
    options.json.write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n", "utf-8")
    sys.stdout.write(render(report) + "\n")
    return 0 if report["passed"] else 1


if __name__ == "__main__":
    sys.exit(main())
