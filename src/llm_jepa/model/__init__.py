"""Models: loading, attention masks, predictor slots, the one forward, export."""
