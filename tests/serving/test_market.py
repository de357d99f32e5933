"""What the data page asks for: plans, integrity, both through the job queue too."""

import csv
import io

import pytest

from financial_model.errors import DataError, NotFoundError
from financial_model.serving.jobs import JobService
from financial_model.serving.market import check_integrity, download, plan_download
from tests.fakes.tdx import TdxServer
from tests.fakes.tdx_market import make_market

LIMIT = 60


def test_integrity_is_plain_data_with_a_table_to_download(filled):
    found = check_integrity(filled)
    symbols = [entry["symbol"] for entry in found["symbols"]]
    assert found["totals"]["symbols"] == len(symbols) > 1
    assert [row["symbol"] for row in csv.DictReader(io.StringIO(found["csv"]))] == symbols
    assert [entry["symbol"] for entry in check_integrity(filled, symbols[:1])["symbols"]] == symbols[:1]
    with pytest.raises(NotFoundError):
        check_integrity(filled, ["600998"])


def test_integrity_of_nothing_is_refused(workspace):
    with pytest.raises(DataError) as caught:
        check_integrity(workspace)
    assert caught.value.key == "serving.no_data"


def test_integrity_is_a_job_with_progress_and_a_result(filled):
    jobs = JobService(filled)
    try:
        seen = jobs.wait(jobs.submit("integrity").id, LIMIT)
    finally:
        jobs.close()
    assert seen["state"] == "finished" and seen["stage"] == "integrity" and seen["done"] == seen["total"] > 0
    assert set(seen["result"]) == {"totals", "symbols", "findings", "csv"}


def test_a_plan_and_then_the_same_as_a_job(workspace):
    wishes = {"count": 2, "boards": ("main", "chinext")}
    with TdxServer(make_market(6, 260, noise=1)) as server:
        options = {"server": f"127.0.0.1:{server.port}"}
        assert plan_download(workspace, "tdx", **wishes, options=options)["new"] == 3
        jobs = JobService(workspace)
        try:
            seen = jobs.wait(jobs.submit("download", source="tdx", **wishes, **options).id, LIMIT)
        finally:
            jobs.close()
        assert seen["state"] == "finished" and len(seen["result"]["stored"]) == 3 and seen["rate"] >= 0
        assert plan_download(workspace, "tdx", **wishes, options=options)["current"] == 3
        assert download(workspace, "tdx", **wishes, options=options)["current"] == 3
