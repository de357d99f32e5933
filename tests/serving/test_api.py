"""REST: every ability by its address, refusals as a key and a sentence, nothing that takes a path."""

import asyncio
import json
import re
import threading
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from financial_model import config
from financial_model.errors import BusyError
from financial_model.market.store import Store
from financial_model.serving import abilities as module
from financial_model.serving import api, intake, received
from financial_model.serving.abilities import Abilities, Gate
from financial_model.serving.api import failures, reference
from financial_model.serving.jobs import JobService
from financial_model.training.checkpoint import read_header
from tests.serving.builders import SYMBOLS, TINY, tiny


def client_of(workspace) -> tuple[TestClient, JobService]:
    jobs = JobService(workspace)
    return TestClient(api.build(Abilities(workspace, jobs)), raise_server_exceptions=False), jobs


@pytest.fixture(scope="module")
def asked(finished):
    """(client, run): only questions, nothing is changed."""
    client, jobs = client_of(finished[0])
    yield client, finished[1].id
    jobs.close()


@pytest.fixture
def working(filled):
    client, jobs = client_of(filled)
    yield client, jobs
    jobs.close()


def refused(reply, status: int, key: str) -> str:
    assert reply.status_code == status, reply.text
    body = reply.json()
    assert set(body) == {"error", "message", "id"} and body["error"] == key
    return body["message"]


# ---------------------------------------------------------------- the market
def test_health_says_what_there_is(asked):
    found = asked[0].get("/health").json()
    assert found["status"] == "ok" and found["market"]["stocks"] == len(SYMBOLS) and found["runs"] == 1 and found["active_jobs"] == 0


def test_symbols_come_page_by_page_and_by_what_they_are_called(asked):
    client, _ = asked
    pages = [client.get("/symbols", params={"limit": 3, "offset": offset}).json() for offset in (0, 3, 6)]
    assert [row["symbol"] for page in pages for row in page["symbols"]] == sorted(SYMBOLS) and {page["total"] for page in pages} == {len(SYMBOLS)}
    found = client.get("/symbols", params={"query": "贵州茅台"}).json()["symbols"]
    assert found[0]["symbol"] == "600519.SH" and found[0]["industry"] == "consumer"


def test_bars_between_two_dates(asked):
    found = asked[0].get("/symbols/sh600519/bars", params={"start": "2024-06-01", "end": "2024-06-14", "limit": 3}).json()
    assert found["symbol"] == "600519.SH" and [bar["date"] for bar in found["bars"]] == ["2024-06-12", "2024-06-13", "2024-06-14"]


def test_the_universe_is_looked_at_once_and_remembered(working):
    client, jobs = working
    found = client.get("/universe", headers={"Accept-Language": "zh"}).json()
    assert found["stocks"] == len(SYMBOLS) and "table" not in found and all(isinstance(line, str) for line in found["warnings"])
    assert len(client.get("/universe", params={"full": True}).json()["table"]) == len(SYMBOLS)
    assert [job["kind"] for job in jobs.list()] == ["analyze"]


def test_what_the_installation_offers(asked):
    client, _ = asked
    assert {entry["name"] for entry in client.get("/models").json()["models"]} == set(config.BACKBONES)
    assert [entry["name"] for entry in client.get("/settings").json()] == [entry.name for entry in config.fields()]
    assert len(client.get("/features").json()["features"]) > 30


# ---------------------------------------------------------------- runs
def test_a_run_in_full(asked):
    client, run = asked
    assert [client.get("/runs", params={"state": state}).json()["total"] for state in ("finished", "failed")] == [1, 0]
    assert client.get("/runs/finished").json()["settings"]["model"]["condition"] == "concat"
    assert client.get(f"/runs/{run}/evaluation").json()["metrics"] == client.get(f"/runs/{run}").json()["metrics"]
    assert "train/loss" in client.get(f"/runs/{run}/curves").json()["series"]
    assert "epoch" in client.get(f"/runs/{run}/log").text


def test_events_are_read_on_from_where_one_left_off(asked):
    client, run = asked
    first = client.get(f"/runs/{run}/events").json()
    assert first["events"] and client.get(f"/runs/{run}/events", params={"offset": first["next"]}).json() == {"events": [], "next": first["next"]}


def test_every_checkpoint_can_be_downloaded_and_works(asked, tmp_path):
    client, run = asked
    kinds = client.get(f"/runs/{run}").json()["checkpoints"]
    assert {"final", "best", "last", "epoch1"} <= set(kinds)
    for kind in kinds:
        reply = client.get(f"/runs/{run}/checkpoints/{kind}")
        (tmp_path / "copy.safetensors").write_bytes(reply.content)
        assert f'filename="{run}.{kind}.safetensors"' in reply.headers["content-disposition"]
        assert read_header(tmp_path / "copy.safetensors")["format"] == "kairos.forecaster"
    assert client.get(f"/runs/{run}/checkpoint").content == client.get(f"/runs/{run}/checkpoints/final").content


def test_a_report_is_a_file_that_runs_no_script_of_this_site(asked):
    reply = asked[0].get(f"/runs/{asked[1]}/report")
    assert reply.headers["content-disposition"].startswith("attachment") and "sandbox" in reply.headers["content-security-policy"]


# ---------------------------------------------------------------- forecasts
def test_one_stock_and_the_pool(asked):
    client, run = asked
    one = client.post("/predict", json={"run": "finished", "symbol": "600519", "days": 2}, headers={"Accept-Language": "zh"}).json()
    assert one["run"] == run and one["symbol"] == "600519.SH" and len(one["table"]) == 2 and one["table"][0]["quantiles"]["q0.5"] is not None
    assert sum(one["classes"].values()) == pytest.approx(1)
    pool = client.post("/rank", json={"run": run, "top": 3}).json()
    gains = [stock["expected_return"] for stock in pool["stocks"]]
    assert len(gains) == 3 and gains == sorted(gains, reverse=True) and pool["considered"] == len(SYMBOLS)


def test_a_warning_comes_in_the_language_of_whoever_asks(asked):
    client, run = asked
    asked_for = {"run": run, "symbol": "600519", "as_of": client.get(f"/runs/{run}/evaluation").json()["split"]["train"]["last"]}
    english, chinese = (client.post("/predict", json=asked_for, headers={"Accept-Language": tag}).json()["notes"] for tag in ("en-US", "zh-CN"))
    assert len(english) == len(chinese) >= 1 and english != chinese and "训练" in chinese[0]


def test_more_than_can_be_done_at_once_is_told_to_come_back(asked, monkeypatch):
    client, run = asked
    gate = Gate(at_once=1, waiting=0)
    monkeypatch.setattr(client.app.state.abilities, "gate", gate)
    with gate.enter():
        reply = client.post("/predict", json={"run": run, "symbol": "600519"})
    refused(reply, 429, "api.busy")
    assert int(reply.headers["retry-after"]) > 0
    assert client.post("/predict", json={"run": run, "symbol": "600519"}).status_code == 200


def test_a_gate_lets_some_in_some_wait_and_turns_the_rest_away():
    gate, inside, leave, outcomes = Gate(at_once=1, waiting=1), threading.Event(), threading.Event(), []

    def enter(first: bool) -> None:
        with gate.enter():
            outcomes.append("in")
            inside.set()
            leave.wait(5)

    threads = [threading.Thread(target=enter, args=(True,)), threading.Thread(target=enter, args=(False,))]
    threads[0].start()
    inside.wait(5)
    threads[1].start()
    while gate._room._value:  # until the second one stands in line
        pass
    with pytest.raises(BusyError), gate.enter():
        pass
    leave.set()
    for thread in threads:
        thread.join(5)
    assert outcomes == ["in", "in"]


# ---------------------------------------------------------------- what follows a forecast
def test_the_order_list_for_the_next_session(asked):
    client, run = asked
    body = {"run": run, "capital": 500_000, "holdings": [{"symbol": "600519", "shares": 1000}], "rules": {"top": 2}}
    found = client.post("/orders", json=body, headers={"Accept-Language": "zh"}).json()
    assert found["run"] == run and found["trade_date"] > found["as_of"] and found["settings"]["top"] == 2
    assert {order["side"] for order in found["orders"]} <= {"buy", "sell"} and all(isinstance(order["why"], str) for order in found["orders"])
    assert client.post("/orders", json={"run": run}).status_code == 400, "no money is named"


def test_a_forecast_is_published_and_found_in_the_journal(copied):
    client, jobs = client_of(copied)
    entry = client.post("/journal", json={"run": "finished", "symbol": "600519"})
    assert entry.status_code == 201
    found = client.get("/journal").json()
    assert [kept["symbol"] for kept in found["entries"]] == ["600519.SH"] and client.get("/journal", params={"run": "other"}).json()["entries"] == []
    assert len(client.get("/journal/score").json()["entries"]) == 1
    jobs.close()


# ---------------------------------------------------------------- jobs
def test_a_training_is_started_watched_and_its_model_used(working):
    client, jobs = working
    values = {name: value for name, value in TINY.items() if name != "groups"}
    reply = client.post("/jobs", json={"kind": "train", "settings": {**values, "groups": ["return", "rank"], "name": "rest", "epochs": 1}})
    assert reply.status_code == 202
    job = reply.json()
    assert jobs.wait(job["id"], 60)["state"] == "finished"
    done = client.get(f"/jobs/{job['id']}", params={"result": True}).json()
    assert done["metrics"]["rows"] > 0 and done["result"]["id"] == done["run"] == job["run"]
    assert client.get(f"/jobs/{job['run']}").json()["id"] == job["id"], "a run's id finds its job"
    assert client.get(f"/runs/{job['run']}").json()["settings"]["training"]["epochs"] == 1
    assert client.post("/predict", json={"run": "rest", "symbol": SYMBOLS[0]}).status_code == 200
    refused(client.post("/jobs", json={"kind": "resume", "run": job["run"]}), 409, "runs.already_finished")


def test_a_job_can_be_stopped_and_a_withdrawn_training_leaves_nothing(working, monkeypatch):
    client, jobs = working
    began = threading.Event()

    def wait(context, **parameters):
        began.set()
        context.stop.wait(20)
        raise module.JobError("jobs.closed")

    jobs._tasks["train"] = wait
    first, second = (client.post("/jobs", json={"kind": "train"}).json() for _ in range(2))
    began.wait(5)
    assert client.post(f"/jobs/{second['id']}/stop").json()["state"] == "stopped"
    assert [run["id"] for run in client.get("/runs").json()["runs"]] == [first["run"]]
    assert client.post(f"/jobs/{first['run']}/stop").json()["state"] in ("stopping", "failed")


def test_a_run_of_another_process_is_told_from_disk(asked):
    found = asked[0].get(f"/jobs/{asked[1]}").json()
    assert found["state"] == "finished" and found["id"] == "" and found["metrics"]["rows"] > 0


def test_a_search_of_settings_and_a_comparison_are_started_and_told(working):
    client, jobs = working
    shared = {name: value for name, value in TINY.items() if name not in ("groups", "name")} | {"groups": ["return", "rank"], "epochs": 1}
    asked = {"kind": "sweep", "space": ["hidden=4,8"], "count": 1, "settings": {**shared, "name": "look"}}
    begun = client.post("/jobs", json=asked).json()
    refused(client.post("/jobs", json=asked), 409, "ui.sweep.busy")
    assert [entry["id"] for entry in client.get("/sweeps").json()["sweeps"]] == [begun["study"]]
    assert jobs.wait(begun["id"], 120)["state"] == "finished"
    found = client.get("/sweeps/look").json()
    trial = found["table"]["trials"][0]["run"]
    assert found["state"] == "finished" and found["job"] == "" and found["trials"] == 1 and found["table"]["test"]["run"] == trial
    begun = client.post("/jobs", json={"kind": "compare", "runs": [trial], "models": ["mlp"], "settings": {**shared, "name": "both"}}).json()
    assert client.get(f"/comparisons/{begun['study']}").json()["table"] is None
    assert jobs.wait(begun["id"], 120)["state"] == "finished"
    found = client.get("/comparisons/both", headers={"Accept-Language": "zh"}).json()
    assert found["state"] == "finished" and {row["run"] for row in found["table"]["rows"] if "run" in row} == {trial, found["members"]["mlp"]}
    assert all(isinstance(line, str) for line in found["table"]["verdict"])
    assert client.get("/comparisons").json()["comparisons"][0]["id"] == found["id"]
    assert client.post("/jobs", json={"kind": "compare", "comparison": "both"}).status_code == 202, "going on with one that is done shows it again"


# ---------------------------------------------------------------- files
def test_a_file_is_sent_looked_at_planned_imported_and_forecast(copied):
    client, jobs = client_of(copied)
    bars = Store(copied.data_dir).read_bars("600519.SH").tail(200)[["date", "open", "high", "low", "close", "volume"]]
    sent = client.post("/uploads", params={"name": "../../up/sh600519.csv"}, content=bars.to_csv(index=False).encode()).json()
    assert sent["name"] == "sh600519.csv" and sent["bytes"] > 5000
    seen = client.get(f"/uploads/{sent['id']}/preview", params={"rows": 3}).json()
    assert seen["columns"] == list(bars.columns) and seen["total"] == 200 and len(seen["rows"]) == 3
    assert seen["rows"][0]["close"] == pytest.approx(bars["close"].iloc[0])
    plan = client.post(f"/uploads/{sent['id']}/plan", json={"volume_unit": "shares"}).json()
    assert plan["files"][0]["symbols"] == ["600519.SH"] and plan["files"][0]["mapping"]["close"] == "close" and plan["files"][0]["problems"] == []
    assert "kairos-received" not in str(plan)
    job = client.post("/jobs", json={"kind": "custom", "run": "finished", "upload": sent["id"], "days": 2}).json()
    assert jobs.wait(job["id"], 60)["state"] == "finished"
    found = client.get(f"/jobs/{job['id']}", params={"result": True}).json()["result"]
    assert [row["day"] for row in found["table"]] == [1, 2] and found["table"][0]["price"] > 0 and found["rows"] == 200
    job = client.post("/jobs", json={"kind": "import", "upload": sent["id"]}).json()
    assert jobs.wait(job["id"], 60)["state"] == "finished" and jobs.snapshot(job["id"])["result"]["imported"]
    other = client.post("/uploads", params={"name": "x.csv"}, content=b"name,colour\na,red\n").json()["id"]
    problem = client.post(f"/uploads/{other}/plan", json={}, headers={"Accept-Language": "zh"}).json()["files"][0]["problems"][0]
    assert "x.csv" in problem["message"] and "kairos-received" not in problem["message"]
    job = client.post("/jobs", json={"kind": "import", "upload": other}).json()
    jobs.wait(job["id"], 60)
    said = client.get(f"/jobs/{job['id']}", params={"result": True}).text
    assert "x.csv" in said and "kairos-received" not in said
    jobs.close()


def test_an_upload_stays_while_a_job_reads_it_and_no_longer(workspace, monkeypatch):
    began, goes_on = threading.Event(), threading.Event()

    def read(context, paths, **options):
        began.set()
        goes_on.wait(30)
        return {"rows": len(Path(paths[0]).read_bytes())}

    monkeypatch.setattr(received, "KEPT", 1)
    jobs = JobService(workspace, {"import": read})
    client = TestClient(api.build(Abilities(workspace, jobs)))

    def send():
        return client.post("/uploads", params={"name": "a.csv"}, content=b"date,x")

    job = client.post("/jobs", json={"kind": "import", "upload": send().json()["id"]}).json()["id"]
    assert began.wait(30)
    refused(send(), 429, "api.uploads_busy")
    goes_on.set()
    assert jobs.wait(job, 30)["result"] == {"rows": 6} and send().status_code == 201
    jobs.close()


def test_uploads_are_bounded_and_named_by_their_id_alone(asked, monkeypatch):
    client, run = asked
    refused(client.post("/uploads", params={"name": "model.pkl"}, content=b"x"), 422, "ui.upload.kind")
    refused(client.post("/uploads", params={"name": "a.csv"}, content=b""), 422, "api.empty_upload")
    for number in ("nothing", "../../etc/passwd", "0" * 32):
        refused(client.post("/jobs", json={"kind": "import", "upload": number}), 404, "api.no_upload")
    monkeypatch.setattr(received, "LIMIT", 10)
    refused(client.post("/uploads", params={"name": "a.csv"}, content=b"x" * 11), 422, "ui.upload.too_large")
    monkeypatch.setattr(received, "KEPT", 2)
    first, *_, last = (client.post("/uploads", params={"name": "a.csv"}, content=b"date,x").json()["id"] for _ in range(3))
    refused(client.get(f"/uploads/{first}/preview"), 404, "api.no_upload")
    monkeypatch.setattr(intake, "SMALL", 3)
    refused(client.get(f"/uploads/{last}/preview"), 422, "ui.upload.too_large")
    refused(client.post("/jobs", json={"kind": "custom", "run": run, "upload": last}), 422, "ui.upload.too_large")
    kept = client.app.state.abilities.intake.received
    assert len(kept._files) == 2 and len(list(kept._root().iterdir())) == 2, "what was refused or pushed out is not on the disk"


@pytest.mark.parametrize("kind", ["import", "rank", "export", "shell"])
def test_kinds_that_take_paths_or_do_not_exist_cannot_be_started(asked, kind):
    refused(asked[0].post("/jobs", json={"kind": kind, "paths": ["/etc/passwd"]}), 422, "api.invalid")


def test_a_run_is_renamed_deleted_and_brought_back(working):
    client, runs = working[0], working[1].runs
    made = runs.create(tiny("spare"), state="stopped").id
    renamed = client.patch(f"/runs/{made}", json={"name": "better"}).json()
    assert renamed["name"] == "better" and renamed["id"] == made.replace("spare", "better")
    refused(client.patch(f"/runs/{made}", json={"name": "other"}), 404, "runs.unknown")
    refused(client.patch("/runs/better", json={"name": "../up"}), 400, "paths.unsafe_name")
    assert client.delete("/runs/better").json() == {"deleted": renamed["id"]}
    refused(client.get("/runs/better"), 404, "runs.unknown")
    refused(client.post("/runs/..%2Fx/restore"), 404, "api.no_route")
    assert client.post(f"/runs/{renamed['id']}/restore").json()["id"] == renamed["id"]
    runs.set_state(renamed["id"], "running")
    refused(client.delete("/runs/better"), 409, "runs.busy")
    runs.set_state(renamed["id"], "stopped")
    runs.delete("better")
    held = client.get("/trash").json()
    assert held["runs"] >= 1 and held["bytes"] > 0
    assert client.delete("/trash").json() == {"emptied": held["runs"]} and client.get("/trash").json() == {"runs": 0, "bytes": 0}
    refused(client.post(f"/runs/{renamed['id']}/restore"), 404, "runs.not_in_trash")


# ---------------------------------------------------------------- no
@pytest.mark.parametrize(("path", "body", "status", "key"), [
    ("/predict", {"run": "nobody", "symbol": "600519"}, 404, "runs.unknown"),
    ("/predict", {"run": "finished", "symbol": "no such stock"}, 404, "serving.unknown_symbol"),
    ("/predict", {"run": "finished", "symbol": "600519", "days": 9}, 400, None),
    ("/predict", {"run": "finished", "symbol": "600519", "as_of": "yesterday"}, 400, "serving.bad_date"),
    ("/predict", {"run": "finished", "symbol": "600519", "as_of": "1999-01-04"}, 422, None),
    ("/predict", {"run": "finished"}, 422, "api.invalid"),
    ("/rank", {"run": "finished", "top": 0}, 422, "api.invalid"),
    ("/rank", {"run": "finished", "min_gain": 9.0}, 422, "serving.nothing_ranked_filters"),
    ("/jobs", {"kind": "train", "settings": {"hidden": -1}}, 422, "api.invalid"),
    ("/jobs", {"kind": "train", "settings": {"backbone": "transformer", "heads": 7, "hidden": 64}}, 400, "config.heads_divide"),
    ("/jobs", {"kind": "train", "settings": {"name": "../../up"}}, 400, "paths.unsafe_name"),
    ("/jobs", {"kind": "train", "settings": {"name": "a\r\nSet-Cookie: x"}}, 400, "paths.unsafe_name"),
    ("/jobs", {"kind": "train", "settings": {"name": "\u202egpj"}}, 400, "paths.unsafe_name"),
    ("/jobs", {"kind": "train", "settings": {"name": "<img>"}}, 400, "paths.unsafe_name"),
    ("/jobs", {"kind": "download", "source": "nowhere"}, 422, "api.invalid"),
    ("/jobs", {"kind": "download", "source": "demo"}, 422, "store.real_here"),
    ("/jobs", {"kind": "download", "source": "demo", "symbols": ["600519"], "exclude_st": True}, 400, "download.whole"),
    ("/jobs", {"kind": "watch", "run": "finished"}, 400, "watch.nothing_to_ask"),
    ("/jobs", {"kind": "watch", "run": "finished", "seconds": 5}, 422, "api.invalid"),
    ("/jobs/nothing/stop", {}, 404, "jobs.unknown"),
    ("/jobs", {"kind": "compare", "runs": ["finished"]}, 400, "compare.too_few"),
    ("/jobs", {"kind": "compare", "comparison": "nothing"}, 404, "compare.unknown"),
    ("/jobs", {"kind": "sweep", "space": ["colour=red,blue"]}, 400, None),
    ("/jobs", {"kind": "sweep", "sweep": "../up"}, 404, "sweep.unknown"),
    ("/jobs", {"kind": "custom", "run": "finished", "upload": "nothing"}, 404, "api.no_upload"),
])
def test_every_refusal_is_a_key_and_a_sentence(asked, path, body, status, key):
    reply = asked[0].post(path, json=body)
    refused(reply, status, key or reply.json()["error"])
    assert "Traceback" not in reply.text


def test_a_refusal_speaks_the_language_of_the_request(asked):
    client, _ = asked
    english = client.post("/predict", json={"run": "nobody", "symbol": "x"}).json()
    chinese = client.post("/predict", json={"run": "nobody", "symbol": "x"}, headers={"Accept-Language": "fr, zh-TW;q=0.8"}).json()
    assert english["error"] == chinese["error"] and "没有名为" in chinese["message"]


def test_an_unknown_address_and_a_wrong_method_say_so(asked):
    refused(asked[0].get("/nothing/here"), 404, "api.no_route")
    refused(asked[0].delete("/runs"), 405, "api.no_method")
    refused(asked[0].post("/predict", content='{"run": ' + "[" * 50_000, headers={"Content-Type": "application/json"}), 400, "api.invalid")


@pytest.mark.parametrize("fault", ["refused midway", "hung up"])
def test_what_is_no_bug_leaves_no_traceback(fault, caplog):
    """Gradio refuses the stream of a page it does not know after it has begun to answer; a sender may leave in the middle."""
    from starlette.exceptions import HTTPException
    from starlette.requests import ClientDisconnect

    async def app(scope, receive, send):
        if fault == "hung up":
            raise ClientDisconnect
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise RuntimeError("response already started") from HTTPException(404)

    sent = []

    async def send(message):
        sent.append(message)

    with caplog.at_level("INFO"):
        asyncio.run(failures.LastResort(app)({"type": "http", "path": "/x\nforged", "headers": []}, None, send))
    assert "Traceback" not in caplog.text and "\nforged" not in caplog.text and "forged" in caplog.text
    assert [message["type"] for message in sent] == ([] if fault == "hung up" else ["http.response.start", "http.response.body"])


@pytest.mark.parametrize(("body", "said"), [
    ({"kind": "train", "settings": {"hidden": "many"}}, "train.settings.hidden：必须是整数"),
    ({"kind": "rank"}, "kind 为“rank”，只能是以下之一：train"), ({}, "缺少字段 kind"),
    ({"kind": "backtest", "run": "x", "top": 0}, "backtest.top：不能小于 1"), ({"kind": "backtest"}, "backtest.run：必填"),
    ({"kind": "train", "preset": "slow"}, "train.preset：只能是以下之一：quick, standard, thorough"), ({"kind": "watch", "run": 5}, "必须是文本"),
])
def test_what_is_wrong_with_a_value_is_said_in_the_readers_language(asked, body, said):
    reply = asked[0].post("/jobs", json=body, headers={"Accept-Language": "zh"})
    assert said in refused(reply, 422, "api.invalid")
    assert not re.search("[a-z]+ [a-z]+", reply.json()["message"]), "no English words beside names"


def test_the_models_are_counted_once_however_many_ask_at_once(asked, monkeypatch):
    from financial_model.models import forecaster
    from financial_model.serving import inventory

    built, real = [], forecaster.build_forecaster
    monkeypatch.setattr(forecaster, "build_forecaster", lambda *values, **named: built.append(1) or real(*values, **named))
    monkeypatch.setattr(config, "BACKBONE_SHAPES", {"mlp": config.BACKBONE_SHAPES["mlp"]})
    for known in (inventory.models, inventory._counts):
        known.cache_clear()
    try:
        threads = [threading.Thread(target=inventory.models) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert len(built) == len(config.CONDITION_MODES)
    finally:
        inventory.models.cache_clear()


def test_what_can_be_seen_to_be_wrong_is_refused_before_it_is_queued(asked):
    for body in ({"kind": "train", "settings": {"symbols": ["../x"]}}, {"kind": "integrity", "symbols": ["../x"]}):
        assert asked[0].post("/jobs", json=body).status_code == 422
    refused(asked[0].post("/jobs", json={"kind": "download", "source": "yahoo", "start": "2020-99-99"}), 422, "bars.bad_range")
    assert asked[0].get(f"/runs/finished/events?offset={'1' * 40}").status_code == 422


def test_a_bug_gives_a_number_and_keeps_its_traceback(asked, monkeypatch, caplog):
    def broken(*_):
        raise RuntimeError("secret of /home/someone")

    monkeypatch.setattr(asked[0].app.state.abilities, "list_symbols", broken)
    reply = asked[0].get("/symbols")
    message = refused(reply, 500, "api.unexpected")
    number = reply.json()["id"]
    assert number and number in message and "secret" not in reply.text and number in caplog.text and "secret" in caplog.text


def test_every_kind_of_error_has_a_status():
    assert all(failures.status_of(kind("api.busy", seconds=1)) == status for kind, status in failures.STATUS)


# ---------------------------------------------------------------- what it says about itself
def test_the_settings_in_the_description_are_those_of_the_configuration(asked):
    schema = asked[0].get("/openapi.json").json()["components"]["schemas"]["Settings"]
    assert list(schema["properties"]) == [entry.name for entry in config.fields()] and schema["additionalProperties"] is False
    assert schema["properties"]["backbone"]["enum"] == list(config.BACKBONES)
    assert schema["properties"]["learning_rate"]["description"]


def test_the_reference_shows_every_route_and_asks_nobody_else(asked):
    description = asked[0].get("/openapi.json").json()
    page = asked[0].get("/docs")
    rows = reference.routes(description)
    assert len(rows) == sum(len(methods) for methods in description["paths"].values())
    assert all(f"/api/v1{row['path']}" in page.text for row in rows) and "settings.learning_rate" in page.text
    assert "http" not in page.text.replace("https://www.w3.org", "") and "<script" not in page.text


def test_no_body_takes_a_path(asked):
    """Nothing that can be sent is opened: no field is called like a file, and settings that are texts are names, dates, formulas or devices."""
    text = json.dumps(asked[0].get("/openapi.json").json()["components"]["schemas"])
    assert not [word for word in ("path", "file", "folder", "directory", "server", "host") if f'"{word}"' in text]
