"""How every process is connected to PostgreSQL."""

from typing import Final

from psycopg.conninfo import conninfo_to_dict, make_conninfo

RECONNECT_SECONDS: Final = 2.0
"""After so long a pool gives a lost connection up, and tries anew for the next who asks for one.

A pool that goes on trying by itself waits longer each time, in the end as long as the server was
away, and gives nobody a connection until then.
"""

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
