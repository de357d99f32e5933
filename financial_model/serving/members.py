"""The members of a comparison: a backbone with fresh weights, or ``METHOD:BASE``, a fine-tune of a run or of another member.

In: the text a user named a member with, and the settings all members share. Out: the settings of its run. A base brings its architecture and the unit
of its outputs along; question, inputs and dates stay those of the comparison, because only then may its figures stand beside the others'.
It trains nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from financial_model import config as settings
from financial_model.config import RunConfig
from financial_model.errors import ConfigError
from financial_model.serving import bases
from financial_model.serving.runs import NAME_LENGTH, RunStore

METHODS = ("head", "lora", "full")
"""Methods that move weights of their base; a student and a preference are other questions."""


@dataclass(frozen=True, slots=True)
class Member:
    """``base`` is empty for a backbone with fresh weights, else another member or a run."""

    text: str
    method: str = "full"
    base: str = ""

    @property
    def tuned(self) -> bool:
        return bool(self.base)


def parse(text: str) -> Member:
    """``lstm`` or ``head:RUN``. ``ConfigError`` for a method that continues no weights, or no base behind it."""
    method, colon, base = (part.strip() for part in text.partition(":"))
    if not colon:
        return Member(text)
    if method not in METHODS or not base:
        raise ConfigError("compare.not_a_member", text=text[:60], methods=", ".join(METHODS))
    return Member(text, method, base)


def in_order(texts: Iterable[str]) -> list[str]:
    """Those that start from another member after all others."""
    named = list(texts)
    return sorted(named, key=lambda text: parse(text).base in named)


def check(config: RunConfig, text: str, texts: Iterable[str], runs: RunStore) -> None:
    """``ConfigError`` that says why this member cannot be trained: an impossible architecture, or a base that is not there or does not fit."""
    member = parse(text)
    try:
        if not member.tuned:
            settings.check(fresh(config, text))
        elif member.base in texts:
            if parse(member.base).tuned:
                raise ConfigError("compare.base_is_tuned", base=member.base)
            settings.check(_continued(config, member, {"backbone": member.base}, member.base))
        else:
            bases.check(tuned(config, member, runs, member.base), runs)
    except ConfigError as error:
        raise ConfigError("compare.impossible", model=text[:60], reason=error) from error


def member_config(config: RunConfig, text: str, members: Mapping[str, str], runs: RunStore) -> RunConfig:
    """The settings of the run of member ``text``. ``members``: the runs of those that are trained, whose names come before runs of the same name."""
    member = parse(text)
    return tuned(config, member, runs, members.get(member.base, member.base)) if member.tuned else fresh(config, text)


def fresh(config: RunConfig, backbone: str) -> RunConfig:
    return settings.build({"backbone": backbone, "name": f"{config.name}-{backbone}"}, base=config)


def tuned(config: RunConfig, member: Member, runs: RunStore, base: str) -> RunConfig:
    """Settings of a member that starts from the run ``base``. ``NotFoundError`` when there is none."""
    sections = {entry.name: entry.section for entry in settings.fields()}
    brought = bases.brought_along(runs, base, member.method)
    own = {name: value for name, value in brought.items() if sections[name] == "model" or name in ("unit", "objective")}
    return _continued(config, member, own, base)


def _continued(config: RunConfig, member: Member, own: Mapping[str, Any], base: str) -> RunConfig:
    built = settings.build({**own, "method": member.method, "init_from": base}, base=config)
    return settings.build({"name": f"{config.name}-{member.method}-{built.model.backbone}"[:NAME_LENGTH]}, base=built)
