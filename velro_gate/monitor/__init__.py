"""Watch the runner and the service while the load runs, without disturbing it.

Every reading has a source and a name; ``velro_gate.model.readings`` declares them all, with unit, kind and meaning. Base
units: seconds, bytes, shares in [0, 1], counts. What cannot be read is absent, never 0. A source that a scenario names by a URL
is a module with ``source_at(url, verify=...)``.
"""

from velro_gate.monitor.selection import sources_for
from velro_gate.monitor.sources.prometheus import DEFAULT_FAMILIES, PROCESS_FAMILIES, Family
from velro_gate.monitor.watching import ReadingSource, SourceError, watch

__all__ = ["DEFAULT_FAMILIES", "PROCESS_FAMILIES", "Family", "ReadingSource", "SourceError", "sources_for", "watch"]
