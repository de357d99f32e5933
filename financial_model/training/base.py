"""The checkpoint a run starts from, seen through its header: what is taken over, what does not fit, and which days it has seen.

In: settings and the header of a checkpoint. Out: settings, problems, an entry of lineage. It reads no weights and knows no torch, so that a page
can ask before anything is loaded.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from financial_model.config import ModelConfig, Problem, RunConfig, fields, flatten, from_dict
from financial_model.datasets.splits import Split, iso, seconds
from financial_model.errors import CheckpointError, ConfigError

Header = Mapping[str, Any]
ENCODER = "encoder"
"""``kind`` in the header of a pre-trained checkpoint: weights of a backbone, without a head."""
_FREE = frozenset({"dropout", "head_dropout", "balance"})
"""Settings of a model that shape no weight."""
_LENGTHS = frozenset({"context", "context_low", "context_high"})
"""How the context length was decided; what a model depends on is the length itself."""
_AROUND = frozenset({"head", "condition", "skip", "cross_section", "linear_start", "industry_size", "style_size", "regime_size", "quantile_levels"})
"""Settings of a model that lie outside its backbone."""
_LABEL = ("target", "horizon", "entry", "unit")
_CLASSES = ("up", "down", "class_horizon")
SLOW_RATE = 1e-4
"""Learning rate where weights that already know something move as a whole; adapters, a head and a student learn at the usual one."""


def is_encoder(header: Header) -> bool:
    return header.get("kind") == ENCODER


def fixed_names(method: str, header: Header) -> tuple[str, ...]:
    """Settings that must be those of the base: what its weights read, what they mean, and their shape.

    A teacher only has to read and mean the same; a pre-trained backbone has no target yet.
    """
    sections = {entry.name: entry.section for entry in fields()}
    read = tuple(name for name, section in sections.items() if section == "features" and name not in _LENGTHS)
    model = tuple(name for name, section in sections.items() if section == "model" and name not in _FREE)
    if is_encoder(header):
        return read + tuple(name for name in model if name not in _AROUND)
    meaning = _LABEL + (_CLASSES if header["head"] in ("classes", "multi") else ())
    if method != "distill":
        return read + meaning + model
    beside = header["config"]["model"].get("cross_section", False)  # such a teacher needs batches of whole dates
    return read + meaning + ("head", *(("quantile_levels",) if header["head"] == "quantile" else ()), *(("cross_section",) if beside else ()))


def inherited(header: Header, method: str) -> dict[str, Any]:
    """Settings (name -> value) a run starting from this checkpoint begins with: what must be equal, its objective, its dates, a fitting rate.

    The dates keep the test of the new run behind everything the base has seen; who wants later ones sets them.
    """
    config = from_dict(header["config"])
    known = {**flatten(config), "head": header["head"], "objective": "auto" if is_encoder(header) else config.objective()}
    taken = {name: known[name] for name in fixed_names(method, header)}
    split = header["split"]
    taken |= {"train_end": split["train"]["last"], "validation_end": split["validation"]["last"]}
    if not is_encoder(header):
        taken["objective"] = known["objective"]
        if method in ("full", "preference"):
            taken["learning_rate"] = SLOW_RATE
    return taken


def base_problems(config: RunConfig, header: Header) -> list[Problem]:
    """What in ``config`` does not fit the checkpoint it starts from, one problem a setting; dates as far as they are named."""
    method = config.transfer.method
    if is_encoder(header) and method != "full":
        return [Problem(field="method", key="transfer.encoder_needs_full", values={"base": config.transfer.init_from, "method": method})]
    count = int(header.get("members") or 1)
    if count > 1 and method != "distill":
        return [Problem(field="method", key="transfer.several_models", values={"base": config.transfer.init_from, "count": count})]
    found = [Problem(field=name, key="transfer.differs", values={"name": name, "given": given, "base": base})
             for name, given, base in _differences(config, header)]
    end, until = config.split.validation_end, seen_until(header)
    if end and seconds(end[:10]) < seconds(until[:10]):
        found.append(Problem(field="validation_end", key="transfer.base_saw_test", values={"until": until, "test": f"> {end}"}))
    return found


def _differences(config: RunConfig, header: Header) -> Iterator[tuple[str, str, str]]:
    """(name, value here, value of the base) of every setting that must be equal and is not."""
    base_config = from_dict(header["config"])
    here, there = flatten(config), flatten(base_config)
    here |= {"head": config.head(), "context_length": config.features.span()[1], **_shape(config.model)}
    there |= {"head": header["head"], **_shape(base_config.model)}
    for name in fixed_names(config.transfer.method, header):
        if here[name] != there[name]:
            yield name, _text(here[name]), _text(there[name])


def _shape(model: ModelConfig) -> dict[str, int]:
    """Sizes as they are, whether they were named or left to the backbone."""
    return model.shape()


def _text(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, tuple | list) else str(value)


def check_features(names: tuple[str, ...], header: Header) -> None:
    """``CheckpointError`` unless the inputs are those of the checkpoint, name by name."""
    known = tuple(header["features"])
    if names != known:
        first = next((f"{ours} / {theirs}" for ours, theirs in zip(names, known, strict=False) if ours != theirs), f"{len(names)} / {len(known)}")
        raise CheckpointError("transfer.other_features", first=first)


# ---------------------------------------------------------------- dates
def seen_until(header: Header) -> str:
    """The last day that had a say in a checkpoint's weights, or in which of them were kept; of everything it descends from, too."""
    return max((header["split"]["validation"]["last"], *(entry["seen_until"] for entry in header.get("lineage", ()))), key=seconds)


def trained_until(header: Header) -> str:
    return max((header["split"]["train"]["last"], *(entry["trained_until"] for entry in header.get("lineage", ()))), key=seconds)


def check_dates(split: Split, header: Header) -> dict[str, Any] | None:
    """``ConfigError`` when the test begins on a day that the base has seen. A note ``{"key", "fields"}`` when only the validation does."""
    until = seen_until(header)
    if split.test[0] <= seconds(until):
        raise ConfigError("transfer.base_saw_test", until=until, test=iso(split.test[0]))
    trained = trained_until(header)
    if split.validation[0] <= seconds(trained):
        return {"key": "transfer.base_saw_validation", "fields": {"until": trained, "validation": iso(split.validation[0])}}
    return None


def lineage(config: RunConfig, header: Header) -> list[dict[str, Any]]:
    """Where the weights come from, the nearest first: for the header of the new checkpoint."""
    own = {"base": config.transfer.init_from, "method": config.transfer.method, "weights_hash": header["weights_hash"],
           "created": header.get("created", ""), "backbone": header["config"]["model"]["backbone"],
           "trained_until": trained_until(header), "seen_until": seen_until(header)}
    return [own, *header.get("lineage", ())]
