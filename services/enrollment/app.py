"""Builds enrollment from its settings; nothing else constructs things."""

from __future__ import annotations

from services.enrollment.api import ROUTERS
from services.enrollment.config import EnrollmentSettings
from services.enrollment.handlers import HANDLERS
from services.enrollment.use_cases.parts import Enrollment
from shared.codes import CodeSets
from shared.database import Database
from shared.keys import DATA_KEYS
from shared.personal import PersonalDataKeys
from shared.regions import RegionTree
from shared.service import Base, Parts
from shared.settings import Settings
from shared.workdays import WorkCalendar


def make(base: Base) -> Parts:
    """The parts of enrollment."""
    return Parts(
        name="enrollment",
        title="Sifang enrollment 参保",
        routers=ROUTERS,
        handlers=HANDLERS,
        service=make_parts(base.settings, base.database, base.regions),
    )


def make_parts(settings: Settings, database: Database, regions: RegionTree) -> Enrollment:
    """What the use cases work with. Raises OSError or KeysInvalid when the data keys cannot be read."""
    keys = PersonalDataKeys.from_json((settings.secrets_dir / DATA_KEYS).read_bytes())
    return Enrollment(database, regions, CodeSets.load(regions), WorkCalendar(), keys, EnrollmentSettings())
