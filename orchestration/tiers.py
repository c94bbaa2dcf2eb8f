"""The tiers of a release, for whatever hands one on.

Belongs here: finding the folder of a tier. Does not: what is in it (``publication``).
"""

from __future__ import annotations

from pathlib import Path

from orchestration import publication
from orchestration.settings import Settings, UsageError

#: The one that may leave the house comes first and is the default wherever there is a choice.
TIERS = ("public", "exact")


def tier_folder(settings: Settings, tier: str) -> tuple[Path, str]:
    """The folder of a tier of the current release, its files verified, and the release's id.

    The path names the release, not ``current``: who begins to read a release ends with the same. Raises UsageError where there is
    none or it is damaged.
    """
    if tier not in TIERS:
        raise UsageError(f"There is no tier '{tier}': choose {' or '.join(TIERS)}.")
    release_id = publication.current_id(settings)
    if release_id is None:
        raise UsageError("Nothing is published yet: run 'rollin refresh'.")
    folder = settings.published / "releases" / release_id
    if tier == "public":
        folder /= publication.PUBLIC
        if not folder.is_dir():
            raise UsageError("The current release has no public tier: run 'rollin refresh --full'.")
    problems = publication.verify(folder)
    if problems:
        raise UsageError(f"Release {release_id} is damaged ({problems[0]}): run 'rollin rollback' or 'rollin refresh --full'.")
    return folder, release_id
