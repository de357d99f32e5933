"""The tools of a language model, asked by a real MCP client: in memory, over standard input and output, and what happens when they fail."""

import asyncio
import json
import logging
import os
import sys

import pytest
from mcp import Client
from mcp.client.stdio import StdioServerParameters, stdio_client

from financial_model.serving import tools
from financial_model.serving.abilities import Abilities
from financial_model.serving.jobs import JobService
from tests.serving.builders import SYMBOLS, TINY

NAMES = {"list_symbols", "list_runs", "analyze_universe", "predict", "rank", "start_training", "start_comparison", "start_sweep", "show_study",
         "job_status", "stop_job"}


@pytest.fixture
def able(finished):
    jobs = JobService(finished[0])
    yield Abilities(finished[0], jobs)
    jobs.close()


def ask(server, tool: str, /, **arguments):
    """(is it an error, what was said) of one call."""

    async def call():
        async with Client(server) as client:
            return await client.call_tool(tool, arguments)

    reply = asyncio.run(call())
    return bool(reply.is_error), reply.content[0].text


def test_every_tool_is_offered_with_its_arguments_and_what_it_changes(able):
    async def listed():
        async with Client(tools.server(able)) as client:
            return (await client.list_tools()).tools

    found = {tool.name: tool for tool in asyncio.run(listed())}
    assert set(found) == NAMES and all(len(tool.description) > 40 for tool in found.values())
    assert {name for name, tool in found.items() if not tool.annotations.read_only_hint} == {"start_training", "start_comparison", "start_sweep",
                                                                                                            "stop_job"}
    assert found["predict"].input_schema["required"] == ["symbol"]
    assert found["predict"].input_schema["properties"]["symbol"]["description"]


def test_a_stock_is_forecast_by_the_newest_model_and_the_pool_is_ranked(able, finished):
    server = tools.server(able)
    wrong, text = ask(server, "predict", symbol="贵州茅台", days=2)
    found = json.loads(text)
    assert not wrong and found["run"] == finished[1].id and found["symbol"] == "600519.SH" and len(found["table"]) == 2
    wrong, text = ask(server, "rank", run="finished", top=2)
    assert not wrong and len(json.loads(text)["stocks"]) == 2
    assert json.loads(ask(server, "list_symbols", query="600519")[1])["symbols"][0]["symbol"] == "600519.SH"
    assert json.loads(ask(server, "list_runs")[1])["runs"][0]["id"] == finished[1].id
    assert json.loads(ask(server, "show_study")[1]) == {"comparisons": [], "sweeps": []}
    assert "at least two" in ask(server, "start_comparison", runs=["finished"])[1].lower()
    wrong, text = ask(server, "show_study", name="../../secret")
    assert wrong and "Traceback" not in text


def test_a_mistake_is_told_to_the_model_as_a_sentence_in_its_language(able):
    wrong, text = ask(tools.server(able, "zh"), "predict", symbol="600519", run="../../etc/passwd")
    assert wrong and "没有名为" in text
    wrong, text = ask(tools.server(able), "predict", symbol="600519", days=99)
    assert wrong and "days" in text


def test_a_bug_is_told_as_a_number(able, monkeypatch, caplog):
    def broken(*_, **__):
        raise RuntimeError("secret")

    monkeypatch.setattr(able, "list_symbols", broken)
    with caplog.at_level(logging.ERROR):
        wrong, text = ask(tools.server(able), "list_symbols")
    number = text.split("(error ")[1].split(")")[0]
    assert wrong and "secret" not in text and number in caplog.text


def test_a_training_is_started_watched_and_stopped(filled):
    jobs = JobService(filled)
    server = tools.server(Abilities(filled, jobs))
    try:
        wrong, text = ask(server, "start_training", name="asked", settings={**TINY, "epochs": 1})
        job = json.loads(text)
        assert not wrong and job["run"].startswith("asked_")
        assert jobs.wait(job["id"], 60)["state"] == "finished"
        assert json.loads(ask(server, "job_status", job=job["run"])[1])["state"] == "finished"
        assert json.loads(ask(server, "stop_job", job=job["id"])[1])["state"] == "finished", "what is done is left alone"
        assert ask(server, "start_training", preset="huge")[0] and ask(server, "start_training", settings={"no_such": 1})[0]
    finally:
        jobs.close()


def test_over_standard_input_and_output_as_an_assistant_starts_it(finished):
    workspace = finished[0]
    command = StdioServerParameters(command=sys.executable, cwd=os.getcwd(), env={**os.environ, "KAIROS_LANGUAGE": "en"}, args=[
        "-m", "financial_model", "mcp", "--data-dir", str(workspace.data_dir), "--checkpoint-dir", str(workspace.checkpoint_dir)])

    async def talk():
        with open(os.devnull, "w") as quiet:
            async with Client(stdio_client(command, errlog=quiet)) as client:
                names = {tool.name for tool in (await client.list_tools()).tools}
                return names, (await client.call_tool("list_symbols", {})).content[0].text

    names, text = asyncio.run(asyncio.wait_for(talk(), 120))
    assert names == NAMES and json.loads(text)["total"] == len(SYMBOLS)
