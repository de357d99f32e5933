"""Other sites, other names for this machine, strangers, crowds: refused by the live server at every door."""

import threading
from collections import Counter

import httpx
import pytest
from gradio_client import Client

from financial_model.serving.access import SESSION_SECONDS
from financial_model.ui import app
from tests.security.conftest import free_port

DOORS = [("POST", "/api/v1/jobs"), ("GET", "/api/v1/runs"), ("POST", "/mcp"), ("POST", "/gradio_api/upload"), ("POST", "/api/v1/uploads"),
         ("POST", "/gradio_api/queue/join"),
         ("POST", "/gradio_api/call/start_training"), ("POST", "/login"), ("GET", "/config")]


@pytest.mark.parametrize(("method", "path"), DOORS)
def test_another_site_is_refused_at_every_door(target, method, path):
    with target.http() as client:
        for origin in ("https://evil.example", "null", f"http://127.0.0.1:{target.served.port + 1}"):
            reply = client.request(method, path, headers={"Origin": origin, "Content-Type": "text/plain"}, content="{}")
            assert reply.status_code == 403 and reply.json()["error"] == "access.origin"


@pytest.mark.parametrize(("method", "path"), DOORS)
def test_a_name_that_suddenly_means_this_machine_is_refused_at_every_door(target, method, path):
    with target.http() as client:
        reply = client.request(method, path, headers={"Host": f"evil.example:{target.served.port}"}, content="{}")
        assert reply.status_code == 403 and reply.json()["error"] == "access.host"


def test_no_answer_gives_another_site_leave_to_read(target):
    with target.http() as client:
        reply = client.options("/api/v1/jobs", headers={"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"})
        assert reply.status_code == 403 and "access-control-allow-origin" not in reply.headers


def test_our_own_page_is_let_in_at_every_door(target):
    with target.http() as client:
        for method, path in DOORS:
            assert client.request(method, path, headers={"Origin": target.url}, content="{}").status_code != 403


# ---------------------------------------------------------------- strangers
@pytest.fixture(scope="module")
def locked(tmp_path_factory):
    from tests.serving.builders import workspace_in

    served = app.launch("127.0.0.1", free_port(), workspace=workspace_in(tmp_path_factory.mktemp("locked")), auth=("anna", "secret"), language="en")
    yield served
    served.close()


def test_before_the_login_only_the_login_form_answers(locked):
    with httpx.Client(base_url=locked.url, timeout=60, trust_env=False) as client:
        answered = {path: client.get(path).status_code for path in (
            "/config", "/api/v1/health", "/api/v1/docs", "/api/v1/openapi.json", "/mcp", "/gradio_api/info", "/gradio_api/openapi.json",
            "/gradio_api/queue/data?session_hash=x", "/gradio_api/heartbeat/x", "/gradio_api/file=x")}
        assert set(answered.values()) == {401}, answered
        assert client.post("/gradio_api/upload", files={"files": ("a.csv", b"x")}).status_code == 401
        page = client.get("/")
        assert page.status_code == 200 and "basic-start" not in page.text


def test_a_login_opens_page_and_rest_and_ends_with_logout_or_time(locked):
    with httpx.Client(base_url=locked.url, timeout=60, trust_env=False) as client:
        assert client.post("/login", data={"username": "anna", "password": "wrong"}).status_code == 400
        reply = client.post("/login", data={"username": "anna", "password": "secret"})
        assert reply.status_code == 200
        cookies = {name: value for name, value in reply.cookies.items() if "unsecure" in name} or dict(reply.cookies)
        client.cookies.update(cookies)
        assert client.get("/config").status_code == 200 and client.get("/api/v1/health").status_code == 200
        sessions = locked.app.tokens
        sessions._used = {token: used - SESSION_SECONDS - 1 for token, used in sessions._used.items()}
        assert client.get("/config").status_code == 401 and client.get("/api/v1/health").status_code == 401


def test_programs_use_the_same_password(locked):
    with httpx.Client(base_url=locked.url, timeout=60, trust_env=False, auth=("anna", "secret")) as client:
        token = client.post("/api/v1/token").json()["access_token"]
    with httpx.Client(base_url=locked.url, timeout=60, trust_env=False, headers={"Authorization": f"Bearer {token}"}) as client:
        assert client.get("/api/v1/runs").json()["total"] == 0
    assert Client(locked.url, auth=("anna", "secret"), verbose=False).predict(api_name="/list_runs") == {"runs": []}
    with pytest.raises(Exception, match="[Cc]ould not login|401|[Ll]ogin"):
        Client(locked.url, auth=("anna", "wrong"), verbose=False)


# ---------------------------------------------------------------- crowds
def test_two_starts_at_once_from_page_and_rest_are_two_runs_and_a_run_is_resumed_once(target):
    services, together, answers = target.served.services, threading.Barrier(4), []
    stopped = services.runs.create(services.runs.get(target.run).run_config(), state="stopped").id
    began, leave = threading.Event(), threading.Event()
    tasks = dict(services.jobs._tasks)

    def wait(context, **parameters):
        began.set()
        leave.wait(30)
        raise app.ConfigError("ui.train.no_data")

    services.jobs._tasks |= {"train": wait, "resume": wait}
    settings = {"name": "race", "epochs": 1, "device": "cpu"}

    def rest(body):
        with target.http() as client:
            together.wait(20)
            answers.append(client.post("/api/v1/jobs", json=body).status_code)

    def page():
        client = Client(target.url, verbose=False)
        together.wait(20)
        answers.append(202 if client.predict(name="race", preset="quick", settings=settings, api_name="/start_training")["run"] else 0)

    threads = [threading.Thread(target=rest, args=({"kind": "train", "settings": settings},)), threading.Thread(target=page),
               *(threading.Thread(target=rest, args=({"kind": "resume", "run": stopped},)) for _ in range(2))]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert sorted(answers) == [202, 202, 202, 409], "both trainings are queued, one of the two resumptions is refused"
        assert len({run.id for run in services.runs.list() if run.name == "race"}) == 2
    finally:
        for job in services.jobs.list():
            services.jobs.stop(job["id"])
        leave.set()
        for job in services.jobs.list():
            services.jobs.wait(job["id"], 30)
        services.jobs._tasks = tasks
        for run in services.runs.list():
            if run.id != target.run:
                services.runs.set_state(run.id, "stopped")  # what the training itself would have done
                services.runs.delete(run.id)


def test_fifty_clients_that_poll_are_all_answered(target):
    codes, failures = Counter(), []

    def poll():
        try:
            with target.http() as client:
                for path in ("/api/v1/health", "/api/v1/jobs", f"/api/v1/runs/{target.run}", f"/api/v1/runs/{target.run}/events"):
                    codes[client.get(path).status_code] += 1
        except httpx.HTTPError as error:
            failures.append(repr(error))

    threads = [threading.Thread(target=poll) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert not failures and codes == {200: 200}


def test_a_flood_of_starts_is_bounded(target, monkeypatch):
    from financial_model.serving import jobs as module

    monkeypatch.setattr(module, "QUEUED", 0)
    with target.http() as client:
        reply = client.post("/api/v1/jobs", json={"kind": "train"}, headers={"Accept-Language": "zh"})
        assert reply.status_code == 429 and reply.json()["error"] == "jobs.queue_full" and int(reply.headers["retry-after"]) > 0
        assert client.get("/api/v1/runs").json()["total"] == 1, "a refused start leaves no run"
        codes = [client.post("/api/v1/predict", json={"run": "nobody", "symbol": "x"}).status_code for _ in range(70)]
        assert codes[-1] == 429 and 404 in codes
