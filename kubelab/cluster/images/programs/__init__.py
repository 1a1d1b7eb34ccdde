"""What the course's own images run. Each is a file of its own for the machine's python3 (3.9 or newer),
started with -I -S, and so uses nothing but the standard library."""
