"""Whether tests have a Docker engine."""

from functools import lru_cache

import docker
from docker.errors import DockerException


@lru_cache(maxsize=1)
def docker_answers() -> bool:
    """Whether a Docker engine answers here."""
    try:
        client = docker.from_env(timeout=5)
    except DockerException:
        return False
    try:
        return bool(client.ping())
    except DockerException:
        return False
    finally:
        client.close()
