"""The reference page: every route of the OpenAPI description as plain HTML, without a script and without another site.

In: the application. Out: ``/docs`` on it. The description itself is at ``/openapi.json``.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.responses import HTMLResponse

TEMPLATE = Path(__file__).with_name("reference.html")
HEADERS = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'"}


def install(app: FastAPI) -> None:
    """Add ``/docs``."""

    @cache
    def page() -> str:
        from jinja2 import Environment

        return Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string(TEMPLATE.read_text("utf-8")).render(
            title=app.title, version=app.version, about=app.description, routes=routes(app.openapi()))

    @app.get("/docs", include_in_schema=False)
    def docs() -> HTMLResponse:
        return HTMLResponse(page(), headers=HEADERS)


def routes(description: dict[str, Any]) -> list[dict[str, Any]]:
    """Routes in their order: method, path, words, parameters, and the fields of each body they take."""
    schemas = description.get("components", {}).get("schemas", {})
    found = []
    for path, methods in description["paths"].items():
        for method, route in methods.items():
            body = route.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
            parameters = [{"name": entry["name"], "where": entry["in"], "required": entry.get("required", False), **_field(entry["schema"], schemas),
                           "about": entry.get("description", "")} for entry in route.get("parameters", []) if entry["in"] != "header"]
            found.append({"method": method.upper(), "path": path, "tag": route["tags"][0], "about": route.get("description", ""),
                          "parameters": parameters, "bodies": _bodies(body, schemas)})
    return found


def _bodies(schema: dict[str, Any], schemas: dict[str, Any]) -> list[dict[str, Any]]:
    """One entry per form a body may take."""
    options = schema.get("oneOf") or ([schema] if schema else [])
    resolved = [schemas[option["$ref"].rpartition("/")[2]] for option in options]
    return [{"title": form["title"], "about": form.get("description", ""), "fields": _fields(form, schemas)} for form in resolved]


def _fields(form: dict[str, Any], schemas: dict[str, Any], prefix: str = "") -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for name, field in form["properties"].items():
        if "$ref" in field and "properties" in (inner := schemas[field["$ref"].rpartition("/")[2]]):
            rows += _fields(inner, schemas, f"{prefix}{name}.")
        else:
            required = name in form.get("required", [])
            rows.append({"name": prefix + name, "required": required, **_field(field, schemas), "about": field.get("description", "")})
    return rows


def _field(schema: dict[str, Any], schemas: dict[str, Any]) -> dict[str, Any]:
    """Type and default of a field in a few words."""
    options = [option for option in schema.get("anyOf", [schema]) if option.get("type") != "null"]
    main = options[0] if options else schema
    words = [main["const"] if "const" in main else " | ".join(map(str, main["enum"])) if "enum" in main else main.get("type", "")]
    if main.get("type") == "array":
        items = main.get("items", {})
        words = ["list of " + (" | ".join(items["enum"]) if "enum" in items else items.get("type", ""))]
    low, high = main.get("minimum"), main.get("maximum")
    if low is not None or high is not None:
        words.append(f"{'' if low is None else low} … {'' if high is None else high}")
    return {"kind": ", ".join(words), "default": "" if schema.get("default") in (None, "", []) else schema["default"]}
