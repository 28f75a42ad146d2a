from __future__ import annotations

import pytest

from kindred.errors import Misconfigured, Outage
from kindred.events.topics import create_topics, delete_topics, list_topics, missing_topics
from kindred.local.processes import free_port
from kindred.settings import KafkaSettings, Settings


def test_the_topics_carry_the_namespace(settings: Settings) -> None:
    names = {f"{settings.namespace}.{topic}" for topic in ("interactions", "users", "items")}
    assert set(list_topics(settings)) == names
    assert missing_topics(settings) == []


def test_creating_again_changes_nothing(settings: Settings) -> None:
    before = list_topics(settings)
    assert create_topics(settings, partitions=9) == []
    assert list_topics(settings) == before


def test_only_what_is_missing_is_created(settings: Settings) -> None:
    renamed = settings.model_copy(
        update={"kafka": settings.kafka.model_copy(update={"users_topic": "people"})}
    )
    assert missing_topics(renamed) == [f"{settings.namespace}.people"]
    assert create_topics(renamed, partitions=2) == [f"{settings.namespace}.people"]
    assert list_topics(renamed)[f"{settings.namespace}.people"] == 2
    delete_topics(renamed)


def test_deleted_topics_are_missing(settings: Settings) -> None:
    delete_topics(settings)
    assert len(missing_topics(settings)) == 3


def test_a_name_that_kafka_refuses_is_named(settings: Settings) -> None:
    wrong = settings.model_copy(update={"kafka": settings.kafka.model_copy(update={"users_topic": "a b"})})
    with pytest.raises(Misconfigured, match=r"a b"):
        create_topics(wrong)


def test_an_unreachable_broker_is_an_outage() -> None:
    nowhere = Settings(_env_file=None, kafka=KafkaSettings(bootstrap_servers=f"127.0.0.1:{free_port()}"))
    with pytest.raises(Outage, match="no answer from 127"):
        list_topics(nowhere)
