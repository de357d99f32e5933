"""How the page is served: on this machine only, on the next free port, with nothing of the disk handed out."""

import gc
import json
import socket
import time
import urllib.error
import urllib.request

import gradio as gr
import pytest
from gradio.blocks import Block
from gradio_client import Client

from financial_model.errors import ConfigError
from financial_model.ui import app, sessions


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    from financial_model.paths import Workspace

    folder = tmp_path_factory.mktemp("page")
    with socket.socket() as taken:  # the wished port belongs to somebody else
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        wished = taken.getsockname()[1]
        running = app.launch("127.0.0.1", wished, workspace=Workspace(data_dir=folder / "data", checkpoint_dir=folder / "runs"))
        yield running, wished
        running.close()


def get(url: str) -> tuple[int, bytes]:
    try:
        with urllib.request.urlopen(url, timeout=20) as reply:
            return reply.status, reply.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def test_a_taken_port_gives_way_to_the_next_free_one(served):
    running, wished = served
    assert wished < running.port < wished + app.PORTS and get(running.url)[0] == 200


def test_another_machine_is_let_in_only_with_a_password(workspace):
    for host in ("0.0.0.0", "192.168.1.5", "::"):
        with pytest.raises(ConfigError) as caught:
            app.launch(host, workspace=workspace)
        assert caught.value.key == "ui.launch.auth_needed"


def test_when_every_port_is_taken_it_says_so(workspace, monkeypatch):
    monkeypatch.setattr(app, "_free", lambda host, port: False)
    with pytest.raises(ConfigError) as caught:
        app.launch(port=7860, workspace=workspace)
    assert caught.value.key == "ui.launch.no_port" and caught.value.fields == {"first": 7860, "last": 7879}


def test_an_address_that_is_not_ours_is_named(workspace):
    with pytest.raises(ConfigError) as caught:
        app.launch("203.0.113.7", workspace=workspace, auth=("user", "pass"))
    assert caught.value.key == "ui.launch.bad_host"


def test_the_page_carries_no_address_of_anybody_else(served):
    page = get(served[0].url)[1].decode()
    config = json.loads(get(f"{served[0].url}/config")[1])
    assert "googleapis" not in page and "cdn" not in page.lower().replace("cdn_", "")
    assert config["analytics_enabled"] is False


@pytest.mark.parametrize("path", ["/etc/passwd", "app.py", "financial_model/errors.py", "../../etc/passwd", ".git/config"])
def test_no_file_of_the_server_is_handed_out(served, path):
    status, body = get(f"{served[0].url}/gradio_api/file={path}")
    assert status in (403, 404) and b"root:" not in body and b"import" not in body


def test_the_form_is_all_there_and_named(served):
    config = json.loads(get(f"{served[0].url}/config")[1])
    ids = {component["props"].get("elem_id") for component in config["components"]}
    assert {
        "basic-start",
        "conditional-start",
        "demo-create",
        "stock-ask",
        "pool-ask",
        "runs-download",
        "basic-set-epochs",
        "conditional-set-industry",
    } <= ids


def test_a_choice_outside_the_servers_list_is_refused(served):
    """Runs are chosen from a list the server knows; a path in their place never reaches a handler."""
    client = Client(served[0].url, verbose=False)
    config = json.loads(get(f"{served[0].url}/config")[1])
    named = {component["id"]: component["props"].get("elem_id") for component in config["components"]}
    stop = next(entry for entry in config["dependencies"] if [named.get(target) for target, _ in entry["targets"]] == ["basic-stop"])
    with pytest.raises(Exception, match="not in the list of choices"):
        client.predict({}, "../../etc/passwd", fn_index=stop["id"])


def test_a_start_without_data_is_refused_with_the_way_out(served):
    assert served[0].services.runs.list() == []
    client = Client(served[0].url, verbose=False)
    config = json.loads(get(f"{served[0].url}/config")[1])
    named = {component["id"]: component["props"] for component in config["components"]}
    start = next(entry for entry in config["dependencies"] if any(named[target].get("elem_id") == "basic-start" for target, _ in entry["targets"]))
    values = [named[component].get("value") for component in start["inputs"][1:]]
    with pytest.raises(Exception, match="no market data"):
        client.predict({}, *values, fn_index=start["id"])
    assert served[0].services.runs.list() == [], "a refused start leaves nothing behind"


def test_a_start_is_not_given_up_because_the_page_takes_long(tmp_path, monkeypatch):
    """On a very busy machine Gradio's own look at the finished page runs out of its three seconds and says so."""
    from gradio import networking

    from financial_model.paths import Workspace

    monkeypatch.setattr(networking, "url_ok", lambda url: False)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        free = probe.getsockname()[1]
    running = app.launch("127.0.0.1", free, workspace=Workspace(data_dir=tmp_path / "data", checkpoint_dir=tmp_path / "runs"))
    try:
        assert get(running.url)[0] == 200
    finally:
        running.close()


def test_a_visitor_costs_the_server_his_states_and_no_copy_of_the_page(served):
    running = served[0]
    client = Client(running.url, verbose=False)
    tick = next(entry for entry in client.config["dependencies"] if "tick" in {event for _, event in entry["targets"]})
    named = {component["id"]: component["props"] for component in client.config["components"]}
    body = {"fn_index": tick["id"], "session_hash": "visitor", "data": [named[component].get("value") for component in tick["inputs"]]}
    request = urllib.request.Request(f"{running.url}/gradio_api/run/predict", json.dumps(body).encode(), {"Content-Type": "application/json"})
    assert "k-status" in urllib.request.urlopen(request, timeout=20).read().decode()
    session = running.app.state_holder.session_data["visitor"]
    assert any("status" in (seen or {}) for seen in session.state_data.values()), "what he has seen is remembered"
    assert not session.config_values


def test_what_a_visitor_cost_is_given_back_when_he_has_gone(served, monkeypatch):
    from datetime import timedelta

    from benchmarks.page import Visitor

    running, _ = served
    monkeypatch.setattr(sessions, "GONE", timedelta())
    monkeypatch.setattr(sessions, "CLOSED", 1)
    holder, queue = running.app.state_holder, running.demo._queue
    visitor = Visitor(running.url)

    def come(count: int) -> None:
        for number in range(count):
            visitor.enter(f"guest{number}-{time.monotonic_ns()}")
            visitor.refresh()
            with pytest.raises(RuntimeError):  # through the queue; refused, because there is no run
                visitor.call(visitor._dependency("basic-resume"), [None, None])
            visitor.leave()
            while not holder.session_data[visitor.session].is_closed:
                time.sleep(0.01)

    def kept() -> tuple[int, ...]:
        gc.collect()
        found = [thing for thing in gc.get_objects() if isinstance(thing, Block | sessions.Session)]
        return len(found), len(queue.pending_messages_per_session), len(queue.pending_event_ids_session), len(queue.event_analytics)

    come(2)
    before = kept()
    come(3)
    assert kept() == before
    visitor.close()


def test_an_output_that_is_left_alone_costs_the_visitor_no_component(served):
    from benchmarks.page import Visitor

    running, _ = served
    visitor = Visitor(running.url)
    visitor.session = "idle"
    told = visitor.call(visitor.tick, visitor.values(visitor.tick))
    assert len(told) == len(visitor.tick["outputs"]) and {"__type__": "update"} in told
    assert not running.app.state_holder["idle"].blocks_config.blocks.maps[0], "nothing but values was sent"
    visitor.close()


def test_the_values_of_an_event_need_no_thread_of_their_own(served, monkeypatch):
    import anyio

    from benchmarks.page import Visitor

    running, asked = served[0], []
    passed_on = anyio.to_thread.run_sync

    async def noted(function, *values, **options):
        asked.append(getattr(function, "__name__", "partial"))
        return await passed_on(function, *values, **options)

    visitor = Visitor(running.url)
    visitor.session = "hurried"
    visitor.open("basic")
    monkeypatch.setattr(anyio.to_thread, "run_sync", noted)
    assert visitor.call(visitor.tick, visitor.values(visitor.tick)) and visitor.open("data")
    visitor.close()
    assert {"tick", "draw"} <= set(asked) and "preprocess" not in asked and len(asked) < 20, asked


def test_an_only_output_is_sent_whole():
    import asyncio

    with sessions.LightBlocks() as demo:
        text = gr.HTML()
        gr.Button().click(lambda: None, None, [text])
    (function,) = demo.fns.values()
    assert asyncio.run(demo.postprocess_data(function, {text: "refused"}, None)) == ["refused"]


def test_an_output_left_alone_is_skipped_beside_one_that_is_a_table():
    import asyncio

    import pandas as pd

    with sessions.LightBlocks() as demo:
        table, text, kept = gr.Dataframe(), gr.Textbox(), gr.State(3)
        gr.Button().click(lambda: None, None, [table, text, kept])
    function = next(iter(demo.fns.values()))
    answer = asyncio.run(demo.postprocess_data(function, {table: pd.DataFrame({"a": [1.0, None]})}, None))
    assert answer[0]["headers"] == ["a"] and answer[1] == gr.skip() and answer[2] is None
