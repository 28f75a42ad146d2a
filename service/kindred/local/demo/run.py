"""The demo's story, from nothing to four answers."""

from __future__ import annotations

import time

from rich.console import Console

from kindred.embedding.embedder import Embedder
from kindred.local.demo import newcomer, person, recall, report, scenario
from kindred.local.demo.lesson import train_model
from kindred.local.demo.options import DemoOptions
from kindred.local.demo.report import Findings, Streams
from kindred.local.demo.scenario import Scenario
from kindred.local.demo.screen import Screen
from kindred.local.demo.stage import Stage, own_settings, set_up
from kindred.local.demo.stream import Streamed
from kindred.local.isolation import only_these_settings
from kindred.local.servers import EmbeddedServers
from kindred.settings import load_settings


def run(options: DemoOptions, screen: Screen, live: Console, began: float) -> None:
    """All of it, printed to `screen` as it happens; moving lines go to `live`.

    `began`: when the person started it, on the monotonic clock.
    Raises Misconfigured for data or a report's folder that is not there. Leaves no process and no
    folder behind, however it ends.
    """
    if options.report:
        report.check_writable(options.report)
    data = scenario.load(options, time.time_ns() // 1000)
    screen.heading(options.dataset, data)
    with EmbeddedServers() as servers:
        screen.stage("servers", "Kafka, Postgres and Qdrant on loopback, in a temporary folder")
        environment = servers.environment() | own_settings(servers.folder, data)
        with only_these_settings(environment, servers.folder):
            found = _perform(options, data, screen, live, began)
    if options.report:
        report.write(options.report, report.as_json(options, data, found))
    screen.closing(found, options.report)


def _perform(options: DemoOptions, data: Scenario, screen: Screen, live: Console, began: float) -> Findings:
    settings = load_settings()
    training = train_model(data, settings.checkpoint, options, live)
    screen.trained(training)
    with set_up(settings, data, live) as stage:
        screen.stage("worker", "a process of its own (`kindred worker`), on an empty database")
        user_id = person.choose(data)
        history = _stream_history(stage, data, screen)
        then = person.recommended(stage.client, user_id)
        full_speed, paced = _stream_rest(stage, data, options, screen)
        portrait = person.portray(stage.client, data, user_id, then)
        newcomers = newcomer.welcome_two(stage.client, stage.producer, data, stage.contract)
        dead_letters = stage.worker.sample().dead_letters
    embedder = Embedder.load(settings.checkpoint)
    known, new = recall.compare(embedder, data.log, data.cut_us, options.compared_events)
    seconds = time.monotonic() - began
    streams = Streams(history, full_speed, paced, options.paced_rate)
    found = Findings(training, streams, portrait, newcomers, known, new, dead_letters, seconds)
    screen.answers(data, found)
    return found


def _stream_history(stage: Stage, data: Scenario, screen: Screen) -> Streamed:
    """What lies before the cut, through the worker itself, so that its windows are the training's."""
    # Descriptions first, as with `kindred load-items`: one that comes after its item's events
    # would have every holder of the item embedded again.
    stage.stream("catalogue", data.items_before)
    streamed = stage.stream("history", data.before)
    screen.streamed("history", streamed, "through the worker")
    return streamed


def _stream_rest(
    stage: Stage, data: Scenario, options: DemoOptions, screen: Screen
) -> tuple[Streamed, Streamed]:
    """What lies after it: first at full speed, then, for a few seconds, at a steady rate."""
    paced = min(int(options.paced_rate * options.paced_seconds), len(data.after) // 2)
    at_once, steadily = data.after[:-paced], data.after[-paced:]
    full_speed = stage.stream("stream", at_once)
    screen.streamed("stream", full_speed, "at full speed")
    steady = stage.stream("stream", steadily, options.paced_rate)
    screen.streamed("stream", steady, f"at a steady {options.paced_rate:,.0f}/s")
    return full_speed, steady
