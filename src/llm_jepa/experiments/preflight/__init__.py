"""What can be known of a run in minutes, before it is paid for."""
