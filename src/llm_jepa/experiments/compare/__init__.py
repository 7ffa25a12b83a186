"""Several arms of one config, trained seed by seed and tested against each other."""
