"""Who publishes the public tier, from the configuration.

Belongs here: reading and checking it. Does not: what is made of it (``dcat``, ``data_package``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from orchestration.settings import UsageError


@dataclass(frozen=True)
class Publisher:
    """Who is responsible for the public tier and where it is found; None is left out.

    ``address``: where the folder ``public/`` is served, ends with a slash. ``name``, ``url``: the publisher (dct:publisher, the body that
    is responsible by law, K36). ``email``, ``contact_url``: whom to ask (K1). ``contributor_id``: assigned by GovData (K12, K13).
    """

    address: str | None = None
    name: str | None = None
    url: str | None = None
    email: str | None = None
    contact_url: str | None = None
    contributor_id: str | None = None

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> Publisher:
        """``ROLLIN_PUBLIC_URL ROLLIN_PUBLISHER ROLLIN_PUBLISHER_URL ROLLIN_CONTACT_EMAIL ROLLIN_CONTACT_URL ROLLIN_CONTRIBUTOR_ID``.

        Raises UsageError where one of them is nothing of the kind.
        """

        def address(name: str) -> str | None:
            value = environ.get(name, "").strip()
            parts = urlsplit(value)
            if value and (parts.scheme not in ("http", "https") or not parts.hostname or re.search(r'[\s<>"{}|\\^`]', value)):
                raise UsageError(f"{name} is no web address ({value}): write it as https://daten.example.de/rollin/ or unset it.")
            return value or None

        email = environ.get("ROLLIN_CONTACT_EMAIL", "").strip()
        if email and not re.fullmatch(r"[^@\s<>\"]+@[^@\s<>\"]+\.[^@\s<>\"]+", email):
            raise UsageError(f"ROLLIN_CONTACT_EMAIL is no address ({email}): write it as daten@example.de or unset it.")
        contributor = environ.get("ROLLIN_CONTRIBUTOR_ID", "").strip().rpartition("/")[2]
        if contributor and not re.fullmatch(r"[A-Za-z0-9_-]+", contributor):
            raise UsageError(
                f"ROLLIN_CONTRIBUTOR_ID is no identifier ({contributor}): take it as GovData assigned it, or unset it."
            )
        public = address("ROLLIN_PUBLIC_URL")
        return cls(
            address=public.rstrip("/") + "/" if public else None,
            name=environ.get("ROLLIN_PUBLISHER", "").strip() or None,
            url=address("ROLLIN_PUBLISHER_URL"),
            email=email or None,
            contact_url=address("ROLLIN_CONTACT_URL"),
            contributor_id=contributor or None,
        )

    @property
    def contributors(self) -> list[dict[str, Any]]:
        """The same as contributors of a data package."""
        found: list[dict[str, Any]] = []
        if self.name:
            found.append({"title": self.name, "roles": ["publisher"]} | ({"path": self.url} if self.url else {}))
        if self.email or self.contact_url:
            contact = {"email": self.email, "path": self.contact_url}
            found.append({key: value for key, value in contact.items() if value} | {"roles": ["contact"]})
        return found
