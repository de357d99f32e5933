"""Several processes that share a training: what they say to each other over real gloo connections (here between threads)."""

import copy
import threading
from datetime import timedelta

import numpy as np
import pytest
import torch
import torch.distributed as dist

from financial_model.datasets.loader import WindowLoader
from financial_model.errors import ConfigError, KairosError, Stopped
from financial_model.models.forecaster import build_forecaster
from financial_model.objectives import objective
from financial_model.text import has
from financial_model.training.distributed import Several
from financial_model.training.events import EventLog, read_events
from financial_model.training.launcher import Launch, launch, launched
from financial_model.training.preparation import prepare
from financial_model.training.processes import ALONE, Whispered, pass_on, refuse
from financial_model.training.resume import ResumePoint
from financial_model.training.step import TrainingStep
from tests.training.builders import make_config

CPU = torch.device("cpu")


def together(work, count=2, **options):
    """What ``work(processes)`` gives in each of ``count`` processes; an error it raises stands in its place."""
    store, found = dist.HashStore(), [None] * count

    def run(rank):
        group = dist.ProcessGroupGloo(dist.PrefixStore("test", store), rank, count, timedelta(seconds=20))
        try:
            found[rank] = work(Several(group, rank, count, **options))
        except Exception as error:
            found[rank] = error

    threads = [threading.Thread(target=run, args=(rank,)) for rank in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def key(error):
    assert isinstance(error, KairosError), error
    return error.key


# ---------------------------------------------------------------- messages
def test_the_first_one_works_and_all_have_what_it_found():
    worked = []

    def work(processes):
        return processes.lead(lambda: worked.append(processes.rank) or {"loss": np.float64(0.5), "extras": np.ones((1, 2), np.float32)})

    first, *others = together(work, 3)
    assert worked == [0] and first["loss"] == 0.5
    assert others == [{"loss": 0.5, "extras": [[1.0, 1.0]]}] * 2


def test_a_loss_that_is_not_a_number_reaches_the_others_as_that():
    assert all(np.isnan(found) for found in together(lambda processes: processes.lead(lambda: float("nan"))))


@pytest.mark.parametrize("error", [ConfigError("config.no_groups"), Stopped()])
def test_what_ends_the_first_one_ends_all(error):
    def fail():
        raise error

    found = together(lambda processes: processes.lead(fail))
    assert {type(entry) for entry in found} <= {type(error), KairosError}
    assert all(getattr(entry, "key", None) == getattr(error, "key", None) for entry in found)


def test_a_wish_of_one_is_granted_to_all():
    assert together(lambda processes: processes.agree(processes.rank == 1, False, processes.leads)) == [(True, False, True)] * 2


def test_each_hears_of_every_other():
    assert together(lambda processes: processes.every({"rank": processes.rank}), 3) == [[{"rank": 0}, {"rank": 1}, {"rank": 2}]] * 3


def test_a_process_alone_answers_itself():
    assert ALONE.leads and not ALONE.several and ALONE.lead(lambda: 3) == 3 and ALONE.agree(True, False) == (True, False) and ALONE.every(1) == [1]


def test_all_take_the_weights_and_buffers_of_the_first():
    def work(processes):
        model = torch.nn.BatchNorm1d(2)
        for tensor in model.state_dict().values():
            tensor.fill_(5 + processes.rank)
        processes.share_weights(model)
        return {name: tensor.clone() for name, tensor in model.state_dict().items()}

    first, other = together(work)
    assert all(torch.equal(first[name], other[name]) and float(first[name].flatten()[0]) == 5 for name in first)


def test_the_resume_point_is_read_by_the_first_alone(tmp_path):
    tensors = {"model.a": torch.arange(6.0).reshape(2, 3).t(), "optimizer.0.step": torch.tensor(4.0)}

    def work(processes):
        return processes.share_point(ResumePoint(tmp_path, {"step": 4}, tensors) if processes.leads else None)

    _, other = together(work)
    assert other.facts == {"step": 4} and other.path == tmp_path
    assert all(torch.equal(other.tensors[name], tensor) for name, tensor in tensors.items())
    assert together(lambda processes: processes.share_point(None)) == [None, None]


def test_unlike_machines_are_refused_by_all():
    found = together(lambda processes: processes.check_alike(device="one" if processes.leads else "another"))
    assert [key(error) for error in found] == ["training.processes_differ"] * 2 and "another" in str(found[0])


def test_a_process_that_is_gone_ends_the_others_at_once():
    def work(processes):
        if processes.leads:
            processes.agree(True)
            return processes.agree(True)
        processes.agree(True)
        del processes._group  # its connections close, as when a process is killed

    assert key(together(work)[0]) == "training.process_lost" and has("training.process_lost")


def test_what_the_other_said_before_it_left_is_told_instead():
    def work(processes):
        if processes.leads:
            return processes.agree(True)
        del processes._group

    assert key(together(work, failure=lambda: KairosError("training.out_of_memory"))[0]) == "training.out_of_memory"


def test_warnings_of_others_reach_the_events_of_the_first(tmp_path):
    def work(processes):
        events = EventLog(tmp_path / "events.jsonl") if processes.leads else Whispered()
        if not processes.leads:
            events.append("warning", key="training.batch_halved", fields={"rows": 8, "half": 4}, message="...")
            events.append("step", step=1)
        for _ in range(2):
            pass_on(processes, events)

    together(work)
    events, _ = read_events(tmp_path / "events.jsonl")
    assert [(event["kind"], event["process"], event["fields"]["half"]) for event in events] == [("warning", 1, 4)]


# ---------------------------------------------------------------- gradients
def test_gradients_are_summed_and_what_nobody_has_stays_absent():
    def work(processes):
        one, two, still = (torch.nn.Parameter(torch.zeros(2)) for _ in range(3))
        one.grad = torch.full((2,), 1.0 + processes.rank)
        if not processes.leads:
            two.grad = torch.ones(2)  # an expert without work in the first process
        loss = processes.sum_gradients([one, two, still], torch.tensor(0.25))
        return one.grad.tolist(), two.grad.tolist(), still.grad, float(loss)

    assert together(work) == [([3.0, 3.0], [1.0, 1.0], None, 0.5)] * 2


@pytest.mark.parametrize("count, batch_size, accumulation", [(2, 64, 1), (3, 101, 1), (2, 33, 3)])
def test_the_steps_of_several_are_the_steps_of_one(panel, count, batch_size, accumulation):
    config = make_config(model={"dropout": 0.0}, batch_size=batch_size, windows_per_epoch=batch_size * 5 + 1)  # a last batch of one window
    prepared = prepare(config, panel)
    torch.manual_seed(0)
    fresh = build_forecaster(config.model, head="point", inputs=3, context_length=6, horizon=2)

    def work(processes):
        model = copy.deepcopy(fresh)
        step = TrainingStep(model, objective("mse", config), config.training, device=CPU, precision="fp32", compiled=False, notice=print,
                            summed=processes.several)
        loader = WindowLoader(panel, prepared.train, config, prepared.table, batch_size=batch_size, shuffle=True, seed=1,
                              limit=config.training.windows_per_epoch, label_scale=prepared.label_scale, share=(processes.rank, processes.count))
        losses, total = [], torch.zeros(())
        for number, batch in enumerate(loader):
            first = number // accumulation * accumulation
            windows = loader.count(first, first + accumulation)
            total += step.backward(batch, loader.own(number) / windows, number) * loader.own(number)
            if (number + 1) % accumulation and number + 1 < len(loader):
                continue
            losses.append(float(processes.sum_gradients(model.parameters(), total)) / windows)
            step.update(1e-2)
            total = torch.zeros(())
        return losses, torch.cat([parameter.detach().flatten() for parameter in model.parameters()])

    losses, weights = work(ALONE)
    for other, moved in together(work, count):
        assert other == pytest.approx(losses, rel=1e-5)
        torch.testing.assert_close(moved, weights, atol=2e-6, rtol=1e-4)


def test_a_loss_that_is_not_a_number_is_seen_by_all_in_the_same_step():
    config = make_config(model={"dropout": 0.0})

    def work(processes):
        model = torch.nn.Linear(1, 1)
        step = TrainingStep(model, objective("mse", config), config.training, device=CPU, precision="fp32", compiled=False, notice=print, summed=True)
        for parameter in model.parameters():
            parameter.grad = torch.full_like(parameter, float("nan") if processes.leads else 1.0)
        processes.sum_gradients(model.parameters(), torch.tensor(0.0))
        step.update(1e-2)

    assert [str(error) for error in together(work)] == ["gradient"] * 2


# ---------------------------------------------------------------- what is refused
@pytest.mark.parametrize("name, settings", [
    ("cross_section", {"model": {"cross_section": True}}), ("objective", {"objective": "ic"}), ("seeds", {"seeds": 2})])
def test_what_cannot_be_divided_is_refused_in_a_sentence(name, settings):
    with pytest.raises(ConfigError) as caught:
        refuse(make_config(**settings))
    assert caught.value.key == f"training.alone_{name}" and has(caught.value.key)


def test_one_gpu_for_each_process_of_a_machine(monkeypatch):
    chosen = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "set_device", chosen.append)
    second = Several(None, 3, 4, local_rank=1, local_count=2)
    assert second.device("auto") == second.device("cuda") == "cuda:1" and second.device("cpu") == "cpu" and chosen == [1, 1]
    for crowded, name in ((second, "cuda:0"), (Several(None, 2, 3, local_rank=2, local_count=3), "auto")):
        with pytest.raises(ConfigError) as caught:
            crowded.device(name)
        assert caught.value.key == "training.process_devices"


# ---------------------------------------------------------------- the launcher
def environment(**changes):
    return {"RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "0", **changes}


def test_without_a_launcher_there_is_no_launch():
    assert launched(environment()) and not launched({"RANK": "0"}) and not launched({})
    with launch({}) as mine:
        assert mine is None


def test_a_restart_remembers_the_run_and_the_first_failure_is_the_one_that_is_read():
    store = dist.HashStore()
    first, other = (Launch(store, environment(RANK=rank, WORLD_SIZE="2")) for rank in "01")
    assert first.remembered() == "" and first.failure() is None
    processes = Several(None, 0, 2, note=first.note)
    processes.remember("run_1")
    assert other.speaks(KairosError("training.out_of_memory")) and not first.speaks(KairosError("training.process_lost"))
    assert first.failure().key == "training.out_of_memory"
    again = Launch(store, environment(TORCHELASTIC_RESTART_COUNT="1"))
    assert again.remembered() == "run_1" and again.failure() is None


def test_a_launch_joins_and_leaves_no_group_behind():
    with socket_of() as port, launch(environment(MASTER_PORT=str(port))) as mine:
        processes = mine.join()
        assert processes.leads and not processes.several and processes.lead(lambda: "yes") == "yes" and processes.every(1) == [1]
    assert not dist.is_initialized()
    with pytest.raises(ConfigError), socket_of() as port, launch(environment(MASTER_PORT=str(port))):
        raise ConfigError("config.no_groups")


def socket_of():
    """A port that is free."""
    import contextlib
    import socket

    @contextlib.contextmanager
    def free():
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        yield port

    return free()
