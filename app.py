"""Kairos in the browser: arguments -> build -> launch.

python app.py [--host H | --listen] [--port P] [--data-dir D] [--checkpoint-dir C] [--auth USER:PASS] [--language zh|en]
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
import threading
from pathlib import Path

from financial_model.errors import KairosError
from financial_model.paths import Workspace
from financial_model.text import LANGUAGES, translate

logger = logging.getLogger("kairos")


def parse(arguments: list[str]) -> argparse.Namespace:
    defaults = Workspace()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--listen", action="store_true", help="answer other machines too (the same as --host 0.0.0.0); needs --auth")
    parser.add_argument("--port", type=int, default=7860)
    parser.add_argument("--data-dir", type=Path, default=defaults.data_dir)
    parser.add_argument("--checkpoint-dir", type=Path, default=defaults.checkpoint_dir)
    parser.add_argument("--auth", metavar="USER:PASS", help="without it: the environment's KAIROS_USER and KAIROS_PASSWORD")
    parser.add_argument("--language", choices=LANGUAGES)
    return parser.parse_args(arguments)


def main(arguments: list[str]) -> int:
    options = parse(arguments)
    logging.basicConfig(format="%(message)s", level=logging.INFO)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    language = options.language or ("zh" if os.environ.get("LANG", "").startswith("zh") else "en")
    try:
        from financial_model.serving.access import credentials, open_to

        workspace = Workspace(data_dir=options.data_dir, checkpoint_dir=options.checkpoint_dir)
        host, auth = "0.0.0.0" if options.listen else options.host, credentials(options.auth)
        open_to(host, auth)
        from financial_model.ui.app import launch  # seconds of imports: what is refused is refused before

        served = launch(host, options.port, workspace=workspace, auth=auth, language=options.language)
    except KairosError as error:
        logger.error("%s", error.message(language))
        return 2
    if served.port != options.port:
        logger.warning("%s", translate("ui.launch.moved", language, wanted=options.port, port=served.port))
    logger.info("%s", translate("ui.launch.ready", language, url=served.url))
    ended = threading.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, lambda *_: ended.set())
    ended.wait()
    served.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
