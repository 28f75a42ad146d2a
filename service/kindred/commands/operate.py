"""Commands for whoever runs it: settings, doctor."""

from __future__ import annotations

import sys
from typing import Any

import typer
from rich.markup import escape

from kindred.commands.output import AsJson, console, print_json, visible
from kindred.settings import load_settings

MARKS = {"ok": "[green]ok[/]  ", "warning": "[yellow]warn[/]", "wrong": "[red]FAIL[/]"}


def register(app: typer.Typer) -> None:
    """Add these commands to the program."""
    app.command()(settings)
    app.command()(doctor)


def settings(as_json: AsJson = False) -> None:
    """Every setting as its environment variable, secrets masked."""
    values = load_settings().masked()
    if as_json:
        return print_json(values)
    for name, value in values.items():
        console.print(f"{name}={value}", highlight=False, soft_wrap=True, markup=False)
    return None


def doctor(as_json: AsJson = False) -> None:
    """Check each server, the schema, topics, revisions and the model; exit code 1 if anything is wrong."""
    from kindred.operations.doctor import examine

    findings = examine(load_settings())
    if as_json:
        print_json([finding.as_dict() for finding in findings])
    else:
        for finding in findings:
            _print(finding)
    sys.exit(1 if any(finding.state == "wrong" for finding in findings) else 0)


def _print(finding: Any) -> None:
    says = escape(visible(finding.says))
    console.print(
        f"{MARKS[finding.state]} [bold]{finding.subject}[/]: {says}", soft_wrap=True, highlight=False
    )
    if finding.advice:
        console.print(f"       {finding.advice}", soft_wrap=True, style="yellow", markup=False)
