"""``serve`` and ``mcp``: the page with its doors for programs, and the tools for a language model over standard input and output.

In: parsed arguments. Out: an :class:`Answer` once it is closed.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import time

from financial_model.cli.arguments import workspace_of
from financial_model.cli.output import Answer, Output
from financial_model.cli.training import stopping
from financial_model.errors import ConfigError


def serve(arguments: argparse.Namespace, output: Output) -> Answer:
    """Open the page and stay until Ctrl-C."""
    from financial_model.serving.access import credentials, open_to

    auth, host = credentials(arguments.auth), "0.0.0.0" if arguments.listen else arguments.host
    if not 0 < arguments.port < 65536:
        raise ConfigError("cli.serve.bad_port", port=arguments.port)
    open_to(host, auth)
    from financial_model.ui.app import launch  # seconds of imports: what is refused is refused before

    with contextlib.redirect_stdout(sys.stderr):  # gradio talks when it closes, and standard output holds our answer alone
        served = launch(host, arguments.port, workspace=workspace_of(arguments), auth=auth,
                        language=arguments.language if arguments.language_given else None)
        if served.port != arguments.port:
            output.note(output.word("cli.serve.other_port", wanted=arguments.port, port=served.port))
        output.note(output.word("cli.serve.open", url=served.url))
        try:
            with stopping(output) as stop:
                while not stop.is_set():
                    time.sleep(0.2)
        finally:
            served.close()
    return Answer({"url": served.url, "port": served.port}, [output.word("cli.serve.closed")])


def mcp(arguments: argparse.Namespace, output: Output) -> Answer:
    """Answer a language model on standard input and output until it hangs up; what is being trained then is stopped and can be resumed."""
    from financial_model.serving import tools
    from financial_model.serving.abilities import Abilities
    from financial_model.serving.jobs import JobService

    workspace = workspace_of(arguments)
    jobs = JobService(workspace)
    try:
        tools.server(Abilities(workspace, jobs), output.language).run("stdio")
    finally:
        jobs.close()
    return Answer({})
