"""Where examples come from: files, the hub, the embedded NL-RX generator."""
