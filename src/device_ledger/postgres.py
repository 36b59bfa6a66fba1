"""How every process is connected to PostgreSQL."""

import time
from collections.abc import Callable, Sequence
from typing import Final

from psycopg.conninfo import conninfo_to_dict, make_conninfo

RECONNECT_SECONDS: Final = 2.0
"""After so long a pool gives a lost connection up, and tries anew for the next who asks for one.

A pool that goes on trying by itself waits longer each time, in the end as long as the server was
away, and gives nobody a connection until then.
"""

LEAVE_SECONDS: Final = 5.0
"""How long connections of processes that have ended are waited for: the server notices it later."""

_OTHERS: Final = (
    "SELECT 1 FROM pg_stat_activity WHERE datname = current_database()"
    " AND backend_type = 'client backend' AND pid <> pg_backend_pid()"
    " AND (application_name = '' OR application_name <> current_setting('application_name'))"
)

_NOTICE_SOON: Final = {
    "connect_timeout": "5",
    "keepalives_idle": "5",
    "keepalives_interval": "2",
    "keepalives_count": "3",
    "tcp_user_timeout": "10000",
}


def conninfo(url: str) -> str:
    """A connection string with all that the URL says.

    Where the URL says nothing else, a server that is gone without a word (its machine or the
    network died) is noticed after about 10 s, and not after the system's minutes or hours.

    Raises:
        psycopg.ProgrammingError: it is no URL of PostgreSQL.
    """
    return make_conninfo("", **{**_NOTICE_SOON, **conninfo_to_dict(url)})


def is_alone(ask: Callable[[str], Sequence[object]]) -> bool:
    """Whether nobody else is connected to the database, once those who left are gone.

    ``ask`` runs a statement and gives its rows.
    """
    deadline = time.monotonic() + LEAVE_SECONDS
    while True:
        # Within a transaction the same would be told again and again.
        ask("SELECT pg_stat_clear_snapshot()")
        if not ask(_OTHERS):
            return True
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
