"""Learning rate, k and weight chosen on validation rows: plan, trials, the processes that share them."""
