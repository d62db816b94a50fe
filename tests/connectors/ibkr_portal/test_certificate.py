"""The gateway is known by its own certificate: no other is taken for it, and verification is never switched off."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from connectors.errors import Rejected
from connectors.ibkr_portal.endpoints import Credentials
from connectors.ibkr_portal.sandbox import Gateway, running
from connectors.ibkr_portal.sandbox_tls import write_certificate
from flows import talk


def checked(home: Path, credentials: Credentials) -> talk.Fetched:
    return talk.fetch(home, "ibkr_portal", "portal", credentials, talk.About.SESSION, "run", flow="test")


def test_only_the_pinned_certificate_is_taken(tmp_path: Path) -> None:
    other, _ = write_certificate(tmp_path)
    gateway = Gateway()
    gateway.log_in()
    with running(gateway) as where:
        pinned = Credentials(where.base_url, certificate=where.ca_file, maintenance=())  # whatever the hour is
        assert checked(tmp_path, pinned).error is None
        by_name = replace(pinned, base_url=where.base_url.replace("127.0.0.1", "localhost"))
        assert checked(tmp_path, by_name).error is None
        for unknown in (replace(pinned, certificate=other), replace(pinned, certificate=None)):
            before = len(gateway.log)
            error = checked(tmp_path, unknown).error
            assert isinstance(error, Rejected)
            assert "certificate" in str(error)
            assert len(gateway.log) == before
