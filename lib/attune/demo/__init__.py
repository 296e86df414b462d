"""Demo data: a shop's logs, made from one seed, with the truth behind them."""
