"""No path from outside is opened: in no field of REST, in no input of any event of the page, through no link on disk."""

import io
import json
import socket
import zipfile
from pathlib import Path
from urllib.parse import quote

import pytest
from gradio_client import Client

from financial_model.market.sources import archives
from financial_model.serving import access, received
from tests.security.conftest import SECRET

PATHS = ("../../secret.txt", "/etc/passwd", "..\\..\\secret.txt", "%2e%2e%2fsecret.txt", "file:///etc/passwd", "....//....//secret.txt",
         "\x00/etc/passwd", "~/.ssh/id_rsa")
LEAKS = (SECRET, "root:x:0:0", "Traceback")


def clean(text: str) -> bool:
    return not any(leak in text for leak in LEAKS)


def everything(folder) -> set[str]:
    """Files outside the folders the server may write in."""
    return {path.name for path in folder.iterdir() if path.name != "gradio"}


# ---------------------------------------------------------------- REST
def test_no_route_opens_a_path_in_its_address(target):
    description = target.http().get("/api/v1/openapi.json").json()
    tried = 0
    with target.http() as client:
        for method, route in [(method, path) for path, methods in description["paths"].items() if "{" in path for method in methods]:
            for path in (*PATHS, str(target.folder / "secret.txt")):
                filled = route
                for name in ("run", "kind", "symbol", "job", "name", "upload"):
                    filled = filled.replace(f"{{{name}}}", quote(path, safe=""))
                body = {"name": "x"} if method == "patch" else {} if route.endswith("plan") else None
                reply = client.request(method, f"/api/v1{filled}", json=body)
                assert reply.status_code in (400, 404, 422) and clean(reply.text), f"{method} {filled}: {reply.status_code}"
                tried += 1
    assert tried >= 120


def test_no_route_opens_a_path_in_its_body_or_query(target):
    whole = {"run": target.run, "symbol": "600519"}
    bodies = [*(("/predict", {**whole, name: "?"}) for name in ("run", "symbol", "as_of", "checkpoint")),
              ("/rank", {"run": target.run, "checkpoint": "?"}),
              ("/jobs", {"kind": "compare", "comparison": "?"}), ("/jobs", {"kind": "compare", "runs": ["?", target.run]}),
              ("/jobs", {"kind": "sweep", "sweep": "?"}), ("/jobs", {"kind": "sweep", "space": ["?"]}),
              ("/jobs", {"kind": "sweep", "space": ["hidden=4,8"], "settings": {"name": "?"}}), ("/jobs", {"kind": "import", "upload": "?"}),
              ("/jobs", {"kind": "custom", "run": target.run, "upload": "?"}), ("/jobs", {"kind": "custom", "run": "?", "upload": "0" * 32}),
              ("/jobs", {"kind": "resume", "run": "?"}), ("/jobs", {"kind": "evaluate", "run": "?"}),
              ("/jobs", {"kind": "integrity", "symbols": ["?"]}), ("/jobs", {"kind": "train", "settings": {"name": "?"}}),
              ("/orders", {"run": target.run, "capital": 1, "holdings": [{"symbol": "?", "shares": 1}]}), ("/journal", {"run": "?"})]
    before = everything(target.folder)
    jobs = target.served.services.jobs
    known = {job["id"] for job in jobs.list()}
    with target.http() as client:
        for place, (route, body) in enumerate(bodies):
            for path in (PATHS[place % len(PATHS)], "../secret"):
                reply = client.post(f"/api/v1{route}", content=json.dumps(body).replace("?", json.dumps(path)[1:-1]))
                refused = reply.status_code in (400, 404, 422) or body.get("kind") == "integrity"
                assert refused and clean(reply.text), f"{route} {body}: {reply.text[:200]}"
        assert clean(client.get("/api/v1/symbols", params={"query": "../../secret.txt"}).text)
        for job in {entry["id"] for entry in jobs.list()} - known:
            jobs.wait(job, 60)
            assert clean(client.get(f"/api/v1/jobs/{job}", params={"result": True}).text)
    assert everything(target.folder) == before


# ---------------------------------------------------------------- the page
def test_no_event_of_the_page_opens_a_path_in_any_of_its_inputs(target):
    """Every dependency of the page, private ones too, is called with a path in the place of every input that is a text or a file."""
    with target.http() as http:
        config = http.get("/config").json()
    kinds = {component["id"]: (component["type"], component["props"].get("value")) for component in config["components"]}
    client = Client(target.url, verbose=False)
    before, tried = everything(target.folder), 0
    runs = {run.id for run in target.served.services.runs.list()}
    evil = str(target.folder / "secret.csv")
    for entry in config["dependencies"]:
        if not entry["backend_fn"]:
            continue
        inputs = [kinds[item] for item in entry["inputs"]]
        if not any(kind in ("textbox", "dropdown", "file", "uploadbutton", "api") for kind, _ in inputs):
            continue
        values = [_evil(kind, value, evil) for kind, value in inputs if kind != "state"]
        try:
            said = json.dumps(client.predict(*values, fn_index=entry["id"]), default=str)
        except Exception as error:  # a refusal is what is hoped for; what it says is looked at
            said = str(error)
        assert clean(said), f"event {entry['id']} of {entry['targets']}: {said[:300]}"
        tried += 1
    assert tried > 20 and everything(target.folder) == before
    assert {run.id for run in target.served.services.runs.list()} == runs, "nothing was created, renamed or deleted"


def _evil(kind: str, value, path: str):
    if kind in ("file", "uploadbutton"):
        return [{"path": path, "meta": {"_type": "gradio.FileData"}}]
    if kind in ("textbox", "dropdown", "api"):
        return path
    return value


@pytest.mark.parametrize("field", ["path", "url"])
def test_a_file_of_the_server_cannot_be_passed_off_as_an_upload(target, field):
    """FileData that points at a server's file, posted by hand to the import of the data page."""
    with target.http() as client:
        config = client.get("/config").json()
        named = {component["id"]: component["props"].get("elem_id") for component in config["components"]}
        start = next(entry for entry in config["dependencies"] if [named.get(item) for item, _ in entry["targets"]] == ["data-import"])
        data = {"path": str(target.folder / "secret.csv"), "url": str(target.folder / "secret.csv") if field == "url" else None,
                "meta": {"_type": "gradio.FileData"}}
        values = [{}, [data], None, None, "auto", "auto", ""]
        reply = client.post("/gradio_api/queue/join", json={"data": values, "fn_index": start["id"], "session_hash": f"attack-{field}"})
        said = reply.text
        if reply.status_code == 200:
            with client.stream("GET", "/gradio_api/queue/data", params={"session_hash": f"attack-{field}"}) as stream:
                for line in stream.iter_lines():
                    said += line
                    if "process_completed" in line:
                        break
            assert '"success":false' in said.replace(" ", "")
    assert SECRET not in said and not any(job["kind"] == "import" for job in target.served.services.jobs.list())


@pytest.mark.parametrize("path", ["secret.txt", "data/market.sqlite", "data/.hidden/secret.csv", "checkpoints/{run}/final.safetensors",
                                  "checkpoints/{run}/state.json"])
def test_gradios_file_door_gives_nothing_of_ours(target, path):
    absolute = target.folder / path.format(run=target.run)
    assert absolute.is_file()
    with target.http() as client:
        for address in (str(absolute), quote(str(absolute), safe=""), f"{target.uploads}/../{path.format(run=target.run)}"):
            for door in ("file=", "file/"):
                reply = client.get(f"/gradio_api/{door}{address}")
                assert reply.status_code in (403, 404) and SECRET not in reply.text


def test_an_upload_of_a_program_stays_in_its_folder_and_is_bounded(target, monkeypatch):
    before = everything(target.folder)
    with target.http() as client:
        for name in ("../../x.csv", "/tmp/x.csv", "..\\..\\x.csv", "\x00/etc/x.csv", ".htaccess.csv", "a/b/../../../x.csv"):
            kept = client.post("/api/v1/uploads", params={"name": name}, content=b"date,close\n2024-01-02,1\n").json()
            path = target.served.services.abilities.intake.received.path(kept["id"])
            assert path.parent.name == kept["id"] and not path.name.startswith("."), name
        for name in ("x.pkl", "x", ".csv/", "x.csv.exe"):
            assert client.post("/api/v1/uploads", params={"name": name}, content=b"x").status_code == 422, name
        large = client.post("/api/v1/uploads", params={"name": "large.csv"}, content=b"x" * 3_000_000)
        assert large.status_code == 201, "more than a body of settings may have"
        monkeypatch.setattr(access, "FILE_LIMIT", 4_000_000)
        assert client.post("/api/v1/uploads", params={"name": "x.csv"}, content=b"x" * 4_000_001).status_code == 413
        assert client.post("/api/v1/uploads", params={"name": "x.csv"}, content=iter([b"x"])).status_code == 411
        assert client.post(f"/api/v1/uploads/{large.json()['id']}/plan", content=b"x" * 2_000_000).status_code == 413, "only files may be large"
    assert everything(target.folder) == before


def test_uploads_that_never_end_are_few_and_forgotten(target, monkeypatch):
    monkeypatch.setattr(received, "AT_ONCE", 1)
    monkeypatch.setattr(received, "STALLED_SECONDS", 0.5)
    with socket.create_connection(("127.0.0.1", target.served.port), timeout=20) as silent, target.http() as client:
        head = f"POST /api/v1/uploads?name=x.csv HTTP/1.1\r\nHost: 127.0.0.1:{target.served.port}\r\nContent-Length: 1000\r\n\r\n"
        silent.sendall(head.encode() + b"date")
        replies = [client.post("/api/v1/uploads", params={"name": "x.csv"}, content=b"date") for _ in range(2)]
        assert 429 in {reply.status_code for reply in replies} and "api.uploads_busy" in {reply.json().get("error") for reply in replies}
        assert b"422" in silent.recv(4096).splitlines()[0]
        assert client.post("/api/v1/uploads", params={"name": "x.csv"}, content=b"date").status_code == 201
    root = target.served.services.abilities.intake.received._root()
    assert len(list(root.iterdir())) == len(target.served.services.abilities.intake.received._files), "nothing of it is on the disk"


def test_a_program_is_told_no_folder_of_this_machine(target):
    """Of sentences that name a folder only its own name leaves: in refusals, of jobs, of runs, of tools."""
    able = target.served.services.abilities
    assert str(target.folder) not in able.told(f"x {able.workspace.data_dir} y {able.workspace.checkpoint_dir}/run")
    with target.http() as client:
        refused = client.post("/api/v1/jobs", json={"kind": "download", "source": "demo"})
        assert refused.json()["error"] == "store.real_here" and str(target.folder) not in refused.text


def test_a_zip_bomb_sent_by_a_program_is_stopped_by_what_it_unpacks(target, monkeypatch):
    monkeypatch.setattr(archives, "UNPACKED", 10_000)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("bomb.csv", b"0" * 5_000_000)
        made.writestr("../../up.csv", b"date,close\n")
    with target.http() as client:
        number = client.post("/api/v1/uploads", params={"name": "bomb.zip"}, content=packed.getvalue()).json()["id"]
        told = client.post(f"/api/v1/uploads/{number}/plan", json={}).json()
        said = " ".join(problem["message"] for entry in told["files"] for problem in entry["problems"])
        assert "unpacks" in said and "points outside the archive" in said
        assert client.get(f"/api/v1/uploads/{number}/preview").status_code == 422


def test_an_upload_named_like_a_path_stays_in_the_upload_folder(target):
    before = everything(target.folder)
    with target.http() as client:
        for name in ("../../../evil.csv", "/tmp/evil.csv", "..\\..\\evil.csv", ".htaccess"):
            reply = client.post("/gradio_api/upload", files={"files": (name, b"date,close\n")})
            assert reply.status_code in (200, 400, 422)
            if reply.status_code == 200:
                assert all(Path(path).resolve().is_relative_to(target.uploads.resolve()) for path in reply.json())
    assert everything(target.folder) == before


# ---------------------------------------------------------------- links
def test_a_link_in_a_run_that_leads_out_is_not_followed(target):
    run = target.folder / "checkpoints" / target.run
    (run / "epoch77.safetensors").symlink_to(target.folder / "secret.txt")
    moved = {name: run / name for name in ("log.txt", "report.html")}
    for path in moved.values():
        path.rename(path.with_suffix(".kept"))
        path.symlink_to(target.folder / "secret.txt")
    try:
        with target.http() as client:
            for address in ("checkpoints/epoch77", "log", "report"):
                reply = client.get(f"/api/v1/runs/{target.run}/{address}")
                assert reply.status_code == 404 and SECRET not in reply.text
    finally:
        (run / "epoch77.safetensors").unlink()
        for path in moved.values():
            path.unlink()
            path.with_suffix(".kept").rename(path)


def test_a_link_in_place_of_a_run_or_of_bars_tells_nothing(target):
    other, bars = target.folder / "checkpoints" / "linked_20240101_000000", target.folder / "data" / "training_data" / "600999.SH.csv"
    other.symlink_to(target.folder)
    bars.symlink_to(target.folder / "secret.csv")
    try:
        with target.http() as client:
            for address in (f"/runs/{other.name}", f"/runs/{other.name}/log", "/symbols/600999.SH/bars"):
                reply = client.get(f"/api/v1{address}")
                assert reply.status_code >= 400 and clean(reply.text)
    finally:
        other.unlink()
        bars.unlink()
