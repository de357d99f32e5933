"""The newest job of a kind: is it going on, and stopping it."""

from types import SimpleNamespace

import pytest

from financial_model.ui import asking
from financial_model.ui.page import Snapshot


def job(number, kind, state):
    return {"id": str(number), "kind": kind, "state": state}


class Services:
    """Jobs, newest first, and which of them were told to stop."""

    def __init__(self, *jobs):
        self.listed, self.stopped = list(jobs), []
        self.jobs = SimpleNamespace(stop=self.stopped.append)

    def snapshot(self, fresh):
        assert fresh
        return Snapshot(jobs=self.listed, runs=[], market={})


def test_the_newest_job_of_a_kind_is_stopped_and_no_other():
    services = Services(job(3, "train", "running"), job(2, "sweep", "running"), job(1, "sweep", "finished"))
    asking.stop_newest(services, "sweep")
    asking.stop_newest(services, "compare")
    assert services.stopped == ["2"] and asking.newest(services.snapshot(fresh=True), "compare") is None


@pytest.mark.parametrize("state, expected", [("queued", True), ("preparing", True), ("running", True), ("stopping", True), ("finished", False),
                                             ("stopped", False), ("failed", False)])
def test_a_job_goes_on_until_it_has_ended(state, expected):
    assert asking.going_on(job(1, "sweep", state)) is expected
    assert not asking.going_on(None)
