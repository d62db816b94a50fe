"""The key that Prefect's server encrypts blocks with: in a file of its own, so that a copy of the database gives nothing away."""

from __future__ import annotations

import os
from pathlib import Path

from cryptography.fernet import Fernet

NAME = "PREFECT_SERVER_ENCRYPTION_KEY"
FILE = "encryption.key"
DATABASE = "prefect.db"


def key_of(prefect_home: Path) -> dict[str, str]:
    """Give the variable for the server of this folder; nothing for a database that was begun without: its key is in itself."""
    file = prefect_home / FILE
    if not file.exists():
        if (prefect_home / DATABASE).exists():
            return {}
        prefect_home.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as new:
            new.write(Fernet.generate_key())
    return {NAME: file.read_text().strip()}
