"""How far the archive and the detector of a home are, by their files."""

from dataclasses import dataclass
from pathlib import Path

from projections.archive.layout import LOGS, ArchiveBrokenError, archive_of
from projections.archive.store import ArchiveGeneration
from projections.detector.state import State, load_state
from projections.store import GenerationGoneError


@dataclass(frozen=True, slots=True)
class DetectorStatus:
    """``archived`` gives for each log and partition the offset after the archive, ``passed`` up to
    which recorded time each group of rules was evaluated, ``failing`` which rules can't be run."""

    archived: dict[str, dict[int, int]]
    passed: dict[str, str]
    rules: list[str]
    failing: dict[str, str]
    problem: str | None


def look(home: Path) -> DetectorStatus | None:
    """What the files tell; ``None`` where no detector ever ran on this home."""
    archive = archive_of(home)
    saved = load_state(archive) or State(passed={}, seen={}, alerts=0)
    archived = {}
    problem = None
    try:
        for log in LOGS:
            standings = ArchiveGeneration(archive / log).standings()
            archived[log] = {partition: at.next_offset for partition, at in standings.items()}
    except GenerationGoneError:
        return None
    except ArchiveBrokenError as error:
        problem = str(error)
    return DetectorStatus(archived, saved.passed, saved.rules, saved.failing, problem)
