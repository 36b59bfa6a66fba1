"""The command line: a command a file, all registered in ``main``."""
