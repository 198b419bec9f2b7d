"""``velro-gate evaluate``: the experiments and the backtest, printed."""
