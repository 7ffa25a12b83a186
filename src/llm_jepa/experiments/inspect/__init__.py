"""What a run would train on, and the facts of data sets."""
