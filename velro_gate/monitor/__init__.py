"""Watch the runner and the service while the load runs, without disturbing it.

Every reading has a source and a name. Base units: seconds, bytes, shares in [0, 1], counts. Names that end in ``_total`` or
``_seconds`` are cumulative counters, of which only differences mean anything; all others are values of a moment. What cannot
be read is absent, never 0.

========  ==============================  ==============================================================================
source    name                            meaning
========  ==============================  ==============================================================================
runner    cpu_share                       share of all cores' time that was busy since the reading before
runner    steal_share                     share of all cores' time that the hypervisor took since the reading before
runner    cpu_throttled_seconds           time for which a control group's quota held this process back
runner    memory_used, memory_available   bytes of the machine
runner    load                            processes running or waiting, mean over the last minute
runner    tcp_sockets, tcp_time_wait      sockets in use, and closed ones that still keep their port
runner    network_received_total          bytes over all interfaces, loopback included
runner    network_sent_total              likewise
service   cpu_seconds                     CPU of the local service's processes, those that ended included; remote: its metrics
service   rss                             resident bytes of its processes (pages they share count in each); remote: its metrics
service   threads, processes              how many
service   descriptors                     open files of its processes, connections among them; remote: its metrics
service   connections                     established connections to its port; counted every twenty seconds
service   database_connections            its database connections (the metric that target.connections_metric names)
service   database_pool_size              connections its database pool may open (its metrics; velro_db_pool_size)
service   database_pool_in_use            connections of the pool at work (its metrics; velro_db_pool_in_use)
service   cache_LAYER_hits_total          hits of one cache layer (its metrics; velro_cache_hits_total)
service   cache_LAYER_misses_total        misses of one cache layer (its metrics; velro_cache_misses_total)
redis     hits_total, misses_total        key look-ups since Redis started
redis     commands_total                  commands since Redis started
redis     evicted_total, expired_total    keys dropped for want of memory, and for age
redis     memory, memory_limit            bytes used, and allowed (absent when unlimited)
redis     clients, clients_blocked        connections
redis     cpu_seconds                     CPU of the Redis process
database  connections                     client connections to this database, ours left out
database  connections_active              of them: running a statement
database  connections_idle                of them: waiting for the client
database  connections_in_transaction      of them: idle inside a transaction, so holding locks
database  connections_waiting             of them: waiting for a lock
database  max_connections                 the server's limit
database  transactions_total              commits and rollbacks
database  blocks_hit_total                blocks found in the server's cache
database  blocks_read_total               blocks read from disk or from the operating system's cache
database  deadlocks_total                 deadlocks found
========  ==============================  ==============================================================================
"""

from velro_gate.monitor.prometheus import DEFAULT_FAMILIES, PROCESS_FAMILIES, Family
from velro_gate.monitor.selection import sources_for
from velro_gate.monitor.watching import ReadingSource, SourceError, watch

__all__ = ["DEFAULT_FAMILIES", "PROCESS_FAMILIES", "Family", "ReadingSource", "SourceError", "sources_for", "watch"]
