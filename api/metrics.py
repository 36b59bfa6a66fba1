"""Prometheus metrics of an API process; labels are route templates and numbers, never values."""

from collections.abc import Callable

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

_BUCKETS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5)


class Metrics:
    """The metrics of one app, in a registry of their own."""

    content_type = CONTENT_TYPE_LATEST

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "device_ledger_http_requests",
            "Requests answered.",
            ("method", "route", "status"),
            registry=self._registry,
        )
        self._refusals = Counter(
            "device_ledger_http_refusals",
            "Requests refused, by reason.",
            ("route", "reason"),
            registry=self._registry,
        )
        self._seconds = Histogram(
            "device_ledger_http_request_seconds",
            "Time from a request's first byte to its answer's last, in seconds.",
            ("route",),
            buckets=_BUCKETS,
            registry=self._registry,
        )
        self._access_records, self._access_flushes = (
            Counter(f"device_ledger_access_{what}", told, ("place",), registry=self._registry)
            for what, told in (
                ("records", "Access records kept, by where."),
                ("flushes", "Flushes of access records, by where they were kept."),
            )
        )
        self._spool_bytes = Gauge(
            "device_ledger_access_spool_bytes",
            "Bytes of access records on disk that Kafka does not have yet.",
            registry=self._registry,
        )
        # Finding a metric by its labels costs more than counting.
        self._answered: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}

    def observe(
        self, method: str, route: str, status: int, refusal: str | None, seconds: float
    ) -> None:
        """Count an answered request."""
        key = (method, route, status)
        answered = self._answered.get(key)
        if answered is None:
            answered = (self._requests.labels(*key), self._seconds.labels(route))
            self._answered[key] = answered
        answered[0].inc()
        answered[1].observe(seconds)
        if refusal is not None:
            self._refusals.labels(route, refusal).inc()

    def kept_access(self, place: str, records: int) -> None:
        """Count a flush of access records; ``place`` is ``kafka`` or ``spool``."""
        self._access_records.labels(place).inc(records)
        self._access_flushes.labels(place).inc()

    def show_spool(self, size: Callable[[], int]) -> None:
        """Show the size of the spool, in bytes, as it is when it is asked for."""
        self._spool_bytes.set_function(size)

    def show_backlog(self, count: Callable[[], int]) -> None:
        """Show how many events of the store Kafka lacks, as last seen."""
        Gauge(
            "device_ledger_relay_behind_events",
            "Events of the event store that were not on Kafka a second ago.",
            registry=self._registry,
        ).set_function(count)

    def show_letters(self, count: Callable[[], int]) -> None:
        """Show how many records are not taken by a read model."""
        Gauge(
            "device_ledger_dead_letters",
            "Records that a read model could not take, and has not taken since.",
            registry=self._registry,
        ).set_function(count)

    def show_behind(self, count: Callable[[], int]) -> None:
        """Show how many events a replica of this process's own lacks, as last seen."""
        Gauge(
            "device_ledger_lookup_behind_events",
            "Events on the topic that this node's lookups did not show a second ago.",
            registry=self._registry,
        ).set_function(count)

    def text(self) -> bytes:
        """All metrics in Prometheus' text format."""
        return generate_latest(self._registry)
