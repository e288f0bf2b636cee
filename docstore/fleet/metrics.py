"""
How a process fares as a node, in numbers for Prometheus.
"""

import weakref
from collections.abc import Iterable, Iterator
from typing import Any

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from docstore.core.kind import Kind
from docstore.fleet.health import NodeHealth
from docstore.fleet.membership import Membership


class NodeMetrics(Collector):
    """
    The nodes of one process, as they see themselves, as long as each is in its fleet.

    - `docstore_node_heartbeat_age_seconds{service}`, `docstore_node_heartbeat_limit_seconds{service}`: since when the
      node was not heard of, and from when on it does not write.
    - `docstore_node_writes{service}`: 1 if the node may write, else 0.
    - `docstore_node_control_epoch{service, kind}`: which control state the node works with.
    - `docstore_node_write_version{service, kind}`: what it stores.
    - `docstore_node_latest_version{service, kind}`: the highest version that its code knows.
    """

    def __init__(self) -> None:
        self._services: weakref.WeakKeyDictionary[Membership, str] = weakref.WeakKeyDictionary()
        self._latest: dict[tuple[str, str], int] = {}

    def watch(self, service: str, member: Membership, kinds: Iterable[Kind[Any]]) -> None:
        """
        Show a node from now on.
        """
        self._services[member] = service
        self._latest |= {(service, kind.name): kind.latest for kind in kinds}

    def collect(self) -> Iterator[Metric]:
        """
        Return the numbers of the moment; called by the thread that serves them.
        """
        age = _gauge("heartbeat_age_seconds", "Since when the node was not heard of.")
        limit = _gauge("heartbeat_limit_seconds", "From when on the node does not write.")
        writes = _gauge("writes", "Whether the node may write.")
        epoch = _gauge("control_epoch", "Which control state the node works with.", "kind")
        version = _gauge("write_version", "What the node stores.", "kind")
        latest = _gauge("latest_version", "The highest version that the code knows.", "kind")
        for service, health in self._worst().items():
            age.add_metric((service,), health.heartbeat_age)
            limit.add_metric((service,), health.heartbeat_limit)
            writes.add_metric((service,), health.writes)
            for kind, control in health.controls.items():
                epoch.add_metric((service, kind), control.epoch)
                version.add_metric((service, kind), control.write_version)
        for names, number in self._latest.copy().items():
            latest.add_metric(names, number)
        yield from (age, limit, writes, epoch, version, latest)

    def _worst(self) -> dict[str, NodeHealth]:
        """
        Return, of several nodes of one service, the one that was not heard of for longest.
        """
        worst: dict[str, NodeHealth] = {}
        for member, service in list(self._services.items()):
            health = member.health
            if health is not None and (service not in worst or health.heartbeat_age > worst[service].heartbeat_age):
                worst[service] = health
        return worst


def _gauge(name: str, text: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"docstore_node_{name}", text, labels=("service", *labels))
