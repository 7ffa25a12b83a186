"""One entry for every table and figure of the paper."""
