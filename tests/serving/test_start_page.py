"""The start page is rendered once for everybody who would be sent the same, and never for anybody else."""

import gzip
from collections import Counter

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from financial_model.serving.start_page import KEPT, StartPage

LONG = "a page " * 200


def site(answer=None) -> tuple[TestClient, Counter]:
    """A site that counts how often it had to make an answer; a cookie names the user."""
    made: Counter = Counter()

    def render(request):
        made[request.url.path] += 1
        if answer is not None:
            return answer()
        return PlainTextResponse(f"{LONG} for {request.cookies.get('user', '')} at {request.headers['host']}")

    inner = Starlette(routes=[Route("/{path:path}", render, methods=["GET", "POST"])])
    client = TestClient(StartPage(inner, lambda headers: headers.get("cookie", "")), base_url="http://127.0.0.1:7860")
    return client, made


@pytest.mark.parametrize("path", ["/", "/config"])
def test_it_is_made_once(path):
    client, made = site()
    first, again = client.get(path), client.get(path)
    assert made[path] == 1 and first.text == again.text and LONG in first.text and first.headers == again.headers


def test_what_is_neither_the_page_nor_its_settings_is_asked_every_time():
    client, made = site()
    for _ in range(2):
        client.get("/other")
        client.get("/?deep_link=abc")
        client.post("/")
    assert made["/other"] == 2 and made["/"] == 4


def test_another_user_another_host_and_another_address_get_their_own():
    client, _ = site()
    asked = [{}, {"Cookie": "user=anna"}, {"Cookie": "user=bert"}, {"Host": "localhost:7860"}]
    texts = [client.get("/", headers=headers).text for headers in (*asked, *asked)]
    assert texts[:4] == texts[4:] and len(set(texts[:4])) == 4
    assert "for anna" in texts[1] and "for bert" in texts[2] and "for  at 127.0.0.1:7860" in texts[0] and "localhost" in texts[3]
    client, made = site()
    for headers in ({}, {"X-Forwarded-Host": "example.org"}, {"X-Forwarded-Proto": "https"}):
        client.get("/", headers=headers)
    assert made["/"] == 3


def test_it_travels_compressed_to_whoever_can_read_that():
    client, made = site()
    plain = client.get("/", headers={"Accept-Encoding": "identity"})
    with client.stream("GET", "/", headers={"Accept-Encoding": "gzip"}) as reply:
        sent = b"".join(reply.iter_raw())
    assert gzip.decompress(sent) == plain.content and len(sent) < len(plain.content) / 5 and made["/"] == 1
    assert reply.headers["content-encoding"] == "gzip" and int(reply.headers["content-length"]) == len(sent)
    assert "content-encoding" not in plain.headers and plain.headers["vary"] == "Accept-Encoding"


@pytest.mark.parametrize("answer", [lambda: PlainTextResponse("no", 401), lambda: PlainTextResponse("broken", 500),
                                    lambda: PlainTextResponse("in", headers={"Set-Cookie": "token=secret"})])
def test_a_refusal_an_error_and_a_login_are_not_kept(answer):
    client, made = site(answer)
    replies = [client.get("/"), client.get("/")]
    assert made["/"] == 2 and replies[0].status_code == replies[1].status_code == answer().status_code


def test_invented_names_do_not_fill_the_memory():
    client, made = site()
    for place in range(KEPT + 1):
        client.get("/", headers={"X-Forwarded-Host": f"name{place}"})
    client.get("/", headers={"X-Forwarded-Host": f"name{KEPT}"})
    assert made["/"] == KEPT + 1 and len(client.app._pages) == KEPT


def test_looking_only_whether_it_is_there_costs_no_body():
    client, made = site()
    assert client.get("/").headers["content-length"] == client.head("/").headers["content-length"] and made["/"] == 1
