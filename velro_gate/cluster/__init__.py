"""One load sent by the workers of a Dask cluster: connect, choose workers, keep them in step, bring back what they measured."""
