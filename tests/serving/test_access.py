"""The gate in front of the server: whose address, whose page, how often, and who."""

import base64

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from financial_model.errors import ConfigError
from financial_model.serving import access
from financial_model.serving.access import Counter, Guard, Rate, Sessions

USER = ("anna", "geheim:mit:Punkten")
OURS = "http://127.0.0.1:7860"


def guarded(credentials=None, sessions=None, rates=access.RATES, **options) -> TestClient:
    inner = Starlette(routes=[Route("/{path:path}", lambda request: PlainTextResponse("in"), methods=["GET", "POST", "PUT", "DELETE", "OPTIONS"])])
    guard = Guard(inner, sessions=Sessions() if sessions is None else sessions, credentials=credentials, rates=rates, cookies=lambda: ("login",))
    return TestClient(guard, base_url=OURS, **options)


def basic(user: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


def refused(reply, status: int, key: str) -> None:
    assert reply.status_code == status and reply.json()["error"] == key and reply.json()["id"] == ""


# ---------------------------------------------------------------- whose address
@pytest.mark.parametrize("host", ["127.0.0.1:7860", "localhost", "LOCALHOST:7860", "[::1]:7860", "localhost."])
def test_our_own_names_are_answered(host):
    assert guarded().get("/", headers={"Host": host}).text == "in"


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "127.0.0.1:7860.evil.example", "0.0.0.0:7860", "",
                                  "[::1].evil", "evil@localhost"])
@pytest.mark.parametrize("path", ["/", "/api/v1/health", "/gradio_api/upload"])
def test_another_name_for_this_machine_is_not_answered(host, path):
    """DNS rebinding: a page whose name suddenly means 127.0.0.1."""
    refused(guarded().get(path, headers={"Host": host}), 403, "access.host")


def test_with_a_password_any_name_will_do():
    assert guarded(USER).get("/", headers={"Host": "kairos.example"}).text == "in"


# ---------------------------------------------------------------- whose page
@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:3000", "http://localhost.evil.example:7860", "file://"])
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS", "DELETE"])
def test_a_script_of_another_site_is_refused_and_gets_no_leave_to_read(origin, method):
    reply = guarded().request(method, "/api/v1/jobs", headers={"Origin": origin})
    refused(reply, 403, "access.origin")
    assert not [name for name in reply.headers if name.startswith("access-control")]


def test_our_own_page_and_programs_are_let_in():
    client = guarded()
    assert client.post("/x", headers={"Origin": OURS}).text == "in" and client.post("/x").text == "in"
    assert client.post("/x", headers={"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors"}).text == "in"


def test_a_proxy_that_names_its_own_host_is_understood():
    client = guarded(USER)
    assert client.post("/login", headers={"Origin": "https://kairos.example", "X-Forwarded-Host": "kairos.example"}).text == "in"


def test_a_link_from_elsewhere_opens_the_page_but_an_image_or_form_does_nothing():
    client = guarded()
    link = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    assert client.get("/", headers=link).text == "in"
    refused(client.post("/api/v1/jobs", headers=link), 403, "access.origin")
    refused(client.get("/api/v1/health", headers={**link, "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"}), 403, "access.origin")
    refused(client.get("/", headers={**link, "Sec-Fetch-Dest": "iframe"}), 403, "access.origin")


def test_every_answer_tells_browsers_not_to_guess_and_not_to_frame():
    headers = guarded().get("/").headers
    assert headers["x-content-type-options"] == "nosniff" and headers["x-frame-options"] == "SAMEORIGIN"


# ---------------------------------------------------------------- how much, how often
def test_too_large_a_body_or_one_of_unknown_length_is_not_read():
    client = guarded()
    refused(client.post("/api/v1/jobs", content=b"x" * (access.BODY_LIMIT + 1)), 413, "api.too_large")
    refused(client.post("/api/v1/jobs", content=iter([b"x"])), 411, "api.no_length")
    assert client.post("/gradio_api/upload", content=b"x" * (access.PAGE_LIMIT + 1)).text == "in", "uploads have a limit of their own"


@pytest.mark.parametrize(("path", "limit"), [("/login", access.BODY_LIMIT), ("/gradio_api/queue/join", access.PAGE_LIMIT),
                                             ("/gradio_api/run/predict", access.PAGE_LIMIT), ("/", access.PAGE_LIMIT)])
def test_what_the_page_sends_is_bounded_too(path, limit):
    """Before the login as well: a form without end would fill the memory of the machine."""
    client = guarded(USER)
    refused(client.post(path, headers={"Content-Length": str(limit + 1)}), 413, "api.too_large")
    refused(client.post(path, content=iter([b"x"])), 411, "api.no_length")


def test_whoever_comes_too_often_is_told_when_to_come_back():
    client = guarded(rates=(Rate("work", 3, 60.0, lambda method, path: path == "/work"),))
    assert [client.post("/work").status_code for _ in range(4)] == [200, 200, 200, 429]
    reply = client.post("/work", headers={"Accept-Language": "zh"})
    refused(reply, 429, "api.too_often")
    assert 1 <= int(reply.headers["retry-after"]) <= 61 and "秒" in reply.json()["message"]
    assert client.post("/other").status_code == 200


def test_the_window_slides_and_each_address_has_its_own():
    now = [0.0]
    counter, rate = Counter(lambda: now[0]), Rate("r", 2, 10.0, lambda method, path: True)
    assert [counter.wait(rate, "a") for _ in range(3)] == [0, 0, 10]
    assert counter.wait(rate, "b") == 0
    now[0] = 10.0
    assert counter.wait(rate, "a") == 0


@pytest.mark.parametrize(("method", "path"), [
    ("POST", "/api/v1/jobs"), ("POST", "/api/v1/predict"), ("POST", "/api/v1/rank"), ("GET", "/api/v1/universe"), ("POST", "/mcp"),
    ("POST", "/login"), ("POST", "/login/"), ("POST", "/api/v1/token"), ("POST", "/gradio_api/upload"), ("POST", "/gradio_api/call/predict"),
    ("POST", "/gradio_api/call/v2/rank"), ("POST", "/gradio_api/run/rank"), ("POST", "/gradio_api/api/predict")])
def test_every_expensive_call_has_a_rate(method, path):
    assert any(rate.covers(method, path) for rate in access.RATES)


@pytest.mark.parametrize("path", ["/api/v1/jobs/abc", "/gradio_api/run/predict", "/gradio_api/queue/join", "/"])
def test_looking_is_free(path):
    assert not any(rate.covers("GET", path) for rate in access.RATES)


def test_the_ticks_of_the_page_are_not_counted():
    assert not any(rate.covers("POST", access.EVENTS) for rate in access.RATES)


# ---------------------------------------------------------------- who
@pytest.mark.parametrize("path", ["/api/v1/health", "/api/v1/docs", "/mcp", "/gradio_api/queue/join", "/gradio_api/file=x", "/gradio_api/reset"])
def test_nothing_is_told_before_the_login(path):
    reply = guarded(USER).get(path)
    refused(reply, 401, "access.login")
    assert reply.headers["www-authenticate"].startswith("Basic")


def test_the_login_form_can_be_reached():
    assert all(guarded(USER).get(path).text == "in" for path in ("/", "/login", *access.BEFORE_LOGIN))


def test_user_and_password_or_a_token_let_in():
    sessions = Sessions()
    client = guarded(USER, sessions)
    assert client.get("/api/v1/health", headers=basic(*USER)).text == "in"
    assert client.get("/api/v1/health", headers={"Authorization": f"Bearer {sessions.open('anna')}"}).text == "in"
    sessions["cookie-value"] = "anna"
    client.cookies.set("login", "cookie-value")
    assert client.get("/api/v1/health").text == "in"


@pytest.mark.parametrize("header", ["Basic", "Basic !!!", basic("anna", "wrong")["Authorization"], "Bearer ", "Bearer guess", "Digest x", "basic\tx"])
def test_anything_else_does_not(header):
    refused(guarded(USER).get("/api/v1/health", headers={"Authorization": header}), 401, "access.login")


def test_guessing_is_slow():
    client = guarded(USER)
    guesses = [client.get("/api/v1/health", headers=basic("anna", str(number))).status_code for number in range(access.FAILED_LOGINS.calls + 1)]
    assert guesses[-2:] == [401, 429]
    assert client.get("/api/v1/health", headers=basic(*USER)).status_code == 429, "also the right one, once too many were wrong"


def test_a_session_ends_when_it_is_not_used():
    now = [0.0]
    sessions = Sessions(100.0, lambda: now[0])
    token = sessions.open("anna")
    now[0] = 90.0
    assert sessions.get(token) == "anna"
    now[0] = 185.0
    assert sessions.get(token) == "anna", "using it keeps it"
    now[0] = 290.0
    assert sessions.get(token) is None and token not in sessions and sessions.get(None) is None


def test_sessions_behave_as_the_dictionary_gradio_keeps_its_logins_in():
    sessions = Sessions()
    sessions["a"] = "anna"
    sessions["b"] = "bert"
    for token in list(sessions.keys()):
        if sessions[token] == "anna":
            del sessions[token]
    assert sessions.get("a") is None and sessions.get("b") == "bert"


def test_the_oldest_of_too_many_sessions_goes(monkeypatch):
    monkeypatch.setattr(access, "SESSIONS", 3)
    now = [0.0]
    sessions = Sessions(clock=lambda: now[0])
    tokens = []
    for number in range(4):
        now[0] = float(number)
        tokens.append(sessions.open(str(number)))
    assert sessions.get(tokens[0]) is None and all(sessions.get(token) for token in tokens[1:])


def test_gradios_developer_doors_are_closed():
    client = guarded()
    for path in ("vibe-edit", "vibe-code", "undo-vibe-edit", "proxy=http://169.254.169.254/", "process_recording", "dev/reload", "run-history/x",
                 "deep_link?session_hash=x", "stream/x", "custom_component/a/b/c/d"):
        refused(client.post(f"/gradio_api/{path}"), 404, "access.closed")
    for path in ("/openapi.json", "/pwa_icon/1"):
        refused(client.get(path), 404, "access.closed")


def test_user_and_password_come_from_the_argument_or_else_from_the_environment(monkeypatch):
    monkeypatch.delenv(access.USER, raising=False)
    monkeypatch.delenv(access.PASSWORD, raising=False)
    assert access.credentials(None) is None and access.credentials("") is None
    assert access.credentials("anna:geheim:mit") == ("anna", "geheim:mit")
    monkeypatch.setenv(access.USER, "bert")
    monkeypatch.setenv(access.PASSWORD, "still")
    assert access.credentials("") == ("bert", "still") and access.credentials("anna:geheim") == ("anna", "geheim")


@pytest.mark.parametrize("user, password", [("anna", ""), ("", "geheim"), ("an:na", "geheim")])
def test_half_a_login_is_refused_instead_of_leaving_the_door_open(monkeypatch, user, password):
    monkeypatch.setenv(access.USER, user)
    monkeypatch.setenv(access.PASSWORD, password)
    with pytest.raises(ConfigError) as caught:
        access.credentials(None)
    assert caught.value.key == "access.bad_environment"
    for text in ("anna", "anna:", ":geheim"):
        with pytest.raises(ConfigError) as caught:
            access.credentials(text)
        assert caught.value.key == "access.bad_auth"
