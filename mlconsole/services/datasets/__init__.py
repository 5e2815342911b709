"""Data sets: find them, say which they are, profile them, and hold them against a schema or an earlier version.

Importing this is cheap; pyarrow and numpy are loaded by the functions that need them.
"""

from mlconsole.services.datasets.change import appended_from, compare
from mlconsole.services.datasets.counting import count_violations
from mlconsole.services.datasets.faults import DataChanged, DataMissing, DataUnfit, SchemaUnfit
from mlconsole.services.datasets.files import find, identify
from mlconsole.services.datasets.profile import profile, survey, survey_appended
from mlconsole.services.datasets.schema import learn, read, write
from mlconsole.services.datasets.violations import check

__all__ = [
    "DataChanged",
    "DataMissing",
    "DataUnfit",
    "SchemaUnfit",
    "appended_from",
    "check",
    "compare",
    "count_violations",
    "find",
    "identify",
    "learn",
    "profile",
    "read",
    "survey",
    "survey_appended",
    "write",
]
