from __future__ import annotations

import pytest

from kindred.local.broker import SESSION_TIMEOUT_MS
from kindred.local.servers import Addresses
from kindred.settings import load_settings


def test_the_environment_is_what_the_settings_read(monkeypatch: pytest.MonkeyPatch) -> None:
    addresses = Addresses("127.0.0.1:1", "http://127.0.0.1:2", "postgresql://127.0.0.1:3/postgres")
    for name, value in addresses.environment().items():
        monkeypatch.setenv(name, value)
    settings = load_settings(_env_file=None)
    assert settings.kafka.bootstrap_servers == addresses.kafka
    assert settings.kafka.session_timeout_ms == SESSION_TIMEOUT_MS
    assert settings.postgres.url == addresses.postgres
    assert settings.qdrant.url == addresses.qdrant
