"""What kills -9 do to runs and sweeps: nothing is lost, and the end is bit for bit that of an undisturbed one."""
