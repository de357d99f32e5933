"""One catalogue, two languages, no holes."""

import ast
import errno
import json
import os
import socket
import string
from pathlib import Path

import pytest

from financial_model import errors
from financial_model.text import LANGUAGES, catalogue, translate

PACKAGE = Path(errors.__file__).parent


def placeholders(template: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(template) if name is not None}


@pytest.mark.parametrize("key", sorted(catalogue()))
def test_every_key_has_both_languages_and_the_same_placeholders(key):
    entry = catalogue()[key]
    assert set(entry) == set(LANGUAGES), f"{key} lacks a language or has a stray field"
    assert all(entry[language].strip() for language in LANGUAGES)
    assert placeholders(entry["en"]) == placeholders(entry["zh"])


def raised_errors():
    kinds = {name for name, value in vars(errors).items() if isinstance(value, type) and issubclass(value, errors.KairosError)}
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in kinds and node.args:
                if isinstance(node.args[0], ast.Constant):
                    yield path, node


def test_every_error_has_its_sentence_and_fills_it():
    seen = 0
    for path, node in raised_errors():
        key = node.args[0].value
        where = f"{path.name}:{node.lineno} {key}"
        assert key in catalogue(), where
        given = {keyword.arg for keyword in node.keywords}
        if None not in given:  # **fields cannot be read from the source
            assert placeholders(catalogue()[key]["en"]) <= given, f"{where}: the sentence needs fields that are not given"
        seen += 1
    assert seen > 5


def test_an_error_reads_as_a_sentence_in_both_languages():
    error = errors.ConfigError("config.heads_divide", heads=7, hidden=256, good="1, 2, 4")
    assert "7 attention heads" in str(error)
    assert "256" in error.message("zh") and error.message("zh") != str(error)


def test_a_piece_of_a_sentence_keeps_its_language_through_json_and_in_lists():
    why = errors.Phrase("tdx.tried", host="a:1", reason=errors.system_reason(ConnectionRefusedError(errno.ECONNREFUSED, "x")))
    error = errors.SourceError("tdx.no_host", details=[why, "b:2"])
    assert "a:1: the connection was refused; b:2" in str(error) and "a:1：连接被拒绝；b:2" in error.message("zh")
    sent = json.loads(json.dumps(errors.packed(error.fields)))
    assert translate(error.key, "zh", **sent) == error.message("zh")


@pytest.mark.parametrize("number", ["ECONNREFUSED", "ECONNRESET", "EPIPE", "ENETUNREACH", "EHOSTUNREACH", "EADDRNOTAVAIL", "ETIMEDOUT", "EACCES",
                                    "EPERM", "EROFS", "ENOENT", "EISDIR", "ENOTDIR", "EMFILE", "ENAMETOOLONG"])
def test_what_the_system_says_has_words_in_both_languages(number):
    code = getattr(errno, number)
    said = errors.system_reason(OSError(code, os.strerror(code))).message("zh")
    assert said.isprintable() and not said.isascii() and os.strerror(code) not in said


def test_words_of_the_system_that_we_do_not_know_are_quoted():
    assert "no cake" in errors.system_reason(OSError(9999, "no cake\nleft")).message("zh")
    assert errors.system_reason(socket.gaierror(-2, "Name or service not known")).key == "system.unknown_name"
    assert errors.system_reason(TimeoutError("timed out")).key == "system.late"


def test_an_unknown_key_is_a_bug_not_a_blank():
    with pytest.raises(KeyError):
        translate("no.such.key")
