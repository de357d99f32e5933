"""What conditions are worth: the run that is shown once more, the same in everything but its conditions."""

import gradio as gr
import pytest

from financial_model import config as settings
from financial_model.errors import ConfigError
from financial_model.ui.page import Page, Services
from financial_model.ui.tabs import conditional, frame
from financial_model.ui.text import Words
from tests.serving.builders import tiny
from tests.ui.builders import ENGLISH


@pytest.fixture
def page(workspace):
    services = Services(workspace)
    services.jobs._tasks["train"] = lambda context, config: None
    with gr.Blocks():
        page = Page(services=services, words=Words("en"), preferences=gr.BrowserState({}))
        with gr.Tabs(), frame.training_tab(page, "conditional", conditional.belongs) as panel:
            pass
    yield page, panel
    services.jobs.close()


def test_the_same_run_is_queued_without_its_conditions(page):
    page, panel = page
    with pytest.raises(ConfigError, match="conditions first"):
        conditional._without(page, panel, ENGLISH, None)
    config = tiny("film", condition="film", seed=7)
    run = page.services.runs.create(config)
    conditional._without(page, panel, ENGLISH, run.id)
    made = next(entry for entry in page.services.runs.list() if entry.id != run.id)
    expected = settings.flatten(config) | {"condition": "none", "name": "film_none"}
    assert settings.flatten(made.run_config()) == expected
